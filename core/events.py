"""What a job says while it runs: frozen, picklable values that the window and the command line both `match`.

A run emits any number of events and then exactly one `EndEvent`. No event carries tensors or live objects, so the
same stream can cross a process or a network.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from core.measurement.records import LayerStatistics, Measurement


@dataclass(frozen=True)
class RunStarted:
    """The first event of a run. `environment` holds versions, device and thread count as text pairs."""

    run_id: str
    time: float  # seconds since the epoch
    environment: tuple[tuple[str, str], ...]
    source_sha256: str | None
    resumed: bool = False


@dataclass(frozen=True)
class StepStarted:
    """Step number `index` (from 0) of `count` begins; `title` is for people. Measuring counts as no step."""

    run_id: str
    index: int
    count: int
    title: str


@dataclass(frozen=True)
class Progress:
    """How far the whole run is: latest wins, so any number may be dropped.

    `fraction` in [0, 1] never falls; `seconds_left` is an estimate or None while there is none yet.
    """

    run_id: str
    fraction: float
    activity: str  # "Fine-tune: epoch 2 of 3"
    seconds_left: float | None


@dataclass(frozen=True)
class MetricPoint:
    """One point of one curve, such as ("train loss", 0.213) after `iteration` updates.

    `epoch` is fractional (1.5 = in the middle of the second epoch); `split` is "train" or "validation"; `metric` is
    "loss" or "accuracy" (a fraction); `step` is the index of the recipe's step; `seconds` counts active time since
    the run's start without pauses.
    """

    run_id: str
    step: int
    epoch: float
    iteration: int
    split: str
    metric: str
    value: float
    seconds: float


@dataclass(frozen=True)
class Measured:
    """The model was measured; `stage` is "before" or "after"."""

    run_id: str
    stage: str
    measurement: Measurement


@dataclass(frozen=True)
class LayersMeasured:
    """Per-layer statistics of the model at `stage` ("before" or "after")."""

    run_id: str
    stage: str
    layers: tuple[LayerStatistics, ...]


@dataclass(frozen=True)
class ArtifactWritten:
    """A file of the run is complete on disk. `kind` is "model", "packed" (that model without its zeros), "recipe" or
    "predictions" (what the model answered to each test example, before and after)."""

    run_id: str
    kind: str
    path: str
    size: int  # bytes
    sha256: str


@dataclass(frozen=True)
class Notice:
    """Something the user should know about the run that is neither progress nor an error: one sentence."""

    run_id: str
    text: str


@dataclass(frozen=True)
class Finding:
    """What a run found out beyond curves and measurements: a table, a plot's data, the result of a check.

    A finding of the same `kind` and `key` replaces the earlier one, so that a resumed run may say it again.

    Attributes:
        kind: names the form of `data`, such as "deletion-curve"; whoever shows findings looks at it.
        key: tells several findings of one kind apart, such as the step's place; may be empty.
        title: what it is, for people.
        data: JSON-ready values (dicts with text keys, lists, numbers, text, None); never changed once emitted.
    """

    run_id: str
    kind: str
    key: str
    title: str
    data: dict[str, Any]


@dataclass(frozen=True)
class PausedChanged:
    """The run has really stopped at (or left) a pause."""

    run_id: str
    paused: bool


@dataclass(frozen=True)
class Finished:
    """End event: the recipe ran to its end, or the user stopped it and the best state so far was kept."""

    run_id: str
    time: float
    stopped_early: bool = False


@dataclass(frozen=True)
class Failed:
    """End event: the run could not go on. `bug` tells a defect of the studio from something the user can act on."""

    run_id: str
    time: float
    message: str
    details: str
    bug: bool


@dataclass(frozen=True)
class Cancelled:
    """End event: the user cancelled; nothing of the run's result was kept."""

    run_id: str
    time: float


@dataclass(frozen=True)
class Interrupted:
    """End event: the process ends before the run does; the run can be resumed from its last checkpoint."""

    run_id: str
    time: float


EndEvent: TypeAlias = Finished | Failed | Cancelled | Interrupted
Event: TypeAlias = (
    RunStarted
    | StepStarted
    | Progress
    | MetricPoint
    | Measured
    | LayersMeasured
    | ArtifactWritten
    | Notice
    | Finding
    | PausedChanged
    | EndEvent
)
