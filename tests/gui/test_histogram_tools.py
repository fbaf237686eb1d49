"""Percentiles, the threshold that is dragged, and other models drawn over the histogram: by mouse and keys."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QUndoStack
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from core.analysis.percentiles import USUAL
from core.errors import StudioError
from core.formatting import count
from core.models.opened import OpenedModel
from core.models.source import SAMPLE, ModelSource
from core.pruning.magnitudes import plan_magnitude
from core.recipe import Recipe
from core.steps import PruneSettings
from studio import theme
from studio.controllers.comparison import Candidate, ComparisonController, candidates
from studio.controllers.inspect import InspectController
from studio.controllers.recipe import RecipeController
from studio.jobs.background import Background
from studio.state import AppState
from studio.views.histogram_view import HistogramView
from studio.views.inspector import Inspector
from studio.views.recipe_panel import RecipePanel

from .small_models import model_of, small_model, weights

CLICK = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier
OTHER = ModelSource("file", "/models/pruned.safetensors")


@dataclass
class Desk:
    """The inspector with its controller, and models that can be compared with."""

    qtbot: QtBot
    state: AppState
    background: Background
    inspector: Inspector
    controller: InspectController
    models: dict[ModelSource, OpenedModel] = field(default_factory=dict)

    @property
    def view(self) -> HistogramView:
        assert self.inspector.histogram is not None
        return self.inspector.histogram

    def settle(self) -> None:
        for _ in range(3):
            self.qtbot.wait(2)
            self.qtbot.waitUntil(lambda: self.background.idle)

    def tick(self, box: object) -> None:
        QTest.mouseClick(box, CLICK, PLAIN, QPoint(8, box.height() // 2))
        self.settle()

    def pixel(self, value: float) -> QPoint:
        """Where a weight value lies in the plot, a little above its lower edge."""
        box = self.view.plot.plot.getPlotItem().getViewBox()
        low, high = box.viewRange()[1]
        scene = box.mapViewToScene(QPointF(value, low + 0.4 * (high - low)))
        return self.view.plot.plot.mapFromScene(scene)

    def drag(self, start: float, stop: float) -> None:
        viewport = self.view.plot.plot.viewport()
        first, last = self.pixel(start), self.pixel(stop)
        QTest.mouseMove(viewport, first)
        QTest.mousePress(viewport, CLICK, PLAIN, first)
        for step in range(1, 11):
            QTest.mouseMove(viewport, first + (last - first) * step / 10)
            self.qtbot.wait(12)  # the plot library takes a hundred moves a second at most
        QTest.mouseRelease(viewport, CLICK, PLAIN, last)
        self.settle()


@pytest.fixture
def desk(qtbot: QtBot, state: AppState, background: Background) -> Iterator[Desk]:
    inspector = Inspector()
    qtbot.addWidget(inspector)
    inspector.resize(760, 620)
    controller = InspectController(state, background, inspector, inspector)
    made = Desk(qtbot, state, background, inspector, controller)

    def open_other(source: ModelSource, _check: object) -> OpenedModel:
        if source not in made.models:
            raise StudioError(f"{source.name} is not there: choose another file.")
        return made.models[source]

    controller.comparison._opener = open_other
    inspector.show()
    inspector.build_plots()
    state.set_model(small_model())
    made.settle()
    yield made
    theme.use(theme.LIGHT)


def below(desk: Desk, layer: str, threshold: float) -> int:
    return int(np.count_nonzero(np.abs(desk.state.model.weight(layer)) <= np.float32(threshold)))


# -- threshold ------------------------------------------------------------------------------------------------


def test_dragging_a_line_counts_what_falls_below(desk: Desk) -> None:
    desk.tick(desk.view.threshold_box)
    assert desk.view.threshold_bar.box.isVisible()
    assert desk.view.threshold_bar.prune.isVisible()
    start = desk.view.threshold
    assert start == pytest.approx(float(desk.state.model.weight("conv1").std()) / 2, rel=0.01)
    desk.drag(start, 1.0)
    moved = desk.view.threshold
    assert moved == pytest.approx(1.0, abs=0.05)
    expected = below(desk, "conv1", moved)
    assert desk.view.threshold_bar.told.text() == (
        f"{count(expected)} of 216 weights fall below → {100 * expected / 216:.1f} % zeros"
    )
    # The other line, towards the middle, moves both.
    desk.drag(-moved, -0.4)
    assert desk.view.threshold == pytest.approx(0.4, abs=0.05)
    assert desk.view.threshold_bar.told.text().startswith(
        f"{below(desk, 'conv1', desk.view.threshold)} of 216"
    )
    assert desk.view.threshold_bar.box.value == desk.view.threshold


def test_every_step_of_a_drag_is_answered(desk: Desk) -> None:
    desk.tick(desk.view.threshold_box)
    told: list[str] = []
    desk.view.threshold_changed.connect(lambda _: told.append(desk.view.threshold_bar.told.text()))
    desk.drag(desk.view.threshold, 1.2)
    assert len(set(told)) > 5


def test_keys_move_the_lines_and_the_field(desk: Desk) -> None:
    desk.tick(desk.view.threshold_box)
    before, plot = desk.view.threshold, desk.view.plot.plot
    plot.setFocus()
    desk.qtbot.keyClick(plot, Qt.Key.Key_Right)
    step = desk.view.threshold - before
    assert step == pytest.approx(desk.view.plot.largest / 200, rel=0.1)
    desk.qtbot.keyClick(plot, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert 0 < before + step - desk.view.threshold < step / 5
    desk.qtbot.keyClick(plot, Qt.Key.Key_Home)
    assert desk.view.threshold == 0
    assert desk.view.threshold_bar.told.text().startswith("0 of 216")
    box = desk.view.threshold_bar.box
    box.setFocus()
    box.selectAll()
    desk.qtbot.keyClicks(box, "0.25")
    assert desk.view.threshold == 0.25
    assert desk.view.threshold_bar.told.text().startswith(f"{below(desk, 'conv1', 0.25)} of 216")
    desk.qtbot.keyClick(box, Qt.Key.Key_Up)
    assert desk.view.threshold > 0.25


def test_several_layers_are_counted_together(desk: Desk) -> None:
    desk.state.set_layers(("conv1", "conv2", "fc"))
    desk.settle()
    desk.tick(desk.view.threshold_box)
    t = desk.view.threshold
    counted = {name: below(desk, name, t) for name in ("conv1", "conv2", "fc")}
    text = desk.view.threshold_bar.told.text()
    assert text.startswith(f"{count(sum(counted.values()))} of 3,160 weights fall below")
    assert f"(conv1: {100 * counted['conv1'] / 216:.1f} %)" in text
    assert f"fc: {100 * counted['fc'] / 640:.1f} %" in desk.view.threshold_bar.told.toolTip()


@pytest.mark.parametrize("of", ["all", "remaining"])
def test_prune_below_edits_the_recipe_so_that_exactly_those_go(desk: Desk, of: str) -> None:
    panel = RecipePanel()
    desk.qtbot.addWidget(panel)
    undo = QUndoStack(panel)
    recipe = RecipeController(desk.state, desk.background, panel, undo, panel)
    desk.controller.prune_requested.connect(recipe.prune_below)
    settings = PruneSettings(sparsity=0.5, exclude=("fc",), of=of)
    desk.state.set_recipe(Recipe(steps=(settings,)))
    desk.state.set_layers(("conv10", "fc"))
    desk.tick(desk.view.threshold_box)
    desk.view.threshold_bar.box.setFocus()
    desk.view.threshold_bar.box.selectAll()
    desk.qtbot.keyClicks(desk.view.threshold_bar.box, "1.9")
    desk.settle()
    QTest.mouseClick(desk.view.threshold_bar.prune, CLICK)
    changed = desk.state.recipe.steps[0]
    assert isinstance(changed, PruneSettings)
    assert set(changed.overrides) == {"conv10", "fc"}
    assert changed.exclude == ()
    model = desk.state.model
    plan = plan_magnitude(
        changed, [(layer.name, model.weight(layer.name)) for layer in model.description.layers]
    )
    for name in ("conv10", "fc"):
        assert plan.layer(name).removed == below(desk, name, 1.9)
    undo.undo()
    assert desk.state.recipe.steps[0] == settings
    recipe._preview.clear()


def test_a_threshold_that_takes_everything_is_no_plan(desk: Desk) -> None:
    desk.tick(desk.view.threshold_box)
    desk.view.plot.plot.setFocus()
    desk.qtbot.keyClick(desk.view.plot.plot, Qt.Key.Key_End)
    assert not desk.view.threshold_bar.prune.isEnabled()
    assert "conv1 would lose all weights" in desk.view.threshold_bar.told.text()


def test_without_the_box_nothing_is_counted(desk: Desk) -> None:
    desk.tick(desk.view.threshold_box)
    desk.tick(desk.view.threshold_box)
    assert desk.view.threshold is None
    assert not desk.view.threshold_bar.isVisible()


@pytest.mark.parametrize(
    "weight",
    [np.zeros((3, 0), np.float32), np.zeros((4, 4), np.float32), np.full((3, 3), np.nan, np.float32)],
    ids=["empty", "zero", "NaN"],
)
def test_odd_layers_have_thresholds_and_percentiles_too(desk: Desk, weight: np.ndarray) -> None:
    desk.tick(desk.view.threshold_box)
    desk.tick(desk.view.percentiles)
    desk.state.set_model(model_of({"odd": weight}))
    desk.settle()
    assert desk.inspector.notice.state == "ready"
    assert desk.view.threshold is not None
    assert not desk.inspector.grab().isNull()


# -- percentiles ----------------------------------------------------------------------------------------------


def test_percentile_lines_stand_where_numpy_says(desk: Desk) -> None:
    desk.tick(desk.view.percentiles)
    lines = desk.view.plot._percentile_lines._items
    expected = np.percentile(desk.state.model.weight("conv1").astype(np.float64), USUAL)
    np.testing.assert_allclose([line.value() for line in lines], expected, rtol=1e-6)
    assert "median" in lines[2].childItems()[0].format
    desk.state.set_layers(("conv1", "fc"))
    desk.settle()
    assert len(desk.view.plot._percentile_lines._items) == 10
    desk.tick(desk.view.percentiles)
    assert not desk.view.plot._percentile_lines._items


# -- other models ---------------------------------------------------------------------------------------------


def run(
    number: int, source: ModelSource = SAMPLE, status: str = "finished", seed: int = 0
) -> SimpleNamespace:
    return SimpleNamespace(
        run_id=f"r{number}",
        number=number,
        name=f"Prune {number}",
        status=status,
        source=source.to_json(),
        seed=seed,
    )


class FakeRuns:
    """A history of which every run has saved a file in a folder."""

    def __init__(self, folder: Path, *runs: SimpleNamespace) -> None:
        self.folder = folder
        self.records = list(runs)
        for record in runs:
            self.result(record.number).write_text("")

    def result(self, number: int) -> Path:
        return self.folder / f"{number}.safetensors"

    def latest(self, limit: int, *, status: str | None = None) -> list[SimpleNamespace]:
        found = [record for record in self.records if status in (None, record.status)]
        return sorted(found, key=lambda record: -record.number)[:limit]

    def runs_named(self, run_ids: Sequence[str]) -> list[SimpleNamespace]:
        return [record for record in self.records if record.run_id in run_ids]

    def artifacts(self, run_id: str) -> tuple[SimpleNamespace, ...]:
        return (SimpleNamespace(kind="model", path=str(self.result(int(run_id[1:])))),)


def go_on() -> None:
    """Never give up."""


def test_the_menu_offers_runs_and_the_model_before(tmp_path: Path) -> None:
    store = FakeRuns(tmp_path, run(1), run(2), run(3, status="failed"), run(4))
    titles = [one.title for one in candidates(store, ("r2",), SAMPLE, go_on)]
    assert titles == ["After run 2: Prune 2", "After run 4: Prune 4", "After run 1: Prune 1"]
    made = ModelSource("file", str(store.result(4)))
    titles = [one.title for one in candidates(store, ("r2",), made, go_on)]
    assert titles == ["Before run 4: Digits sample", "After run 2: Prune 2", "After run 1: Prune 1"]
    store.result(1).unlink()
    assert len(candidates(store, (), SAMPLE, go_on)) == 2


def test_fresh_weights_of_another_seed_are_not_called_the_model_before(tmp_path: Path) -> None:
    fresh = ModelSource("zoo", "lenet-5")
    store = FakeRuns(tmp_path, run(1, fresh, seed=3), run(2, fresh, seed=0))
    assert [one.source for one in candidates(store, ("r1", "r2"), SAMPLE, go_on)] == [
        ModelSource("file", str(store.result(1))),
        fresh,
        ModelSource("file", str(store.result(2))),
    ]


def test_another_model_is_drawn_as_an_outline_over_the_same_layer(desk: Desk, tmp_path: Path) -> None:
    store = FakeRuns(tmp_path, run(7))
    pruned = {"conv1": weights(8, 3, 3, 3, zeros=0.8), "fc": 3 * weights(10, 64)}
    desk.models[ModelSource("file", str(store.result(7)))] = model_of(pruned)
    desk.controller.comparison.set_store(store)
    menu = desk.view.compare.menu()
    assert isinstance(menu, QMenu)
    menu.popup(desk.view.compare.mapToGlobal(QPoint(0, 20)))  # a click on the button waits until it is closed
    desk.settle()
    first = menu.actions()[0]
    assert first.text() == "After run 7: Prune 7"
    QTest.mouseClick(menu, CLICK, PLAIN, menu.actionGeometry(first).center())
    desk.settle()
    (reference,) = desk.view.plot.references
    (one,) = reference.layers
    (mine,) = desk.view.plot.layers
    np.testing.assert_array_equal(one.histogram.edges, mine.histogram.edges)
    edges = mine.histogram.edges
    expected, _ = np.histogram(
        pruned["conv1"], mine.histogram.bins, range=(float(edges[0]), float(edges[-1]))
    )
    np.testing.assert_array_equal(one.histogram.counts, expected)
    assert desk.view.compare.text() == "Compared with 1"
    assert "After run 7" in desk.view.plot.read_out_of(0)
    assert "conv1 in After run 7: Prune 7" in desk.view.plot.csv()
    assert desk.view.table_model.rowCount() == 2

    desk.state.set_layers(("conv2",))
    desk.settle()
    assert "After run 7: Prune 7 has no layer conv2." in desk.view.remark.text()
    desk.controller.comparison.stop_comparing()
    desk.settle()
    assert not desk.view.plot.references


def test_the_oldest_of_too_many_models_goes(desk: Desk) -> None:
    for number in range(5):
        source = ModelSource("file", f"/{number}.pt")
        desk.models[source] = small_model()
        desk.controller.comparison.compare_with(Candidate(str(number), "", source))
        desk.settle()
    assert [one.title for one in desk.view.plot.references] == ["2", "3", "4"]
    desk.state.set_model(small_model())
    desk.settle()
    assert not desk.view.plot.references
    assert desk.view.compare.text() == "Compare with…"


def test_a_file_that_cannot_be_opened_is_told(desk: Desk) -> None:
    with desk.qtbot.waitSignal(desk.state.problem) as told:
        desk.controller.comparison.compare_file("/nowhere.pt")
    assert told.args[0].message == "/nowhere.pt is not there: choose another file."
    assert not desk.controller.comparison.references


@pytest.mark.parametrize("scheme", [theme.LIGHT, theme.DARK])
def test_all_of_it_paints_in_both_schemes(desk: Desk, scheme: theme.Tokens) -> None:
    desk.models[OTHER] = small_model()
    desk.controller.comparison.compare_with(Candidate("other", "", OTHER))
    desk.tick(desk.view.threshold_box)
    desk.tick(desk.view.percentiles)
    theme.use(scheme)
    for layers in (("conv1",), ("conv1", "fc")):
        desk.state.set_layers(layers)
        desk.settle()
        assert not desk.inspector.grab().isNull()


def test_it_works_without_a_view(state: AppState, background: Background) -> None:
    comparison = ComparisonController(state, background)
    comparison.stop_comparing()
    assert comparison.references == ()


# -- own axes -----------------------------------------------------------------------------------------------


def test_several_layers_can_have_axes_of_their_own(desk: Desk) -> None:
    model = model_of({"wide": 10 * weights(30, 40), "narrow": weights(20, 30), "dead": 0 * weights(3, 3)})
    desk.state.set_model(model)
    desk.state.set_layers(("wide", "narrow", "dead"))
    desk.settle()
    plot = desk.view.plot
    assert len({one.histogram.edges.tobytes() for one in plot.layers}) == 1
    desk.tick(desk.view.own_axes)
    for one in plot.layers[:2]:
        counts, edges = np.histogram(model.weight(one.name), one.histogram.bins)
        np.testing.assert_array_equal(one.histogram.counts, counts)
        np.testing.assert_array_equal(one.histogram.edges, edges)
        drawn = plot.drawn_edges(one)
        assert (drawn[0], drawn[-1]) == (0, pytest.approx(100))
        assert plot.heights(one).max() == pytest.approx(100)
    assert plot.plot.getPlotItem().getViewBox().viewRange()[0] == pytest.approx([-2, 102], abs=3)
    place = 7
    told = plot.read_out_of(place)
    for one in plot.layers[:2]:
        assert f"{count(int(one.histogram.counts[place]))} weight" in told
        assert f"{abs(one.histogram.edges[place]):.4g}"[:3] in told
    rows = plot.csv().splitlines()
    assert rows[0] == "layer,bin start,bin end,weights"
    assert len(rows) == 1 + sum(one.histogram.bins for one in plot.layers)
    assert "axes of its own" in desk.view.remark.text()
    desk.tick(desk.view.logarithmic)
    assert plot.heights(plot.layers[0]).max() == pytest.approx(2)
    desk.tick(desk.view.own_axes)
    assert len({one.histogram.edges.tobytes() for one in plot.layers}) == 1


def test_own_axes_are_shared_with_the_same_layer_of_another_model(desk: Desk) -> None:
    first = model_of({"a": weights(10, 10), "b": 5 * weights(10, 10)})
    desk.models[OTHER] = model_of({"a": 3 * weights(10, 10), "b": weights(10, 10)})
    desk.state.set_model(first)
    desk.state.set_layers(("a", "b"))
    desk.settle()
    desk.controller.comparison.compare_with(Candidate("pruned", "", OTHER))
    desk.settle()
    desk.tick(desk.view.own_axes)
    (reference,) = desk.view.plot.references
    a, b = desk.view.plot.layers
    np.testing.assert_array_equal(reference.layers[0].histogram.edges, a.histogram.edges)
    np.testing.assert_array_equal(reference.layers[1].histogram.edges, b.histogram.edges)
    assert not np.array_equal(a.histogram.edges, b.histogram.edges)


def test_thresholds_wait_while_axes_are_apart(desk: Desk) -> None:
    desk.state.set_layers(("conv1", "conv2"))
    desk.settle()
    desk.tick(desk.view.threshold_box)
    assert desk.view.threshold is not None
    desk.tick(desk.view.own_axes)
    assert desk.view.threshold is None
    desk.tick(desk.view.own_axes)
    assert desk.view.threshold is not None
    desk.state.set_layers(("conv1",))
    desk.settle()
    assert not desk.view.own_axes.isEnabled()


def test_a_percentile_line_is_dragged_to_any_value(desk: Desk) -> None:
    desk.tick(desk.view.percentiles)
    lines = desk.view.plot._percentile_lines
    (start, last) = (lines._items[4].value(), lines._items[-1].value())
    assert start == last
    desk.drag(start, 0.5)
    moved = lines._items[4].value()
    assert moved == pytest.approx(0.5, abs=0.06)
    weight = desk.state.model.weight("conv1").astype(np.float64)
    assert f"{100 * np.mean(weight < moved):.2f} % below" in lines.label_text(4)
    # The others stay.
    assert lines._items[2].value() == pytest.approx(np.percentile(weight, 50))


@pytest.mark.parametrize(
    ("typed", "bins"),
    [("37", 37), ("1,000", 1000), ("auto", None), ("", None), ("-3", 64), ("no", 64), ("70000", 64)],
)
def test_any_number_of_bins_can_be_typed(desk: Desk, typed: str, bins: int | None) -> None:
    box = desk.view.bins_box
    box.setCurrentIndex(box.findText("64"))
    desk.settle()
    box.setFocus()
    box.lineEdit().selectAll()
    desk.qtbot.keyClicks(box.lineEdit(), typed) if typed else desk.qtbot.keyClick(
        box.lineEdit(), Qt.Key.Key_Delete
    )
    desk.qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Return)
    desk.settle()
    assert desk.view.bins == bins
    (one,) = desk.view.plot.layers
    weight = desk.state.model.weight("conv1")
    counts, _ = np.histogram(weight, bins or one.histogram.bins)
    np.testing.assert_array_equal(one.histogram.counts, counts)
    assert box.currentText() == ("Auto" if bins is None else str(bins))
