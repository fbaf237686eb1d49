"""The contract of every store: the same tests on a SQLite file and, where one is offered, on PostgreSQL.

Set COMPRESSION_STUDIO_POSTGRES to the SQLAlchemy URL of an empty scratch database to run them there, too.
"""

import math
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import get_args

import pytest
from sqlalchemy import create_engine

from core.data.spec import TaskSpec
from core.errors import StudioError
from core.events import (
    ArtifactWritten,
    Cancelled,
    EndEvent,
    Event,
    Failed,
    Finished,
    Interrupted,
    LayersMeasured,
    Measured,
    MetricPoint,
    Notice,
)
from core.history.archive import pack_run, unpack_run
from core.history.columns import FIGURES, TEXTS, RunColumns
from core.history.orm import Base
from core.history.query import parse_query, search
from core.history.records import Artifact
from core.history.store import HistoryStore, open_history
from core.measurement.records import Measurement
from core.models.source import ModelSource
from core.recipe import Recipe

from .history_samples import (
    LAYERS,
    MEASUREMENT,
    PRUNED,
    RECIPE,
    SHA256,
    finding,
    points,
    request,
    started,
    whole_run,
    without_clock,
)

POSTGRES = "COMPRESSION_STUDIO_POSTGRES"


@pytest.fixture(params=["file", "postgresql"] if os.environ.get(POSTGRES) else ["file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HistoryStore]:
    if request.param == "file":
        with open_history(tmp_path / "history.db") as opened:
            yield opened
        return
    url = os.environ[POSTGRES]
    try:
        with open_history(url) as opened:
            yield opened
    finally:
        engine = create_engine(url)
        Base.metadata.drop_all(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE alembic_version")
        engine.dispose()


def test_a_new_run_is_queued_and_numbered_for_people(store: HistoryStore) -> None:
    first, second = store.add_run(request()), store.add_run(request(name="Second"))
    assert (first.number, second.number) == (1, 2)
    assert (first.name, second.name) == ("Prune and fine-tune", "Second")
    assert first.status == "queued"
    assert not first.is_over
    assert first.started is first.ended is first.before is first.after is None
    assert first.method == "prune + fine-tune"
    assert (first.source_title, first.task_title) == ("Digits sample", "Digits (8×8, built in)")
    assert [record.number for record in store.runs()] == [2, 1]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"task": None, "recipe": Recipe(name="Only measure"), "threads": None, "device": "auto"},
        {"source": ModelSource("torchvision", "resnet18", weights="DEFAULT", num_classes=10)},
        {"task": TaskSpec("folder", folder="/data/Übung 日本", evaluate_all=True), "measure_latency": True},
        {"seed": 2**62},
    ],
)
def test_a_request_comes_back_as_it_went_in(store: HistoryStore, changes: dict[str, object]) -> None:
    asked = request(name="As asked", **changes)
    store.add_run(asked)
    assert store.request_of(asked.run_id) == asked


def test_a_whole_run_is_kept(store: HistoryStore) -> None:
    asked = request()
    store.add_run(asked)
    store.record(whole_run(asked.run_id))
    record = store.run(asked.run_id)
    assert record.status == "finished"
    assert record.is_over
    assert (record.started, record.ended, record.active_seconds) == (1_000.0, 1_060.0, 2.0)
    assert (record.before, record.after) == (MEASUREMENT, PRUNED)
    assert record.environment == {"torch": "2.14", "device": "cpu"}
    assert record.source_sha256 == SHA256
    assert record.notices == ("The test split is small.",)
    assert store.layers(asked.run_id, "before") == LAYERS
    assert store.layers(asked.run_id, "after") == LAYERS[:1]
    assert store.layers(asked.run_id, "never") == ()
    model, recipe = store.artifacts(asked.run_id)
    assert model == Artifact("model", f"/results/{asked.run_id}/model.safetensors", 4_200, "a" * 64)
    assert recipe.kind == "recipe"


def test_curves_come_back_in_order_with_their_nans(store: HistoryStore) -> None:
    asked = request()
    store.add_run(asked)
    curve = points(asked.run_id, 20)
    odd = MetricPoint(asked.run_id, 2, 3.0, 30, "validation", "loss", math.nan, 9.0)
    huge = MetricPoint(asked.run_id, 2, 3.0, 31, "validation", "loss", math.inf, 9.0)
    store.record([huge, *reversed(curve), odd])
    *first, nan, infinite = store.metrics(asked.run_id)
    assert first == curve
    assert infinite == huge
    assert math.isnan(nan.value)
    assert replace(nan, value=0.0) == replace(odd, value=0.0)
    assert store.metrics("nobody") == ()


