"""What the window knows of a job: a frozen value that events move on, with no widget and no thread in it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Interrupted,
    Measured,
    MetricPoint,
    Notice,
    PausedChanged,
    Progress,
    RunStarted,
)
from core.measurement.records import Accuracy

JobState = Literal["waiting", "running", "finished", "failed", "cancelled", "interrupted"]
Wish = Literal["", "pause", "stop", "cancel"]


@dataclass(frozen=True)
class JobStatus:
    """One job as the strip shows it.

    Attributes:
        fraction: how much of the run is done, in [0, 1].
        seconds_left: an estimate, or None while there is none.
        wish: what the user asked for and the job has not yet done; it does so at its next batch.
        train_loss, validation_accuracy: the newest points of the curves (the accuracy as a fraction).
        sparsity: the fraction of the prunable weights that pruning has set to zero so far; None before it has.
        before, after: accuracy as measured on the held-out split.
        message, details, bug: of a failed job.
    """

    run_id: str
    title: str
    model: str = ""
    state: JobState = "waiting"
    paused: bool = False
    wish: Wish = ""
    fraction: float = 0.0
    activity: str = ""
    seconds_left: float | None = None
    train_loss: float | None = None
    validation_accuracy: float | None = None
    sparsity: float | None = None
    before: Accuracy | None = None
    after: Accuracy | None = None
    message: str = ""
    details: str = ""
    bug: bool = False
    stopped_early: bool = False
    notices: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state not in ("waiting", "running")


def advanced(status: JobStatus, event: Event) -> JobStatus:
    """The status after an event of the same run."""
    match event:
        case RunStarted():
            return replace(status, state="running", activity="Starting")
        case Progress(fraction=fraction, activity=activity, seconds_left=left):
            return replace(
                status,
                fraction=max(status.fraction, fraction),
                activity=activity,
                seconds_left=left,
            )
        case MetricPoint(split="train", metric="loss", value=value):
            return replace(status, train_loss=value)
        case MetricPoint(split="validation", metric="accuracy", value=value):
            return replace(status, validation_accuracy=value)
        case MetricPoint(split="model", metric="sparsity", value=value):
            return replace(status, sparsity=value)
        case Measured(stage="before", measurement=measurement):
            return replace(status, before=measurement.accuracy)
        case Measured(measurement=measurement):
            return replace(status, after=measurement.accuracy)
        case Notice(text=text):
            return replace(status, notices=(*status.notices, text))
        case PausedChanged(paused=paused):
            return replace(status, paused=paused, wish="" if status.wish == "pause" else status.wish)
        case Finished(stopped_early=early):
            return replace(_ended(status), state="finished", fraction=1.0, stopped_early=early)
        case Failed(message=message, details=details, bug=bug):
            return replace(_ended(status), state="failed", message=message, details=details, bug=bug)
        case Cancelled():
            return replace(_ended(status), state="cancelled")
        case Interrupted():
            return replace(_ended(status), state="interrupted")
        case _:
            return status


def _ended(status: JobStatus) -> JobStatus:
    return replace(status, paused=False, wish="", seconds_left=None)


def places(jobs: Sequence[JobStatus]) -> dict[str, int]:
    """For each waiting job its place in the queue, from 1."""
    waiting = [job.run_id for job in jobs if job.state == "waiting"]
    return {run_id: place for place, run_id in enumerate(waiting, start=1)}
