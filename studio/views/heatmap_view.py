"""The Heatmap tab: the weight matrix of one layer as a picture, from the whole down to single weights."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QContextMenuEvent, QGuiApplication, QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from core.analysis.colormaps import HeatmapColors
from core.analysis.positions import axis_titles, columns_per_channel, position_text
from core.analysis.sparsity import HeatmapMode, HeatmapTile
from core.errors import StudioError
from core.files import write_text
from core.formatting import count, percent, significant
from core.models.description import Layer
from studio import theme
from studio.problem import problem_from
from studio.views.color_bar import ColorBar
from studio.views.elided import ElidedLabel
from studio.views.matrix_canvas import MatrixCanvas

_MODES: tuple[tuple[HeatmapMode, str, str], ...] = (
    ("magnitude", "|w|", "Magnitude of the weights"),
    ("signed", "Signed w", "The weights with their sign"),
    ("sparsity", "Zero fraction", "Which part of the weights is exactly zero"),
)
_MOST_PIXELS = 2048
_MOST_NUMBERS = 4_000_000
"""Pixels per side that are computed at most; values that are copied or saved as CSV at most."""


@dataclass(frozen=True)
class TileRequest:
    """What the heatmap would like to show."""

    layer: str
    rows: tuple[int, int]
    columns: tuple[int, int]
    height: int
    width: int
    mode: HeatmapMode


@dataclass(frozen=True, eq=False)
class PaintedTile:
    """A tile ready for the screen, with the whole matrix for the cursor's read-out (not copied)."""

    layer: str
    tile: HeatmapTile
    pixels: NDArray[np.uint32]
    limit: float
    colors: HeatmapColors
    matrix: NDArray[Any]