def test_recording_again_changes_nothing(store: HistoryStore) -> None:
    asked = request()
    store.add_run(asked)
    events = whole_run(asked.run_id)
    store.record(events)
    once = store.run(asked.run_id), repr(store.metrics(asked.run_id)), store.artifacts(asked.run_id)
    store.record(events)
    twice = store.run(asked.run_id), repr(store.metrics(asked.run_id)), store.artifacts(asked.run_id)
    assert without_clock(once[0]) == without_clock(twice[0])
    assert once[1:] == twice[1:]


def test_every_kind_of_event_is_accepted(store: HistoryStore) -> None:
    asked = request()
    store.add_run(asked)
    events = [
        *whole_run(asked.run_id),
        Failed(asked.run_id, 1.0, "m", "d", False),
        Cancelled(asked.run_id, 1.0),
        Interrupted(asked.run_id, 1.0),
    ]
    assert {type(event) for event in events} == set(get_args(Event))
    for event in events:
        store.record([event])
    assert store.run(asked.run_id).status == "finished"


ENDS = {
    "finished": Finished("", 2.0, stopped_early=True),
    "failed": Failed("", 2.0, "The loss became NaN.", "Traceback …", False),
    "cancelled": Cancelled("", 2.0),
    "interrupted": Interrupted("", 2.0),
}


@pytest.mark.parametrize("status", ENDS)
def test_a_run_has_exactly_one_end(store: HistoryStore, status: str) -> None:
    asked = request()
    store.add_run(asked)
    end = replace(ENDS[status], run_id=asked.run_id)
    store.record([started(asked.run_id), end])
    store.record([replace(late, run_id=asked.run_id, time=9.0) for late in ENDS.values()])
    record = store.run(asked.run_id)
    assert (record.status, record.ended) == (status, 2.0)
    assert record.stopped_early == (status == "finished")
    assert record.error == ("The loss became NaN." if status == "failed" else "")
    assert record.error_details == ("Traceback …" if status == "failed" else "")
    assert {type(end) for end in ENDS.values()} == set(get_args(EndEvent))


def test_a_resumed_run_keeps_its_curve_and_replaces_what_it_computes_again(store: HistoryStore) -> None:
    asked = request()
    store.add_run(asked)
    first = points(asked.run_id, 10)
    store.record([started(asked.run_id), *first, Interrupted(asked.run_id, 1_010.0)])
    again = [replace(point, value=5.0) for point in points(asked.run_id, 10, first=8)]
    resumed = replace(started(asked.run_id, resumed=True), time=2_000.0)
    store.record([resumed, *again])
    record = store.run(asked.run_id)
    assert (record.status, record.started, record.ended) == ("running", 1_000.0, None)
    assert list(store.metrics(asked.run_id)) == first[:8] + again


def test_a_run_that_starts_again_from_nothing_forgets_the_first_attempt(store: HistoryStore) -> None:
    asked = request()
    store.add_run(asked)
    *work, _ = whole_run(asked.run_id)
    store.record([*work, Failed(asked.run_id, 1_010.0, "The disk is full.", "", False)])
    assert store.add_run(asked).status == "queued"
    assert store.run(asked.run_id).error == ""
    store.record([replace(started(asked.run_id), time=2_000.0), *points(asked.run_id, 1)])
    record = store.run(asked.run_id)
    assert (record.status, record.started) == ("running", 2_000.0)
    assert record.before is record.after is None
    assert len(store.metrics(asked.run_id)) == 1
    assert store.layers(asked.run_id, "before") == ()
    assert store.artifacts(asked.run_id) == ()


def test_only_a_run_that_can_go_on_may_be_added_again(store: HistoryStore) -> None:
    asked = request()
    store.add_run(asked)
    store.add_run(asked)
    store.record([started(asked.run_id), Finished(asked.run_id, 2.0)])
    with pytest.raises(StudioError, match=r"Run 1 has already finished: run it again as a new one\."):
        store.add_run(asked)
    assert len(store.runs()) == 1


