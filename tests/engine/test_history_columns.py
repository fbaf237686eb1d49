"""The history as columns: the same figures as its records give, in every way in which they can be read."""

import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import core.history.snapshot as snapshot
from core.events import Failed, Finished, Measured
from core.history.columns import FIGURES, TEXTS, Coded, RunColumns
from core.history.records import RunRecord
from core.history.store import HistoryStore, open_history
from core.models.source import SAMPLE
from core.recipe import Recipe
from core.request import RunRequest
from core.steps import FineTuneSettings, PruneSettings

from .history_samples import MEASUREMENT, PRUNED, request, started, whole_run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HistoryStore]:
    with open_history(tmp_path / "history.db") as opened:
        yield opened


def fill(store: HistoryStore) -> list[str]:
    """A finished run, a failed one, one that only measured, a queued one and an archived one."""
    made = [request(name=name) for name in ("Größe", "beta", "Alpha", "alpha")]
    only = RunRequest(Recipe(name="Measure"), SAMPLE, None)
    for asked in (*made, only):
        store.add_run(asked)
    ids = [asked.run_id for asked in (*made, only)]
    store.record(whole_run(ids[0]))
    store.record(
        [started(ids[1]), Measured(ids[1], "before", MEASUREMENT), Failed(ids[1], 2_000.0, "No.", "", False)]
    )
    store.record([started(ids[4]), Measured(ids[4], "before", MEASUREMENT), Finished(ids[4], 1_001.0)])
    store.update(ids[0], tags=["paper", "größer"], starred=True, note="**good**")
    store.update(ids[3], archived=True)
    return ids


def same(ours: RunColumns, theirs: RunColumns) -> None:
    assert ours.run_ids == theirs.run_ids
    assert ours.numbers.tolist() == theirs.numbers.tolist()
    assert ours.position == theirs.position
    for name in FIGURES:
        np.testing.assert_array_equal(ours.figures[name], theirs.figures[name], err_msg=name)
    for name in TEXTS:
        assert [*map(ours.texts[name].__getitem__, range(len(ours)))] == [
            *map(theirs.texts[name].__getitem__, range(len(theirs)))
        ], name


def test_columns_say_what_records_say(store: HistoryStore) -> None:
    ids = fill(store)
    records = store.runs(include_archived=True)
    columns = store.columns()
    same(columns, RunColumns.from_records(records))
    failed, alone = columns.position[ids[1]], columns.position[ids[4]]
    assert math.isnan(columns.figures["packed"][failed]), "a failed run has no result"
    assert columns.figures["accuracy"][alone] == MEASUREMENT.accuracy.value  # type: ignore[union-attr]
    assert columns.tags(columns.position[ids[0]]) == ("paper", "größer")
    same(store.columns([ids[2], ids[0]]), RunColumns.from_records([store.run(ids[0]), store.run(ids[2])]))


def test_deleted_runs_are_left_out_but_told_as_changes(store: HistoryStore) -> None:
    ids = fill(store)
    before = store.columns()
    moment = float(before.figures["updated"].max())
    store.delete([ids[2]])
    assert ids[2] not in store.columns().run_ids
    assert ids[2] in store.columns(include_deleted=True).run_ids
    changes = store.columns(changed_since=moment)
    assert ids[2] in changes.run_ids
    same(before.merged(changes), store.columns())
    store.restore([ids[2]])
    same(before.merged(changes).merged(store.columns(changed_since=moment)), store.columns())


def test_further_columns_are_read_when_they_are_asked_for(store: HistoryStore) -> None:
    ids = fill(store)
    names = ["prune.sparsity", "prune.overrides", "step.epochs", "loss", "before.accuracy_count", "packing", "note",
             "recipe", "seed", "parent", "error", "no.such", "nonsense"]  # fmt: skip
    columns = store.with_fields(store.columns(), names)
    first, failed, alone = (columns.position[ids[n]] for n in (0, 1, 4))
    assert columns.figures["prune.sparsity"][[first, alone]].tolist()[0] == 0.8
    assert math.isnan(columns.figures["prune.sparsity"][alone])
    assert columns.texts["prune.overrides"][first] == "conv*: 0.5"
    assert columns.figures["step.epochs"][first] == 2
    assert columns.figures["loss"][first] == PRUNED.accuracy.loss  # type: ignore[union-attr]
    assert math.isnan(columns.figures["loss"][failed])
    assert columns.figures["loss"][alone] == MEASUREMENT.accuracy.loss  # type: ignore[union-attr]
    assert columns.figures["before.accuracy_count"][failed] == 1_000
    assert columns.texts["packing"][first] == PRUNED.packing
    assert columns.texts["packing"][failed] == ""
    assert columns.texts["note"][first] == "**good**"
    assert columns.texts["recipe"][first] == "Prune and fine-tune"
    assert columns.figures["seed"][first] == 7
    assert columns.texts["error"][failed] == "No."
    assert np.isnan(columns.figures["no.such"]).all()
    assert not columns.holds("nonsense")
    # A few runs are read in another way than all of them: with the same answer.
    few = store.with_fields(columns.taken(np.array([first, alone])), [])
    again = store.with_fields(store.columns([ids[0], ids[4]]), names)
    for name in ("prune.sparsity", "loss", "before.accuracy_count", "seed"):
        np.testing.assert_array_equal(few.figures[name], again.figures[name], err_msg=name)


