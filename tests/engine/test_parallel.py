"""Parallel axes: places, brushes as searches, and pictures of many lines against lines drawn one by one."""

from dataclasses import replace

import numpy as np
import pytest

from core.history.columns import Coded, RunColumns
from core.history.parallel import OTHERS, ParallelAxis, brushed, draw_lines, make_axis
from core.history.query import parse_query

from .history_samples import PRUNED
from .test_history_compare import record


def columns(count: int = 12) -> RunColumns:
    sizes = [100 * 2**n for n in range(count)]
    return RunColumns.from_records(
        record(n + 1, after=replace(PRUNED, packed_bytes=sizes[n]), name=f"run {n % 3}") for n in range(count)
    )


def axis(found: RunColumns, name: str) -> ParallelAxis:
    return make_axis(found, np.arange(len(found)), name)


def test_sizes_of_very_different_order_stand_on_a_logarithmic_axis() -> None:
    sizes = axis(columns(), "packed")
    assert sizes.logarithmic
    assert (sizes.search, sizes.sense) == ("size", -1)
    np.testing.assert_allclose(np.diff(sizes.places), np.diff(sizes.places)[0])
    assert sizes.value_at(float(sizes.places[5])) == pytest.approx(100 * 2**5)
    assert [text for _place, text in sizes.ticks(2)] == ["100 B", "205 kB"]
    few = axis(columns(3), "packed")
    assert not few.logarithmic
    np.testing.assert_allclose(few.places, [0.04, 0.04 + 0.92 / 3, 0.96])
    assert few.value_at(0.96) == pytest.approx(400)


def test_what_is_alike_stands_in_the_middle_and_what_is_missing_nowhere() -> None:
    found = columns(4)
    assert axis(found, "sparsity").places.tolist() == [0.5] * 4
    assert axis(found, "sparsity").ticks(5) == ((0.5, axis(found, "sparsity").show(PRUNED.sparsity)),)
    nothing = axis(found.adding({"loss": np.full(4, np.nan)}), "loss")
    assert np.isnan(nothing.places).all()
    assert nothing.told(0) == "–"
    assert nothing.ticks(5) == ()


def test_texts_have_places_by_number_and_alphabet_and_rare_ones_share_one() -> None:
    found = columns(4).adding({"step.epochs": Coded.of(["10", "9", "", "many"])})
    epochs = axis(found, "step.epochs")
    assert (epochs.step, epochs.title, epochs.name) == ("step", "epochs", "step: epochs")
    assert epochs.labels == ("9", "10", "many")
    assert [epochs.told(n) for n in range(4)] == ["10", "9", "–", "many"]
    assert epochs.search_for((0.0, 0.6)) == '(step.epochs = "9" or step.epochs = "10")'
    crowd = columns(40).adding({"note": Coded.of([f"text {n}" for n in range(40)])})
    notes = axis(crowd, "note")
    assert notes.labels is not None
    assert (len(notes.labels), notes.labels[-1]) == (25, OTHERS)
    assert notes.search_for((0.9, 1.0)) is None


@pytest.mark.parametrize("name", ["packed", "name"])
def test_a_brush_finds_the_runs_that_its_search_finds(name: str) -> None:
    found = columns()
    chosen = axis(found, name)
    mask = brushed([chosen], {0: (0.2, 0.8)})
    assert 0 < mask.sum() < len(found)
    text = chosen.search_for((0.2, 0.8))
    assert text is not None
    np.testing.assert_array_equal(parse_query(text).mask(found), mask)
    assert chosen.search_for((0.05, 0.06)) is None


def test_brushes_on_two_axes_must_both_hold() -> None:
    found = columns()
    axes = [axis(found, "packed"), axis(found, "name")]
    both = brushed(axes, {0: (0.0, 0.5), 1: (0.0, 0.1)})
    assert both.tolist() == [n % 3 == 0 and n < 6 for n in range(12)]


def test_a_picture_counts_every_line() -> None:
    rng = np.random.default_rng(0)
    places = [rng.random(200) for _ in range(3)]
    places[1][:20] = np.nan
    color = rng.random(200)
    color[5] = np.nan
    positions, height = [0, 30, 75], 60
    picture = draw_lines(places, positions, height, color)
    counts = np.zeros((height, 76))
    shades = np.zeros((height, 76))
    shaded = np.zeros((height, 76))
    for run in range(200):
        rows = [height - 1 if np.isnan(p[run]) else np.rint((1 - p[run]) * (height - 3)) for p in places]
        for column in range(76):
            part = 0 if column <= 30 else 1
            start, end = positions[part], positions[part + 1]
            y = rows[part] + (rows[part + 1] - rows[part]) * (column - start) / (end - start)
            counts[int(np.rint(y)), column] += 1
            if not np.isnan(color[run]):
                shades[int(np.rint(y)), column] += color[run]
                shaded[int(np.rint(y)), column] += 1
    np.testing.assert_array_equal(picture.counts, counts)
    np.testing.assert_allclose(
        picture.shade, np.where(shaded > 0, shades / np.maximum(shaded, 1), np.nan), rtol=1e-5
    )
    assert picture.counts.sum(axis=0).tolist() == [200] * 76


def test_very_many_lines_are_rounded_and_still_counted() -> None:
    places = list(np.random.default_rng(1).random((2, 30_000)))
    picture = draw_lines(places, [0, 40], 300, np.full(30_000, np.nan))
    assert picture.counts.sum(axis=0).tolist() == [30_000] * 41
    assert np.isnan(picture.shade).all()
