"""The heatmap's looks: structure, masks, patterns and differences are what numpy finds in the same weights."""

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QMenu
from pytestqt.qtbot import QtBot

from core.formatting import significant
from core.models.opened import OpenedModel
from studio import theme
from studio.controllers.inspect import InspectController
from studio.jobs.background import Background
from studio.state import AppState
from studio.views.heatmap_view import HeatmapView
from studio.views.inspector import HEATMAP, Inspector
from studio.views.matrix_profiles import DEPTH, GAP

from .settling import settle
from .small_models import model_of, weights

CLICK = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier


INSPECTOR_SIZE = (760, 560)


@pytest.fixture
def model() -> OpenedModel:
    conv = weights(16, 8, 3, 3, zeros=0.5)
    conv[3] = 0
    conv[:, 5] = 0
    conv[7, 2] = 0
    return model_of({"conv": conv, "fc": weights(10, 64, zeros=0.9), "wide": weights(24, 100)})


@pytest.fixture
def heatmap(
    qtbot: QtBot,
    inspector: Inspector,
    controller: InspectController,
    model: OpenedModel,
    state: AppState,
    background: Background,
) -> HeatmapView:
    state.set_model(model)
    bar = inspector.tabs.tabBar()
    QTest.mouseClick(bar, CLICK, PLAIN, bar.tabRect(HEATMAP).center())
    settle(qtbot, background)
    assert inspector.heatmap is not None
    return inspector.heatmap


def choose(qtbot: QtBot, background: Background, box: QComboBox, data: str) -> None:
    """Choose an entry with the keyboard, as a user would."""
    box.setFocus()
    wanted = box.findData(data)
    while box.currentIndex() != wanted:
        down = wanted > box.currentIndex()
        qtbot.keyClick(box, Qt.Key.Key_Down if down else Qt.Key.Key_Up)
    settle(qtbot, background)


def test_kernels_are_averaged_and_dead_ones_counted(
    qtbot: QtBot, heatmap: HeatmapView, model: OpenedModel, background: Background
) -> None:
    choose(qtbot, background, heatmap.controls.grouping_box, "kernel")
    weight = model.weight("conv").astype(np.float64)
    shown = heatmap._shown
    assert shown is not None
    assert shown.tile.block == (1, 9)
    np.testing.assert_allclose(shown.tile.values, np.abs(weight).mean((2, 3)), rtol=1e-6)
    np.testing.assert_allclose(shown.tile.zeros, (weight == 0).mean((2, 3)), rtol=1e-6)
    dead = int((weight == 0).all((2, 3)).sum())
    assert f"1 kernel; {dead} of 128 kernels on show are all zero" in heatmap.legend.text()
    text = heatmap.read_out_of(2, 30)
    mean = significant(float(np.abs(weight[2, 3]).mean()))
    assert f"1 kernel (out 2, in 3): mean |w| {mean}" in text


@pytest.mark.parametrize(
    ("grouping", "axes", "block", "words"),
    [
        ("output", (1, 2, 3), (1, 72), "1 output channel; 1 of 16 output channels on show is all zero"),
        ("input", (0, 2, 3), (16, 9), "1 input channel; 1 of 8 input channels on show is all zero"),
    ],
)
def test_channels_are_averaged(
    qtbot: QtBot,
    heatmap: HeatmapView,
    model: OpenedModel,
    background: Background,
    grouping: str,
    axes: tuple,
    block: tuple,
    words: str,
) -> None:
    choose(qtbot, background, heatmap.controls.grouping_box, grouping)
    weight = model.weight("conv").astype(np.float64)
    shown = heatmap._shown
    assert shown is not None
    assert shown.tile.block == block
    np.testing.assert_allclose(shown.tile.values.ravel(), np.abs(weight).mean(axes), rtol=1e-6)
    assert words in heatmap.legend.text()
    assert not heatmap.grab().isNull()