def test_a_setting_of_a_repeated_step_is_found(store: HistoryStore) -> None:
    asked = RunRequest(
        Recipe(name="Two", steps=(FineTuneSettings(epochs=3), PruneSettings(sparsity=0.5))), SAMPLE, None
    )
    store.add_run(asked)
    columns = store.with_fields(store.columns(), ["prune.sparsity", "fine-tune.epochs", "prune.criterion"])
    assert columns.figures["prune.sparsity"].tolist() == [0.5]
    assert columns.figures["fine-tune.epochs"].tolist() == [3]
    assert columns.texts["prune.criterion"][0] == PruneSettings(sparsity=0.5).criterion


# -- the snapshot beside the database ------------------------------------------------------------------------------


@pytest.fixture
def kept(store: HistoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(snapshot, "WORTH_KEEPING", 1)
    fill(store)
    store.columns()
    path = tmp_path / ".history.db.columns"
    assert path.exists()
    return path


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many conditions each reading of columns had: none means that everything was read."""
    seen: list[int] = []
    read = snapshot.read_columns

    def counting(session: object, *conditions: object) -> RunColumns:
        seen.append(len(conditions))
        return read(session, *conditions)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshot, "read_columns", counting)
    return seen


def test_the_next_start_reads_the_snapshot_and_what_changed(
    store: HistoryStore, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_run(request(name="later"))
    store.update(store.runs()[-1].run_id, name="renamed")
    seen = count_reads(monkeypatch)
    same(store.columns(), RunColumns.from_records(store.runs(include_archived=True)))
    assert seen == [1]
    assert "renamed" in store.columns().texts["name"].values


def test_a_snapshot_that_is_not_right_is_not_used(
    store: HistoryStore, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = next(record for record in store.runs() if record.status == "finished")
    store.purge([finished.run_id])
    seen = count_reads(monkeypatch)
    same(store.columns(), RunColumns.from_records(store.runs(include_archived=True)))
    assert seen == [1, 0]
    with open_history(tmp_path / "other.db") as other:
        fill(other)
        shutil.copy(kept, tmp_path / ".other.db.columns")
        same(other.columns(), RunColumns.from_records(other.runs(include_archived=True)))


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", None])
def test_a_damaged_snapshot_is_made_anew(store: HistoryStore, kept: Path, damage: bytes | None) -> None:
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    same(store.columns(), RunColumns.from_records(store.runs(include_archived=True)))
    assert len(kept.read_bytes()) > len(whole) // 2


# -- properties ----------------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=3), max_size=20), st.lists(st.text(max_size=3), max_size=8), st.data())
def test_merged_texts_are_those_of_the_rows(old: list[str], changes: list[str], data: st.DataObject) -> None:
    if old:
        places = data.draw(st.lists(st.integers(0, len(old) - 1), unique=True, max_size=len(changes)))
    else:
        places = []
    rows = np.array([*places, *([-1] * (len(changes) - len(places)))], dtype=np.intp)
    merged = Coded.of(old).merged(rows, Coded.of(changes), rows < 0)
    wanted = list(old)
    for row, text in zip(rows.tolist(), changes, strict=True):
        if row >= 0:
            wanted[row] = text
        else:
            wanted.append(text)
    assert [merged[n] for n in range(len(merged))] == wanted
    assert merged.index == {value: code for code, value in enumerate(merged.values)}
    ranks = merged.ranks
    for one in range(len(wanted)):
        for other in range(len(wanted)):
            assert (ranks[one] < ranks[other]) == (wanted[one].casefold() < wanted[other].casefold())


def test_a_run_that_comes_late_takes_its_place(store: HistoryStore) -> None:
    fill(store)
    records: list[RunRecord] = store.runs(include_archived=True)
    without = RunColumns.from_records([record for record in records if record.number != 2])
    late = RunColumns.from_records([record for record in records if record.number == 2])
    same(without.merged(late), RunColumns.from_records(records))
    gone = RunColumns.from_records([replace(record, deleted_at=1.0) for record in records[:2]])
    same(RunColumns.from_records(records).merged(gone), RunColumns.from_records(records[2:]))
