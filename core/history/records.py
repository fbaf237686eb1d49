"""What the history hands out: frozen values, never database rows."""

from dataclasses import dataclass
from typing import Any, Literal

from core.measurement.records import Measurement

Status = Literal["queued", "running", "finished", "failed", "cancelled", "interrupted"]


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
        source, task, recipe: the JSON forms of ModelSource, TaskSpec and Recipe.
        environment: versions, device and threads as recorded at the start.
        method: the kinds of the recipe's steps, joined: "prune + fine-tune".
        error: the sentence that the user saw, of a failed run.
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