def test_blocks_have_the_side_that_is_typed(
    qtbot: QtBot, heatmap: HeatmapView, model: OpenedModel, background: Background
) -> None:
    controls = heatmap.controls
    assert not controls.block.isVisible()
    choose(qtbot, background, controls.grouping_box, "block")
    assert controls.block.isVisible()
    controls.block.lineEdit().selectAll()
    qtbot.keyClicks(controls.block, "4")
    qtbot.keyClick(controls.block, Qt.Key.Key_Return)
    settle(qtbot, background)
    assert heatmap._shown is not None
    blocks = model.weight("conv").reshape(4, 4, 18, 4).astype(np.float64)
    np.testing.assert_allclose(heatmap._shown.tile.values, np.abs(blocks).mean((1, 3)), rtol=1e-6)
    assert "1 block of 4 × 4" in heatmap.legend.text()


def test_broken_groups_are_counted_in_words(
    qtbot: QtBot, heatmap: HeatmapView, model: OpenedModel, background: Background
) -> None:
    controls = heatmap.controls
    choose(qtbot, background, controls.grouping_box, "pattern")
    assert not controls.mode_box.isEnabled()
    weight = model.weight("conv")
    live = (weight != 0).reshape(16, 2, 4, 3, 3).sum(2)
    broken = int((live > 2).sum())
    share = f"{100 * broken / live.size:.1f} %"
    assert heatmap.legend.text().startswith(f"{broken} of {live.size} groups break 2:4 ({share})")
    out, group, ky, kx = np.argwhere(live > 2)[0]
    assert "its group breaks 2:4" in heatmap.read_out_of(int(out), int(group * 36 + ky * 3 + kx))
    controls.kept.setValue(1)
    settle(qtbot, background)
    assert heatmap.legend.text().startswith(f"{int((live > 1).sum())} of {live.size} groups break 1:4")
    controls.group.setValue(2)
    settle(qtbot, background)
    pairs = (weight != 0).reshape(16, 4, 2, 3, 3).sum(2)
    assert heatmap.legend.text().startswith(f"{int((pairs > 1).sum())} of {pairs.size} groups break 1:2")
    choose(qtbot, background, controls.grouping_box, "element")
    choose(qtbot, background, controls.grouping_box, "pattern")
    assert "groups break 1:2" in heatmap.legend.text()


def test_a_mask_shows_kept_pruned_and_what_would_go(
    qtbot: QtBot, inspector: Inspector, heatmap: HeatmapView, model: OpenedModel, background: Background
) -> None:
    choose(qtbot, background, heatmap.mode_box, "mask")
    inspector.set_preview({"conv": 0.9})
    settle(qtbot, background)
    shown, matrix = heatmap._shown, model.weight("conv").reshape(16, 72)
    assert shown is not None
    pruned, going = matrix == 0, (matrix != 0) & (np.abs(matrix) <= np.float32(0.9))
    colors = {
        name: set(shown.pixels[where].tolist())
        for name, where in (("pruned", pruned), ("going", going), ("kept", ~pruned & ~going))
    }
    assert all(len(found) == 1 for found in colors.values())
    assert len(set.union(*colors.values())) == 3
    assert hex(colors["pruned"].pop()) == f"0xff{theme.tokens().hole[1:]}"


def test_squares_are_squares(
    qtbot: QtBot, heatmap: HeatmapView, model: OpenedModel, background: Background
) -> None:
    choose(qtbot, background, heatmap.mode_box, "square")
    assert heatmap._shown is not None
    expected = np.square(model.weight("conv").reshape(16, 72).astype(np.float64))
    np.testing.assert_allclose(heatmap._shown.tile.values, expected, rtol=1e-6)
    assert "w² = " in heatmap.read_out_of(0, 0)