def test_a_measured_stage_and_its_layers_replace_the_earlier_ones(store: HistoryStore) -> None:
    asked = request()
    store.add_run(asked)
    bare = replace(MEASUREMENT, accuracy=None, latency=None, macs=None, input_shape=None)
    store.record(
        [Measured(asked.run_id, "before", MEASUREMENT), LayersMeasured(asked.run_id, "before", LAYERS)]
    )
    store.record([Measured(asked.run_id, "before", bare), LayersMeasured(asked.run_id, "before", LAYERS[1:])])
    assert store.run(asked.run_id).before == bare
    assert store.layers(asked.run_id, "before") == LAYERS[1:]


def test_an_artifact_written_again_is_listed_once(store: HistoryStore) -> None:
    asked = request()
    store.add_run(asked)
    store.record([ArtifactWritten(asked.run_id, "checkpoint", "/a", n, "c" * 64) for n in range(3)])
    assert store.artifacts(asked.run_id) == (Artifact("checkpoint", "/a", 2, "c" * 64),)


def test_findings_come_back_and_replace_the_earlier_ones_of_their_key(store: HistoryStore) -> None:
    asked = request()
    store.add_run(asked)
    told = finding(asked.run_id)
    other = replace(told, kind="confusion", key="", data={"rows": [[1, 2], [3, 4]]})
    store.record([started(asked.run_id), told, other])
    readable = {"x": [1, 2.5, None], "inner": {"most": None, "text": "größer"}, "none": None}
    assert store.findings(asked.run_id) == (other, replace(told, data=readable))
    store.record([replace(told, data={"x": []})])
    assert store.findings(asked.run_id, "deletion-curve") == (replace(told, data={"x": []}),)
    assert store.findings(asked.run_id, "unknown") == ()
    store.record([Interrupted(asked.run_id, 2.0), started(asked.run_id)])
    assert store.findings(asked.run_id) == ()


def test_the_run_whose_result_is_opened_is_remembered_as_the_parent(store: HistoryStore) -> None:
    parent, child, stranger = request(), request(), request()
    for asked in (parent, child, stranger):
        store.add_run(asked)
    store.record([started(parent.run_id, sha256="a" * 64), *whole_run(parent.run_id)])
    store.record([started(child.run_id, sha256="a" * 64), started(stranger.run_id, sha256="b" * 64)])
    assert store.run(child.run_id).parent_run_id == parent.run_id
    assert store.run(parent.run_id).parent_run_id is None
    # Only models count: the recipe of the parent happens to have that digest.
    assert store.run(stranger.run_id).parent_run_id is None


def test_runs_are_found_by_id_number_and_beginning(store: HistoryStore) -> None:
    ids = ["abc1" + "0" * 28, "abc2" + "0" * 28, "777e" + "0" * 28]
    for run_id in ids:
        store.add_run(request(run_id=run_id))
    assert store.run(ids[1]).run_id == ids[1]
    assert store.run(" 2 ").run_id == ids[1]
    assert store.run("abc1").run_id == ids[0]
    assert store.run("777").run_id == ids[2]
    with pytest.raises(StudioError, match=r"Several runs begin with “abc” \(runs 1, 2\)"):
        store.run("abc")
    for unknown in ("", "%", "abc_", "4", "99999999999999999999999", "abc1 or 1=1", "d"):
        with pytest.raises(StudioError, match="There is no run “"):
            store.run(unknown)


def test_what_the_user_says_about_a_run_is_kept(store: HistoryStore) -> None:
    asked = request()
    store.add_run(asked)
    store.update(asked.run_id, name=" Best so far ", note="# Why\nIt is small.", tags=["a", " b ", "a", ""])
    store.update(asked.run_id, starred=True)
    record = store.run(asked.run_id)
    assert (record.name, record.note, record.tags) == ("Best so far", "# Why\nIt is small.", ("a", "b"))
    assert record.starred
    store.update(asked.run_id, note="", tags=(), starred=False)
    record = store.run(asked.run_id)
    assert (record.note, record.tags, record.starred) == ("", (), False)
    with pytest.raises(StudioError, match="must not be empty"):
        store.update(asked.run_id, name="  ")
    with pytest.raises(StudioError, match="There is no run “nobody”"):
        store.update("nobody", starred=True)


def test_deleted_runs_come_back_as_they_were(store: HistoryStore) -> None:
    asked = [request() for _ in range(3)]
    for one in asked:
        store.add_run(one)
        store.record(whole_run(one.run_id))
    before = [without_clock(record) for record in store.runs()]
    gone = [one.run_id for one in asked[:2]]
    store.delete(gone)
    assert [record.number for record in store.runs()] == [3]
    assert len(store.runs(include_deleted=True)) == 3
    assert store.run(gone[0]).deleted_at is not None
    store.restore(gone)
    assert [without_clock(record) for record in store.runs()] == before


