"""Several runs of one recipe with different seeds, laid over each other: their rounds, the likeness of masks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from core.analysis.mask_overlap import alive, overlap_matrix
from core.errors import StudioError
from core.events import Finding, MetricPoint
from core.findings import Matrix
from core.history.records import Artifact, RunRecord
from core.history.rounds import Round, round_findings, rounds_of

OVERLAP = "trial-overlap"


class Store(Protocol):
    """What is needed of `core.history.store.HistoryStore`."""

    def run(self, name: str) -> RunRecord: ...
    def metrics(self, run_id: str) -> tuple[MetricPoint, ...]: ...
    def artifacts(self, run_id: str) -> tuple[Artifact, ...]: ...


def trials_of(
    store: Store, names: Sequence[str]
) -> tuple[list[tuple[Round, ...]], list[tuple[str, Path | None]]]:
    """The rounds of each run, and for each its name in words and the file of its last network.

    Raises:
        StudioError: for a run without rounds.
    """
    trials, networks = [], []
    for name in dict.fromkeys(names):
        record = store.run(name)
        rounds = rounds_of(record.recipe, store.metrics(record.run_id))
        if len(rounds) < 2:
            raise StudioError(
                f"Run {record.number} has no rounds of pruning and rewinding: name runs of a Lottery Ticket recipe."
            )
        trials.append(rounds)
        files = (file.path for file in store.artifacts(record.run_id) if file.kind == "model")
        path = next(files, None)
        networks.append((f"run {record.number}", None if path is None else Path(path)))
    return trials, networks


def last_mask_overlap(networks: Sequence[tuple[str, Path | None]]) -> Matrix | None:
    """How much the masks of the runs' last networks agree; None where there are not two of the same shape."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        masks = [alive(load_file(path)) for _, path in networks if path is not None]
        if len(masks) < 2 or len(masks) < len(networks):
            return None
        return overlap_matrix(masks, [name for name, _ in networks], "trial")
    except (OSError, SafetensorError, ValueError):
        return None


def trial_findings(store: Store, names: Sequence[str]) -> tuple[Finding, ...]:
    """What the trials found out together: early stop and accuracy over the remaining weights, overlap of masks.

    Raises:
        StudioError: for a run without rounds.
    """
    trials, networks = trials_of(store, names)
    found = list(round_findings("", trials))
    overlap = last_mask_overlap(networks)
    if overlap is not None:
        title = "Overlap of the last masks between trials"
        found.append(Finding("", OVERLAP, "", title, overlap.to_data()))
    return tuple(found)
