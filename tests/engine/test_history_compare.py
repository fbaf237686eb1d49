"""Comparison: the table, the front, the curves and the layers, by example and by property."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.events import MetricPoint
from core.history.alignment import merged_names, merged_steps
from core.history.compare import (
    ComparisonRow,
    ComparisonTable,
    accuracy_against_size,
    align_curves,
    compare_layers,
    compare_table,
    pareto,
)
from core.history.records import RunRecord
from core.measurement.records import Accuracy, LayerStatistics
from core.recipe import Recipe
from core.steps import FineTuneSettings, PruneSettings

from .history_samples import LAYERS, MEASUREMENT, PRUNED, RECIPE


def record(number: int = 1, **changes: object) -> RunRecord:
    base = RunRecord(
        run_id=f"{number:032x}",
        number=number,
        name=f"Run {number}",
        status="finished",
        created=float(number),
        started=1.0,
        ended=2.0,
        seed=0,
        source={"kind": "sample", "name": "sample", "weights": None},
        source_title="Digits sample",
        source_sha256="5" * 64,
        task={"name": "digits", "image_size": None, "mean": [0.5], "split_seed": 0},
        task_title="Digits",
        recipe=RECIPE.model_dump(mode="json"),
        method="prune + fine-tune",
        environment={"torch": "2.14", "device": "cpu"},
        before=MEASUREMENT,
        after=PRUNED,
    )
    return replace(base, **changes)


def with_recipe(number: int, *steps: PruneSettings | FineTuneSettings) -> RunRecord:
    return record(number, recipe=Recipe(name="Other", steps=steps).model_dump(mode="json"))


def row(table: ComparisonTable, label: str) -> ComparisonRow:
    (found,) = [row for row in table.rows if row.label == label]
    return found


def test_equal_runs_differ_in_nothing() -> None:
    table = compare_table([record(1), record(2), record(3)])
    assert table.differing() == ()
    assert [row.group for row in table.rows] == sorted(
        (row.group for row in table.rows), key=["Origin", "Settings", "Measurements"].index
    )
    labels = [row.label for row in table.rows]
    assert len(labels) == len(set(labels))


def test_settings_have_the_titles_and_units_of_the_forms() -> None:
    table = compare_table(
        [record(1), with_recipe(2, PruneSettings(sparsity=0.905), FineTuneSettings(epochs=4))]
    )
    assert row(table, "1 Prune · Sparsity").texts == ("80 %", "90.5 %")
    assert row(table, "1 Prune · Sparsity").values == (0.8, 0.905)
    assert row(table, "1 Prune · Own sparsity for").texts == ("conv*: 50 %", "none")
    assert row(table, "1 Prune · Leave alone").texts == ("fc2", "none")
    assert row(table, "2 Fine-tune · Batch size").texts == ("64 examples", "64 examples")
    assert row(table, "2 Fine-tune · Learning rate").texts == ("0.001", "0.001")
    assert {row.label for row in table.differing()} == {
        "Recipe",
        "1 Prune · Sparsity",
        "1 Prune · Own sparsity for",
        "1 Prune · Leave alone",
        "2 Fine-tune · Epochs",
    }


def test_a_step_that_only_one_recipe_has_stands_in_a_slot_of_its_own() -> None:
    table = compare_table(
        [
            with_recipe(1, PruneSettings(), FineTuneSettings(epochs=2)),
            with_recipe(2, FineTuneSettings(epochs=9), PruneSettings(), FineTuneSettings(epochs=2)),
        ]
    )
    assert row(table, "1 Fine-tune · Epochs").texts == ("–", "9")
    assert row(table, "2 Prune · Sparsity").differs is False
    assert row(table, "3 Fine-tune · Epochs").texts == ("2", "2")
    assert row(table, "Steps").texts == ("Prune + Fine-tune", "Fine-tune + Prune + Fine-tune")


def test_a_setting_that_an_old_recipe_lacks_counts_as_its_default() -> None:
    old = record(1)
    recipe = json.loads(json.dumps(old.recipe))
    del recipe["steps"][1]["weight_decay"]
    recipe["steps"][0]["exclude"] = []
    del recipe["steps"][0]["exclude"]
    table = compare_table([replace(old, recipe=recipe), with_recipe(2, *RECIPE.steps)])
    assert row(table, "2 Fine-tune · Weight decay").texts == ("0", "0")
    assert not row(table, "2 Fine-tune · Weight decay").differs
    assert row(table, "1 Prune · Leave alone").texts == ("none", "fc2")


def test_steps_of_a_newer_version_are_shown_as_they_are() -> None:
    newer = record(2, recipe={"name": "New", "steps": [{"step": "fold", "times": 3, "gently": True}]})
    table = compare_table([record(1), newer])
    assert row(table, "3 fold · times").texts == ("–", "3")
    assert row(table, "3 fold · gently").texts == ("–", "yes")


def test_differences_count_from_the_baseline_and_tell_better_from_worse() -> None:
    small = replace(
        PRUNED, packed_bytes=450, accuracy=replace(PRUNED.accuracy, correct=900, low=0.88, high=0.917)
    )
    table = compare_table([record(1), record(2, after=small)])
    accuracy = row(table, "Accuracy after")
    assert accuracy.texts == (
        "94.00 % (92.35 to 95.30 %, n = 1,000)",
        "90.00 % (88.00 to 91.70 %, n = 1,000)",
    )
    assert accuracy.differences == ("", "▼ −4.00 pp")
    assert accuracy.better == (None, -1)
    assert accuracy.notes == ("", "")
    packed = row(table, "Packed size after")
    assert packed.differences == ("", "▼ −50.0 %")
    assert packed.better == (None, 1)
    assert row(table, "Sparsity after").better == (None, 0)
    other = compare_table([record(1), record(2, after=small)], baseline=1)
    assert row(other, "Packed size after").differences == ("▲ +100 %", "")


def test_a_difference_within_the_noise_is_called_that() -> None:
    close = replace(PRUNED, accuracy=Accuracy(945, 1_000, 0.929, 0.958, 0.2, "test", "digits"))
    accuracy = row(compare_table([record(1), record(2, after=close)]), "Accuracy after")
    assert accuracy.differences == ("", "▲ +0.50 pp")
    assert accuracy.notes[1] == "The 95 % interval of the difference includes zero: this may be chance."


def test_what_was_measured_otherwise_gets_no_difference() -> None:
    other = replace(
        MEASUREMENT,
        accuracy=replace(MEASUREMENT.accuracy, task="mnist"),
        latency=replace(MEASUREMENT.latency, threads=8),
        input_shape=(3, 32, 32),
    )
    table = compare_table([record(1, after=MEASUREMENT), record(2, after=other)])
    for label in ("Accuracy after", "Loss after", "Latency after", "MACs after"):
        assert row(table, label).differences == ("", "")
        assert row(table, label).better == (None, None)
        assert "cannot be compared" in row(table, label).notes[1]
    assert row(table, "Latency protocol after").differs


def test_what_was_not_measured_is_a_dash() -> None:
    bare = replace(PRUNED, accuracy=None, latency=None, macs=None)
    table = compare_table([record(1), record(2, after=bare), record(3, after=None)])
    for label in ("Accuracy after", "Latency after", "MACs after"):
        assert row(table, label).texts[1:] == ("–", "–")
        assert row(table, label).values[1:] == (None, None)
        assert row(table, label).differences == ("", "", "")
        assert row(table, label).differs
    nowhere = compare_table([record(1, before=None), record(2, before=None)])
    assert not any(row.label.endswith(" before") for row in nowhere.rows)


def test_the_table_is_json() -> None:
    diverged = replace(PRUNED, accuracy=replace(PRUNED.accuracy, loss=math.nan))
    table = compare_table(
        [record(1, after=diverged), record(2, task=None, task_title="", source_sha256=None)]
    )
    data = json.loads(json.dumps(table.to_json(), allow_nan=False))
    assert [run["number"] for run in data["runs"]] == [1, 2]
    assert data["baseline"] == record(1).run_id
    assert len(data["rows"]) == len(table.rows)
    (loss,) = [entry for entry in data["rows"] if entry["label"] == "Loss after"]
    assert loss["texts"][0] == "NaN"
    differing = table.to_json(only_differing=True)["rows"]
    assert differing
    assert all(entry["differs"] for entry in differing)


def test_no_runs_give_an_empty_table_and_a_wrong_baseline_is_refused() -> None:
    assert compare_table([]).rows == ()
    assert compare_table([]).to_json() == {"runs": [], "baseline": None, "rows": []}
    with pytest.raises(IndexError):
        compare_table([record(1)], baseline=1)


measurements = st.builds(
    lambda nonzero, packed, correct, loss, measured: replace(
        PRUNED,
        nonzero_weights=nonzero,
        packed_bytes=packed,
        accuracy=replace(PRUNED.accuracy, correct=correct, loss=loss) if measured else None,
    ),
    st.integers(0, 900),
    st.integers(1, 3),
    st.integers(0, 1_000),
    st.floats(),
    st.booleans(),
)
steps = st.one_of(
    st.builds(PruneSettings, sparsity=st.sampled_from([0.5, 0.9])),
    st.builds(FineTuneSettings, epochs=st.integers(1, 2)),
)
records = st.builds(
    lambda number, steps, before, after, seed: replace(
        with_recipe(number, *steps), before=before, after=after, seed=seed
    ),
    st.integers(1, 9),
    st.lists(steps, max_size=4),
    st.none() | measurements,
    st.none() | measurements,
    st.integers(0, 1),
)


@given(st.lists(records, min_size=1, max_size=4), st.data())
def test_every_row_speaks_of_every_run(runs: list[RunRecord], data: st.DataObject) -> None:
    baseline = data.draw(st.integers(0, len(runs) - 1))
    table = compare_table(runs, baseline)
    json.dumps(table.to_json(), allow_nan=False)
    for one in table.rows:
        lengths = {len(part) for part in (one.values, one.texts, one.differences, one.better, one.notes)}
        assert lengths == {len(runs)}
        assert one.differs == any(value != one.values[0] for value in one.values)
        assert one.differences[baseline] == ""
        assert one.better[baseline] is None
        for value, text in zip(one.values, one.texts, strict=True):
            assert (value is None) == (text == "–")
    same = compare_table([runs[0]] * 3)
    assert same.differing() == ()


# -- the front -------------------------------------------------------------------------------------------------

coordinate = st.integers(0, 6).map(float)
spots = st.tuples(st.none() | coordinate | st.just(math.nan), st.none() | coordinate)


@given(st.lists(spots, max_size=30), st.tuples(st.booleans(), st.booleans()))
def test_the_front_is_what_nothing_dominates(
    places: list[tuple[float | None, float | None]], smaller: tuple[bool, bool]
) -> None:
    def cost(spot: tuple[float | None, float | None]) -> tuple[float, float] | None:
        if None in spot or any(math.isnan(part) for part in spot):
            return None
        return tuple(part if small else -part for part, small in zip(spot, smaller, strict=True))

    costs = [cost(spot) for spot in places]

    def on_front(mine: tuple[float, float] | None) -> bool:
        return mine is not None and not any(
            theirs is not None and theirs != mine and theirs[0] <= mine[0] and theirs[1] <= mine[1]
            for theirs in costs
        )

    assert pareto(places, smaller_is_better=smaller) == tuple(on_front(mine) for mine in costs)


def test_runs_become_points_of_accuracy_against_size() -> None:
    worse = replace(PRUNED, packed_bytes=2_000, accuracy=replace(PRUNED.accuracy, correct=930))
    runs = [
        record(1),
        record(2, after=None),
        record(3, after=worse),
        record(4, after=replace(PRUNED, accuracy=None)),
        record(5, before=None, after=None),
    ]
    points = accuracy_against_size(runs)
    assert [(point.number, point.size, point.on_front) for point in points] == [
        (1, 900, True),
        (2, 4_100, True),
        (3, 2_000, False),
    ]
    assert {point.size for point in accuracy_against_size(runs, packed=False)} == {4_200}


# -- curves and layers -----------------------------------------------------------------------------------------


def test_curves_are_laid_over_each_other_by_any_axis() -> None:
    def point(step: int, epoch: float, iteration: int, value: float, seconds: float) -> MetricPoint:
        return MetricPoint("a", step, epoch, iteration, "train", "loss", value, seconds)

    line = [point(1, 0.5, 5, 0.9, 1.0), point(1, 1.0, 10, 0.8, 2.0), point(3, 1.0, 20, 0.7, 9.0)]
    other = [MetricPoint("b", 0, 1.0, 3, "validation", "accuracy", 0.5, 1.0)]
    (by_epoch, second) = align_curves([*line, *other], "epoch")
    assert (by_epoch.run_id, by_epoch.split, by_epoch.metric) == ("a", "train", "loss")
    # The second training step counts its epochs from 0 again.
    assert by_epoch.x == (0.5, 1.0, 2.0)
    assert by_epoch.y == (0.9, 0.8, 0.7)
    assert (second.run_id, second.x, second.y) == ("b", (1.0,), (0.5,))
    assert align_curves(line, "iteration")[0].x == (5.0, 10.0, 20.0)
    assert align_curves(line, "time")[0].x == (1.0, 2.0, 9.0)
    assert align_curves([], "time") == ()


def test_layers_stand_side_by_side_though_models_differ() -> None:
    extra = LayerStatistics("shortcut", "conv2d", (1,), 1, 1, None)
    sparser = replace(LAYERS[1], nonzero_weights=10)
    rows = compare_layers([LAYERS, (LAYERS[0], extra, sparser)])
    assert [row.name for row in rows] == ["conv1", "shortcut", "fc2"]
    assert [row.differs for row in rows] == [False, True, True]
    assert rows[1].sparsities == (None, 0.0)
    assert rows[2].layers == (LAYERS[1], sparser)
    assert compare_layers([]) == compare_layers([(), ()]) == ()


kinds = st.lists(st.sampled_from(["prune", "fine-tune", "quantize"]), max_size=6)


@given(st.lists(kinds, max_size=4))
def test_slots_hold_every_step_once_and_in_order(sequences: list[list[str]]) -> None:
    slots = merged_steps(sequences)
    for run, sequence in enumerate(sequences):
        placed = [(indices[run], kind) for kind, indices in slots if indices[run] is not None]
        assert placed == list(enumerate(sequence))
    assert all(any(index is not None for index in indices) for _, indices in slots)


@given(st.lists(kinds, min_size=1, max_size=3))
def test_equal_recipes_share_all_slots(sequences: list[list[str]]) -> None:
    assert len(merged_steps([sequences[0]] * 3)) == len(sequences[0])


names = st.lists(st.integers(0, 8), unique=True, max_size=8)


@given(st.lists(names, max_size=4))
def test_a_union_of_names_has_each_once_and_keeps_the_first_order(sequences: list[list[int]]) -> None:
    union = merged_names(sequences)
    assert len(union) == len(set(union))
    assert set(union) == {name for sequence in sequences for name in sequence}
    if sequences:
        first = set(sequences[0])
        assert [name for name in union if name in first] == sequences[0]