def test_purged_runs_are_gone_with_their_files_and_their_numbers(store: HistoryStore) -> None:
    asked, running = request(), request()
    store.add_run(asked)
    store.record(whole_run(asked.run_id))
    store.add_run(running)
    folder = store.run_folder(asked.run_id)
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(StudioError, match="Run 2 is queued: cancel it"):
        store.purge([asked.run_id, running.run_id])
    assert folder.exists()
    store.record([Cancelled(running.run_id, 1.0)])
    store.purge([asked.run_id, running.run_id])
    assert store.runs(include_archived=True, include_deleted=True) == []
    assert store.metrics(asked.run_id) == store.artifacts(asked.run_id) == ()
    assert not folder.exists()
    # Whoever still works on a purged run must not fail.
    store.record(whole_run(asked.run_id))
    assert store.add_run(request()).number == 3


def test_archived_runs_are_listed_on_demand(store: HistoryStore) -> None:
    asked = request()
    store.add_run(asked)
    store.update(asked.run_id, archived=True)
    assert store.runs() == []
    assert [record.archived for record in store.runs(include_archived=True)] == [True]


def test_only_changed_runs_are_listed_on_demand(store: HistoryStore) -> None:
    first, second = request(), request()
    store.add_run(first)
    mark = store.add_run(second).updated
    store.update(first.run_id, starred=True)
    changed = store.runs(changed_since=store.run(first.run_id).updated)
    assert first.run_id in {record.run_id for record in changed}
    assert all(record.updated >= mark for record in store.runs(changed_since=mark))
    assert store.runs(changed_since=mark + 1e6) == []


def test_any_text_can_be_kept(store: HistoryStore) -> None:
    asked = request(name="日本語 😀 ' ; -- \udcff \x00 \n", source=ModelSource("file", "/models/\udce4.pt"))
    store.add_run(asked)
    store.record([Failed(asked.run_id, 1.0, "bad \udcff", "\x00" * 3, True), Notice(asked.run_id, "n 😀")])
    record = store.run(asked.run_id)
    assert record.name == "日本語 😀 ' ; -- \\udcff \\x00 \n"
    assert record.error == "bad \\udcff"
    assert record.notices == ("n 😀",)
    assert store.request_of(asked.run_id).source == asked.source


def test_events_of_unknown_runs_are_dropped_without_hurting_others(store: HistoryStore) -> None:
    asked = request()
    store.add_run(asked)
    store.record([])
    store.record([started("stranger"), *points("stranger", 3), *points(asked.run_id, 3)])
    assert len(store.metrics(asked.run_id)) == 3
    assert store.metrics("stranger") == ()


def test_a_batch_is_written_whole_or_not_at_all(store: HistoryStore) -> None:
    asked = request()
    store.add_run(asked)
    broken = Measured(asked.run_id, "before", replace(MEASUREMENT, packing=None))
    before = store.run(asked.run_id)
    with pytest.raises(Exception, match="packing"):
        store.record([started(asked.run_id), *points(asked.run_id, 3), broken])
    assert store.run(asked.run_id) == before
    assert store.metrics(asked.run_id) == ()


@dataclass(frozen=True)
class LaterMeasurement(Measurement):
    """A measurement of a later version, before its schema has a column for the new figure."""

    energy: float = 0.0


