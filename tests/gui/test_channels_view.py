"""The Channels tab: norms, dead channels, cosines and singular values of one layer, and the way to the heatmap."""

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from core.errors import StudioError
from core.models.opened import OpenedModel
from studio import theme
from studio.controllers.inspect import InspectController
from studio.jobs.background import Background
from studio.state import AppState
from studio.views.channels_view import ChannelsView
from studio.views.inspector import HEATMAP, Inspector

from .settling import settle
from .small_models import model_of, weights

CLICK = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier


INSPECTOR_SIZE = (820, 640)


@pytest.fixture
def model() -> OpenedModel:
    conv = weights(16, 8, 3, 3, zeros=0.5)
    conv[3] = 0
    conv[11] = 0
    conv[:, 5] = 0
    return model_of({"conv": conv, "fc": weights(10, 64), "vector": weights(7)})


@pytest.fixture
def view(
    qtbot: QtBot,
    inspector: Inspector,
    controller: InspectController,
    model: OpenedModel,
    state: AppState,
    background: Background,
) -> ChannelsView:
    state.set_model(model)
    bar = inspector.tabs.tabBar()
    assert inspector.channels.view is None
    place = inspector.tabs.indexOf(inspector.channels)
    QTest.mouseClick(bar, CLICK, PLAIN, bar.tabRect(place).center())
    qtbot.waitUntil(lambda: inspector.channels.view is not None)
    settle(qtbot, background)
    found = inspector.channels.view
    assert isinstance(found, ChannelsView)
    return found


