"""What the history hands out: frozen values, never database rows."""

from dataclasses import dataclass
from typing import Any, Literal

from core.measurement.records import Measurement

Status = Literal["queued", "running", "finished", "failed", "cancelled", "interrupted"]
NO_STEPS = "measure only"
"""The method of a run whose recipe has no steps."""


@dataclass(frozen=True)
class Artifact:
    """A file that a run wrote, as it was when it was complete."""

    kind: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class RunRecord:
    """One run with everything that lists and comparisons show. Curves, layers and artifacts are fetched apart.

    Attributes:
        number: counts runs from 1 for people ("run 12"); `run_id` is the name for ever.
        created, started, ended: seconds since the epoch, UTC; None where it has not happened.
        source, task, recipe: the JSON forms of ModelSource, TaskSpec and Recipe. Records share them: copy before
            you change one.
        environment: versions, device and threads as recorded at the start.
        method: the kinds of the recipe's steps, joined: "prune + fine-tune".
        error: the sentence that the user saw, of a failed run.
        updated: when anything about the run last changed, in seconds since the epoch; 0 where unknown.
        active_seconds: working time without pauses as of the latest metric point; None before the first.
        device, threads, measure_latency: as requested (what they became stands in `environment`).
        parent_run_id: the run whose saved result this one started from, or None.
        deleted_at: when the run was deleted (it can still be restored); None for a run that is not.
    """

    run_id: str
    number: int
    name: str
    status: Status
    created: float
    started: float | None
    ended: float | None
    seed: int
    source: dict[str, Any]
    source_title: str
    source_sha256: str | None
    task: dict[str, Any] | None
    task_title: str
    recipe: dict[str, Any]
    method: str
    environment: dict[str, str]
    before: Measurement | None = None
    after: Measurement | None = None
    error: str = ""
    error_details: str = ""
    stopped_early: bool = False
    starred: bool = False
    tags: tuple[str, ...] = ()
    note: str = ""
    notices: tuple[str, ...] = ()
    updated: float = 0.0
    active_seconds: float | None = None
    device: str = "auto"
    threads: int | None = None
    measure_latency: bool = True
    parent_run_id: str | None = None
    archived: bool = False
    deleted_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether the run has its end status."""
        return self.status not in ("queued", "running")

    @property
    def result(self) -> Measurement | None:
        """What the run made of its model; of a finished run that only measured, the model as it was."""
        measured_only = self.status == "finished" and not self.recipe.get("steps")
        return self.after or (self.before if measured_only else None)