def test_a_difference_needs_a_second_model_and_then_shows_what_changed(
    qtbot: QtBot,
    inspector: Inspector,
    heatmap: HeatmapView,
    controller: InspectController,
    model: OpenedModel,
    state: AppState,
    background: Background,
    tmp_path: Path,
) -> None:
    choose(qtbot, background, heatmap.mode_box, "difference")
    assert "Choose a second model" in heatmap.notice.text
    with qtbot.waitSignal(controller.heatmap.compare_requested):
        heatmap.notice.action.emit()
    menu = inspector.findChild(QMenu, "compareMenu")
    assert any(action.text() == "Model file…" for action in menu.actions())
    menu.close()
    other = {name: model.weight(name).copy() for name in ("conv", "wide")}
    other["conv"][0, 0, 0, :2] += 1
    other["wide"] = other["wide"][:, :50]
    state.set_comparison(model_of(other))
    settle(qtbot, background)
    assert heatmap.notice.state == "ready"
    shown = heatmap._shown
    assert shown is not None
    change = model.weight("conv").reshape(16, 72) - other["conv"].reshape(16, 72)
    np.testing.assert_array_equal(shown.tile.values, change)
    assert "change −1" in heatmap.read_out_of(0, 0)
    assert "holes are unchanged weights" in heatmap.legend.text()
    heatmap.save(tmp_path / "change.csv")
    lines = (tmp_path / "change.csv").read_text().splitlines()
    written = np.array([[float(value) for value in line.split(",")[1:]] for line in lines[1:]], np.float32)
    np.testing.assert_array_equal(written, change)
    state.set_layers(("wide",))
    settle(qtbot, background)
    assert "wide is 24 × 50 in" in heatmap.notice.text
    state.set_layers(("fc",))
    settle(qtbot, background)
    assert "has no layer fc" in heatmap.notice.text
    choose(qtbot, background, heatmap.mode_box, "magnitude")
    assert heatmap.notice.state == "ready"


def test_margins_say_how_sparse_a_row_and_a_column_is(
    qtbot: QtBot, heatmap: HeatmapView, model: OpenedModel, background: Background
) -> None:
    canvas, matrix = heatmap.canvas, model.weight("conv").reshape(16, 72)
    np.testing.assert_allclose(canvas.profiles.by_row, (matrix == 0).mean(1), atol=1e-6)
    np.testing.assert_allclose(canvas.profiles.by_column, (matrix == 0).mean(0), atol=1e-6)
    area = canvas.picture_area()
    beside = QPoint(int(area.right() + GAP + DEPTH // 2), int(canvas.place_of(3, 0).y()))
    QTest.mouseMove(canvas, beside)
    assert heatmap.read_out.text() == "out 3: 100.0 % zeros in the part on show"
    above = QPoint(int(canvas.place_of(0, 46).x()), int(area.top() - GAP - DEPTH // 2))
    QTest.mouseMove(canvas, above)
    assert heatmap.read_out.text() == "column 46: 100.0 % zeros in the part on show"
    canvas.show_part((8, 16), (0, 36))
    settle(qtbot, background)
    np.testing.assert_allclose(canvas.profiles.by_column, (matrix[8:, :36] == 0).mean(0), atol=1e-6)


@pytest.mark.parametrize(("axis", "channel"), [(0, 14), (1, 5)])
def test_a_channel_can_be_jumped_to(
    qtbot: QtBot, heatmap: HeatmapView, background: Background, axis: int, channel: int
) -> None:
    heatmap.show_channel(axis, channel)
    settle(qtbot, background)
    rows, columns = heatmap.canvas.view_rows, heatmap.canvas.view_columns
    if axis == 0:
        assert rows[0] <= channel < rows[1]
        assert columns == (0, 72)
    else:
        assert columns[0] <= channel * 9 < columns[1]
        assert rows == (0, 16)
    assert not heatmap.grab().isNull()


def test_colour_maps_can_be_chosen(qtbot: QtBot, heatmap: HeatmapView, background: Background) -> None:
    assert heatmap._shown is not None
    before = heatmap._shown.pixels.copy()
    choose(qtbot, background, heatmap.controls.map_box, "viridis")
    assert (heatmap._shown.pixels != before).any()


def test_cells_are_saved_with_their_places(
    qtbot: QtBot, heatmap: HeatmapView, model: OpenedModel, background: Background, tmp_path: Path
) -> None:
    choose(qtbot, background, heatmap.controls.grouping_box, "output")
    heatmap.save(tmp_path / "channels.csv")
    lines = (tmp_path / "channels.csv").read_text().splitlines()
    assert lines[0] == "first row,last row,first column,last column,magnitude,zero fraction"
    assert lines[4] == "3,3,0,71,0.0,1.0"
    assert len(lines) == 17