def test_figures_without_a_column_are_not_lost(store: HistoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    later = LaterMeasurement(
        **{field.name: getattr(MEASUREMENT, field.name) for field in fields(Measurement)}, energy=2.5
    )
    asked = request()
    store.add_run(asked)
    store.record([Measured(asked.run_id, "before", later)])
    assert store.run(asked.run_id).before == MEASUREMENT
    monkeypatch.setattr("core.history.rows.Measurement", LaterMeasurement)
    assert store.run(asked.run_id).before == later


def test_threads_lose_nothing(store: HistoryStore) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            asked = request()
            store.add_run(asked)
            store.record([started(asked.run_id)])
            for batch in range(10):
                store.record(points(asked.run_id, 20, first=20 * batch))
                store.runs()
            store.record([Finished(asked.run_id, 2_000.0)])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    records = store.runs()
    assert sorted(record.number for record in records) == [1, 2, 3, 4, 5]
    assert {record.status for record in records} == {"finished"}
    assert all(len(store.metrics(record.run_id)) == 200 for record in records)


def test_run_folders_stay_inside_their_folder(store: HistoryStore) -> None:
    folder = store.run_folder("abc")
    assert folder.name == "abc"
    assert folder.parent.name == "runs"
    for bad in ("", "..", "../x", "a/b", "a\\b", ".hidden"):
        with pytest.raises(ValueError, match="no name of a run"):
            store.run_folder(bad)


def test_a_closed_history_says_so(store: HistoryStore) -> None:
    store.close()
    store.close()
    with pytest.raises(StudioError, match="is already closed"):
        store.runs()


def test_a_recipe_of_a_newer_version_is_shown_but_cannot_run(store: HistoryStore) -> None:
    asked = request(recipe=RECIPE.model_copy(update={"version": 9}))
    store.add_run(asked)
    assert store.run("1").recipe["version"] == 9
    with pytest.raises(StudioError, match="The recipe of run 1 was written by a newer version"):
        store.request_of(asked.run_id)


def test_columns_and_further_fields_say_what_records_say(store: HistoryStore) -> None:
    asked = request(name="Größe")
    store.add_run(asked)
    store.record(whole_run(asked.run_id))
    store.add_run(request(name="queued"))
    store.update(asked.run_id, tags=["a", "größer"], note="**n**")
    records = store.runs()
    columns = store.with_fields(
        store.columns(), ["prune.sparsity", "loss", "before.packing", "note", "recipe", "seed", "device"]
    )
    wanted = RunColumns.from_records(records)
    assert columns.run_ids == wanted.run_ids
    for name in FIGURES:
        assert repr(columns.figures[name].tolist()) == repr(wanted.figures[name].tolist()), name
    for name in TEXTS:
        assert [columns.texts[name][n] for n in range(2)] == [wanted.texts[name][n] for n in range(2)], name
    assert columns.figures["prune.sparsity"].tolist() == [0.8, 0.8]
    assert columns.figures["loss"][0] == PRUNED.accuracy.loss  # type: ignore[union-attr]
    assert columns.texts["before.packing"][0] == MEASUREMENT.packing
    assert columns.texts["note"][0] == "**n**"
    assert columns.texts["recipe"][0] == "Prune and fine-tune"
    assert columns.figures["seed"].tolist() == [7.0, 7.0]
    assert columns.texts["device"][1] == "cpu"
    assert store.count() == 2
    query = parse_query("accuracy > 90 % and step.sparsity = 80 % tag:größer")
    assert search(store.with_fields(columns, query.fields), query).tolist() == [True, False]
    assert [record.name for record in store.runs_named([columns.run_ids[1], "none", asked.run_id])] == [
        "queued",
        "Größe",
    ]


def test_only_what_changed_is_read_again(store: HistoryStore) -> None:
    first, second = request(name="one"), request(name="two")
    store.add_run(first)
    store.add_run(second)
    columns = store.columns()
    moment = float(columns.figures["updated"].max())
    store.update(first.run_id, name="other")
    store.delete([second.run_id])
    changes = store.columns(changed_since=moment)
    assert set(changes.run_ids) == {first.run_id, second.run_id}
    assert columns.merged(changes).texts["name"].values[-1] == "other"
    assert columns.merged(changes).run_ids == store.columns().run_ids == [first.run_id]


def test_a_packed_run_comes_in_again(store: HistoryStore, tmp_path: Path) -> None:
    asked = request()
    store.add_run(asked)
    events = [event for event in whole_run(asked.run_id) if not isinstance(event, ArtifactWritten)]
    store.record(events)
    pack_run(store, asked.run_id, tmp_path / "run.zip")
    again = unpack_run(store, tmp_path / "run.zip", again=True)
    assert again.number == 2
    assert len(store.metrics(again.run_id)) == len(store.metrics(asked.run_id))
    assert store.findings(again.run_id)[0].data == store.findings(asked.run_id)[0].data


def test_the_newest_runs_are_read_without_the_others(store: HistoryStore) -> None:
    asked = [request(name=f"run {n}") for n in range(5)]
    for each in asked:
        store.add_run(each)
    store.update(asked[4].run_id, archived=True)
    store.delete([asked[3].run_id])
    assert [record.name for record in store.latest(2)] == ["run 2", "run 1"]
    assert [record.name for record in store.latest(9, status="queued")] == ["run 2", "run 1", "run 0"]
    assert store.latest(9, status="finished") == []