class HeatmapView(QWidget):
    """Shows painted tiles and tells which one it wants next."""

    tile_wanted = Signal(object)  # TileRequest
    problem = Signal(object)  # Problem: a file could not be written

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("heatmapView")
        self._layers: tuple[Layer, ...] = ()
        self._shown: PaintedTile | None = None
        self._asked = False

        self.layer_box = QComboBox()
        self.layer_box.setObjectName("heatmapLayer")
        self.layer_box.setAccessibleName("Layer on the heatmap")
        self.layer_box.setToolTip("Which of the selected layers is shown; a heatmap shows one at a time")
        self.layer_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.layer_box.setMinimumContentsLength(12)
        self.layer_box.currentIndexChanged.connect(self._layer_chosen)
        self.mode_box = QComboBox()
        self.mode_box.setObjectName("heatmapMode")
        self.mode_box.setAccessibleName("What the colours show")
        self.mode_box.setToolTip("What the colours show")
        for mode, text, tip in _MODES:
            self.mode_box.addItem(text, mode)
            self.mode_box.setItemData(self.mode_box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.mode_box.currentIndexChanged.connect(self._mode_chosen)
        self.whole = QPushButton("Whole layer")
        self.whole.setObjectName("heatmapWhole")
        self.whole.setAccessibleName("Show the whole layer")
        self.whole.setToolTip("Show the whole layer again (double-click or 0)")
        self.read_out = ElidedLabel()
        self.read_out.setObjectName("heatmapReadOut")
        self.read_out.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        controls = QHBoxLayout()
        controls.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE // 2)
        controls.setSpacing(theme.SPACE)
        for widget in (self.layer_box, self.mode_box, self.whole):
            controls.addWidget(widget)
        controls.addStretch(1)

        self.canvas = MatrixCanvas()
        self.canvas.setAccessibleName("Weight matrix")
        self.canvas.setToolTip("")
        self.canvas.view_changed.connect(self.ask)
        self.canvas.hovered.connect(self._hovered)
        self.whole.clicked.connect(self.canvas.reset_view)
        self.color_bar = ColorBar()
        picture = QHBoxLayout()
        picture.setContentsMargins(theme.SPACE, 0, theme.SPACE // 2, 0)
        picture.setSpacing(theme.SPACE // 2)
        picture.addWidget(self.canvas, 1)
        picture.addWidget(self.color_bar)
        self.legend = ElidedLabel()
        self.legend.setObjectName("heatmapLegend")
        self.legend.setProperty("role", "small")
        for label in (self.read_out, self.legend):
            label.setContentsMargins(theme.SPACE, 0, theme.SPACE, 4)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(controls)
        layout.addLayout(picture, 1)
        layout.addWidget(self.read_out)
        layout.addWidget(self.legend)

        # Many wheel steps in one turn of the event loop ask for one tile.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._ask_now)
        self._make_actions()

    # -- what is shown --------------------------------------------------------------------------------------

    @property
    def layer(self) -> Layer | None:
        """The layer on show."""
        place = self.layer_box.currentIndex()
        return self._layers[place] if 0 <= place < len(self._layers) else None

    @property
    def mode(self) -> HeatmapMode:
        """What the colours show."""
        mode: HeatmapMode = self.mode_box.currentData()
        return mode

    def show_layers(self, layers: Sequence[Layer]) -> None:
        """Offer these layers; the one on show stays if it is among them, else the first is shown."""
        before = self.layer
        self._layers = tuple(layers)
        keep = next((place for place, layer in enumerate(self._layers) if layer is before), 0)
        self.layer_box.blockSignals(True)
        self.layer_box.clear()
        self.layer_box.addItems([layer.name for layer in self._layers])
        self.layer_box.setCurrentIndex(keep if self._layers else -1)
        self.layer_box.blockSignals(False)
        several = len(self._layers) > 1
        self.layer_box.setVisible(several)
        if self.layer is not before:
            self._layer_chosen()

    def show_tile(self, painted: PaintedTile) -> None:
        """Show a painted tile of the layer on show; others are ignored."""
        layer = self.layer
        if layer is None or layer.name != painted.layer:
            return
        self._shown = painted
        single = painted.tile.block == (1, 1)
        self.canvas.set_pixels(
            painted.pixels,
            painted.tile.rows,
            painted.tile.columns,
            painted.tile.block,
            self._value_text if single else None,
        )
        self.color_bar.show_scale(*_scale_of(painted))
        self.legend.show_text(legend_text(painted.tile))

    def ask(self) -> None:
        """Ask for the tile that suits the present view, once the event loop gets there."""
        self._soon.start()

    def _ask_now(self) -> None:
        layer = self.layer
        if layer is None or not layer.weights:
            return
        height, width = (min(side, _MOST_PIXELS) for side in self.canvas.pixel_size)
        self.tile_wanted.emit(
            TileRequest(layer.name, self.canvas.view_rows, self.canvas.view_columns, height, width, self.mode)
        )

    # -- read-out -------------------------------------------------------------------------------------------

    def read_out_of(self, row: int, column: int) -> str:
        """Where a weight is in the tensor, its value, and what its pixel shows if it is not alone there."""
        layer, shown = self.layer, self._shown
        if layer is None or shown is None:
            return ""
        where = position_text(layer.kind, layer.shape, row, column)
        text = f"{where}: w = {_number(shown.matrix[row, column].item(), 4)}"
        pixel = shown.tile.pixel_at(row, column)
        if pixel is None or shown.tile.block == (1, 1) or not shown.tile.exact:
            return text
        (top, bottom), (left, right) = shown.tile.weights_of(pixel)
        means = {"magnitude": "mean |w| ", "signed": "mean w ", "sparsity": ""}[shown.tile.mode]
        value = f"{means}{_number(float(shown.tile.values[pixel]), 3)}, " if means else ""
        zeros = percent(float(shown.tile.zeros[pixel]), 1)
        return f"{text} · pixel of {count((bottom - top) * (right - left))} weights: {value}{zeros} zeros"

    def _hovered(self, cell: tuple[int, int] | None) -> None:
        self.read_out.show_text("" if cell is None else self.read_out_of(*cell))

    def _value_text(self, row: int, column: int) -> str:
        if self._shown is None:
            return ""
        value = self._shown.matrix[row, column].item()
        return "0" if value == 0 else _number(value, 2)

    # -- choices --------------------------------------------------------------------------------------------

    def _layer_chosen(self) -> None:
        layer = self.layer
        self._shown = None
        self.read_out.clear()
        self.legend.clear()
        if layer is None:
            self.canvas.set_matrix(0, 0, ("", ""), 1)
            return
        rows = layer.shape[0] if len(layer.shape) > 1 else 1
        columns = layer.weights // rows if rows else 0
        self.canvas.set_matrix(
            rows, columns, axis_titles(layer.kind, layer.shape), columns_per_channel(layer.shape)
        )
        if not layer.weights:
            self.legend.show_text("This layer has no weights.")
        self.ask()

    def _mode_chosen(self) -> None:
        self.ask()

    # -- data out -------------------------------------------------------------------------------------------

    def _make_actions(self) -> None:
        self._copy = QAction("Copy the values on show", self)
        self._copy.triggered.connect(self.copy_data)
        self._save = QAction("Save as PNG, SVG or CSV…", self)
        self._save.triggered.connect(self.save_dialog)
        self._reset = QAction("Show the whole layer", self)
        self._reset.triggered.connect(self.canvas.reset_view)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if self._shown is None or not self.canvas.geometry().contains(event.pos()):
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addActions([self._copy, self._save, self._reset])
        menu.popup(event.globalPos())

    def copy_data(self) -> None:
        """Put the weights on show on the clipboard as tab-separated text."""
        try:
            QGuiApplication.clipboard().setText(self._numbers("\t"))
        except StudioError as error:
            self.problem.emit(problem_from(error))

    def save_dialog(self) -> None:
        """Ask for a file and save the heatmap there."""
        layer = self.layer
        name = f"heatmap {layer.name}.png" if layer else "heatmap.png"
        kinds = "Image (*.png);;Vector (*.svg);;Weights on show (*.csv)"
        path, _ = QFileDialog.getSaveFileName(self, "Save heatmap", name, kinds)
        if path:
            try:
                self.save(Path(path))
            except StudioError as error:
                self.problem.emit(problem_from(error))

    def save(self, path: Path) -> None:
        """Save as .png (as it looks), .svg (axes and text as vectors) or .csv (the weights on show).

        Raises:
            StudioError: for another ending, for too many weights, or where the file cannot be written.
        """
        match path.suffix.lower():
            case ".csv":
                write_text(path, self._numbers(","))
            case ".png":
                if not self.grab().save(str(path)):
                    raise StudioError(f"{path.name} was not written: {path.parent} may not be written to.")
            case ".svg":
                self._save_svg(path)
            case _:
                raise StudioError(f"{path.name} was not written: end the name with .png, .svg or .csv.")

    def _save_svg(self, path: Path) -> None:
        # The generator is silent about a folder that it cannot write to.
        write_text(path, "")
        generator = QSvgGenerator()
        generator.setFileName(str(path))
        generator.setSize(self.size())
        generator.setViewBox(self.rect())
        generator.setTitle(self.legend.text())
        painter = QPainter(generator)
        self.render(painter, QPoint())
        painter.end()

    def _numbers(self, separator: str) -> str:
        """The weights on show with full precision, one row of the matrix per line."""
        if self._shown is None:
            return ""
        (top, bottom), (left, right) = self.canvas.view_rows, self.canvas.view_columns
        if (bottom - top) * (right - left) > _MOST_NUMBERS:
            raise StudioError(
                f"{count((bottom - top) * (right - left))} weights are too many for a table: zoom in to at most "
                f"{count(_MOST_NUMBERS)} first."
            )
        text = io.StringIO()
        writer = csv.writer(text, delimiter=separator, lineterminator="\n")
        writer.writerow(["row", *range(left, right)])
        for row in range(top, bottom):
            writer.writerow([row, *map(repr, self._shown.matrix[row, left:right].tolist())])
        return text.getvalue()

    def minimumSizeHint(self) -> QSize:
        return QSize(240, 200)


def legend_text(tile: HeatmapTile) -> str:
    """One sentence that says what a pixel is, and one about holes."""
    rows, columns = tile.block
    if tile.block == (1, 1):
        return "1 pixel = 1 weight; holes are pruned weights (exactly zero)."
    what = {"magnitude": "mean |w|", "signed": "mean w", "sparsity": "fraction of zeros"}[tile.mode]
    if not tile.exact:
        return f"Preview: 1 pixel = the first of {rows} × {columns} weights; the {what} follows."
    return f"1 pixel = {what} of {rows} × {columns} weights (rows × columns); a hole = all of them pruned."


def _scale_of(
    painted: PaintedTile,
) -> tuple[
    str, NDArray[np.uint8], tuple[tuple[float, str], ...], tuple[tuple[tuple[int, int, int], str], ...]
]:
    tile, limit, colors = painted.tile, painted.limit, painted.colors
    end = significant(limit, 2)
    mean = "mean " if tile.weights_per_pixel > 1 else ""
    if tile.mode == "sparsity":
        title, labels = "zero fraction", ((0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %"))
    elif tile.mode == "magnitude":
        title, labels = f"{mean}|w|", ((0.0, "0"), (0.5, significant(limit / 2, 2)), (1.0, f"≥ {end}"))
    else:
        title, labels = f"{mean}w", ((0.0, f"≤ −{end}"), (0.5, "0"), (1.0, f"≥ {end}"))
    swatches = [(colors.hole, "pruned (0)")]
    if tile.going is not None:
        swatches.append((colors.going, "would go"))
    if tile.invalid is not None:
        swatches.append((colors.invalid, "NaN or Inf"))
    return title, colors.table(tile.mode), labels, tuple(swatches)


def _number(value: Any, digits: int) -> str:
    if isinstance(value, complex):
        return f"{value:.{digits}g}"
    return significant(float(value), digits).replace("-", "−")