def test_norms_are_numpys_and_dead_channels_are_named(
    qtbot: QtBot, view: ChannelsView, model: OpenedModel
) -> None:
    weight = model.weight("conv").astype(np.float64)
    np.testing.assert_allclose(view.norms.values, np.sqrt(np.square(weight).sum((1, 2, 3))))
    assert view.dead.text() == "16 output channels, 2 dead (all zero, 12.5 %): 3, 11."
    QTest.mouseClick(view.sorted, CLICK, PLAIN, QPoint(8, view.sorted.height() // 2))
    assert (np.diff(view.norms.values) <= 0).all()
    assert set(view.norms.order[-2:].tolist()) == {3, 11}
    qtbot.keyClick(view.norm_box, Qt.Key.Key_Down)
    np.testing.assert_allclose(view.norms.values, np.sort(np.abs(weight).sum((1, 2, 3)))[::-1], rtol=1e-12)
    qtbot.keyClick(view.side_box, Qt.Key.Key_Down)
    assert view.dead.text() == "8 input channels, 1 dead (all zero, 12.5 %): 5."
    assert len(view.norms.values) == 8
    assert "dead" in view.norms.read_out_of(5)


def test_a_click_on_a_bar_shows_the_channel_in_the_heatmap(
    qtbot: QtBot, view: ChannelsView, inspector: Inspector, background: Background
) -> None:
    box = view.norms.plot.getPlotItem().getViewBox()
    place = view.norms.plot.mapFromScene(box.mapViewToScene(QPointF(14, 0.01)))
    QTest.mouseMove(view.norms.plot.viewport(), place)
    QTest.mouseClick(view.norms.plot.viewport(), CLICK, PLAIN, place)
    settle(qtbot, background)
    assert inspector.tab == HEATMAP
    assert inspector.heatmap is not None
    rows = inspector.heatmap.canvas.view_rows
    assert rows[0] <= 14 < rows[1]
    assert inspector.heatmap.canvas.view_columns == (0, 72)
    inspector.show_view(inspector.channels)
    qtbot.keyClick(view.side_box, Qt.Key.Key_Down)
    view.norms.channel_chosen.emit(2)
    settle(qtbot, background)
    columns = inspector.heatmap.canvas.view_columns
    assert columns[0] <= 18 < columns[1]


def test_cosines_are_numpys(qtbot: QtBot, view: ChannelsView, model: OpenedModel) -> None:
    matrix = model.weight("conv").reshape(16, -1).astype(np.float64)
    similarity = view.similarity
    canvas = similarity.canvas
    QTest.mouseMove(canvas, canvas.place_of(2, 7).toPoint())
    cosine = matrix[2] @ matrix[7] / np.linalg.norm(matrix[2]) / np.linalg.norm(matrix[7])
    text = similarity.caption.text()
    assert text.startswith("Output channels 2 and 7: cosine ")
    assert float(text.rsplit(" ", 1)[1].replace("−", "-")) == pytest.approx(cosine, abs=5e-4)
    QTest.mouseMove(canvas, canvas.place_of(3, 7).toPoint())
    assert similarity.caption.text().endswith("one is all zero")
    QTest.mouseMove(canvas, QPoint(2, 2))
    assert similarity.caption.text().startswith("Most alike: channels")


def test_the_singular_values_are_numpys(
    qtbot: QtBot, view: ChannelsView, model: OpenedModel, state: AppState, background: Background
) -> None:
    state.set_layers(("fc",))
    settle(qtbot, background)
    values = np.linalg.svd(model.weight("fc").astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(view.spectrum.lines[0].y, 100 * values / values[0])
    shares = values / values.sum()
    rank = np.exp(-(shares * np.log(shares)).sum())
    assert view.spectrum_caption.text().startswith(f"Effective rank {rank:.2f} of 10; 90 % of the energy in")
    assert "10 output channels, none of them dead" in view.dead.text()


def test_large_matrices_are_computed_on_demand_and_larger_ones_not(
    qtbot: QtBot,
    view: ChannelsView,
    state: AppState,
    background: Background,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("studio.controllers.channels.QUICK_SIDE", 4)
    state.set_layers(("fc",))
    settle(qtbot, background)
    assert "10 × 64 take some seconds" in view.spectrum_notice.text
    view.spectrum_notice.action.emit()
    settle(qtbot, background)
    assert view.spectrum_notice.state == "ready"
    assert len(view.spectrum.lines[0].x) == 10
    monkeypatch.setattr("studio.controllers.channels.LARGEST_SIDE", 8)
    state.set_layers(("conv",))
    settle(qtbot, background)
    assert "16 × 72 is too large" in view.spectrum_notice.text


def test_a_vector_has_no_channels(
    qtbot: QtBot, view: ChannelsView, state: AppState, background: Background
) -> None:
    state.set_layers(("vector",))
    settle(qtbot, background)
    assert "vector has no channels" in view.notice.text
    state.set_layers(("conv",))
    settle(qtbot, background)
    assert view.notice.state == "ready"


def test_a_file_that_went_away_is_told_and_can_be_tried_again(
    qtbot: QtBot, view: ChannelsView, model: OpenedModel, state: AppState, background: Background
) -> None:
    gone = [True]

    def read(name: str) -> np.ndarray:
        if gone[0]:
            raise StudioError("net.pt can no longer be read: put it back.")
        return model.tensor(name)

    state.set_model(OpenedModel(model.description, read))
    settle(qtbot, background)
    assert view.notice.text == "net.pt can no longer be read: put it back."
    gone[0] = False
    view.notice.retry.emit()
    settle(qtbot, background)
    assert view.notice.state == "ready"


def test_parts_can_be_shown_alone_and_colours_follow_the_scheme(
    qtbot: QtBot, view: ChannelsView, inspector: Inspector, background: Background
) -> None:
    for part in ("norms", "similarity", "spectrum", "all"):
        view.part_box.setCurrentIndex(view.part_box.findData(part))
        assert view.norms.isVisible() == (part in ("all", "norms"))
        assert view.similarity.isVisible() == (part in ("all", "similarity"))
        assert view.spectrum.isVisible() == (part in ("all", "spectrum"))
    before = view.similarity._found
    theme.use(theme.DARK)
    settle(qtbot, background)
    assert view.similarity._found is not before
    assert not inspector.grab().isNull()


def test_norms_are_saved(view: ChannelsView, tmp_path: Path) -> None:
    view.norms.save(tmp_path / "norms.csv")
    lines = (tmp_path / "norms.csv").read_text().splitlines()
    assert lines[0] == "output channel,L1,L2,zeros,weights"
    assert lines[4] == "3,0.0,0.0,72,72"
