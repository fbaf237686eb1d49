"""The Heatmap tab: the weight matrix of one layer as a picture, from the whole down to single weights."""

from collections.abc import Sequence
from math import prod
from pathlib import Path

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QContextMenuEvent, QGuiApplication
from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QMenu, QVBoxLayout, QWidget

from core.analysis.patterns import PatternCount
from core.analysis.positions import axis_names, axis_titles, columns_per_channel
from core.errors import StudioError
from core.formatting import percent
from core.models.description import Layer
from studio import theme
from studio.problem import problem_from
from studio.views.color_bar import ColorBar
from studio.views.elided import ElidedLabel
from studio.views.heatmap_controls import HeatmapControls
from studio.views.heatmap_files import numbers, save_picture
from studio.views.heatmap_request import Look, PaintedTile, TileRequest
from studio.views.heatmap_words import legend_text, profile_title, read_out, scale_of, value_text
from studio.views.matrix_canvas import MatrixCanvas
from studio.views.notice import PanelNotice

_MOST_PIXELS = 2048
"""Pixels per side that are computed at most."""


class HeatmapView(QWidget):
    """Shows painted tiles and tells which one it wants next."""

    tile_wanted = Signal(object)  # TileRequest
    remedy_requested = Signal()  # the button beside what is missing for this look
    problem = Signal(object)  # Problem: a file could not be written

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("heatmapView")
        self._layers: tuple[Layer, ...] = ()
        self._shown: PaintedTile | None = None
        self._patterns: PatternCount | None = None
        self.protocol = ""
        """How the figures on show were obtained, where they are more than the weights themselves."""

        self.controls = HeatmapControls()
        self.layer_box: QComboBox = self.controls.layer_box
        self.mode_box: QComboBox = self.controls.mode_box
        self.controls.layer_chosen.connect(self._layer_chosen)
        self.controls.look_changed.connect(self._look_chosen)
        self.read_out = ElidedLabel()
        self.read_out.setObjectName("heatmapReadOut")
        self.read_out.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)

        self.canvas = MatrixCanvas()
        self.canvas.setAccessibleName("Weight matrix")
        self.canvas.setToolTip("")
        self.canvas.with_margins = True
        self.canvas.view_changed.connect(self.ask)
        self.canvas.hovered.connect(self._hovered)
        self.canvas.margin_hovered.connect(self._margin_hovered)
        self.controls.whole.clicked.connect(self.canvas.reset_view)
        self.color_bar = ColorBar()
        self.legend = ElidedLabel()
        self.legend.setObjectName("heatmapLegend")
        self.legend.setProperty("role", "small")
        for label in (self.read_out, self.legend):
            label.setContentsMargins(theme.SPACE, 0, theme.SPACE, 4)

        content = QWidget()
        content.setObjectName("heatmapContent")
        picture = QHBoxLayout()
        picture.setContentsMargins(theme.SPACE, 0, theme.SPACE // 2, 0)
        picture.setSpacing(theme.SPACE // 2)
        picture.addWidget(self.canvas, 1)
        picture.addWidget(self.color_bar)
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        inside.addLayout(picture, 1)
        inside.addWidget(self.read_out)
        inside.addWidget(self.legend)
        self.notice = PanelNotice(content)
        self.notice.action.connect(self.remedy_requested)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.controls)
        layout.addWidget(self.notice)
        layout.addWidget(content, 1)

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
    def look(self) -> Look:
        """How it is shown."""
        return self.controls.look

    def show_layers(self, layers: Sequence[Layer]) -> None:
        """Offer these layers; the one on show stays if it is among them, else the first is shown."""
        before = self.layer
        self._layers = tuple(layers)
        keep = next((place for place, layer in enumerate(self._layers) if layer is before), 0)
        self.controls.offer(self._layers, keep)
        if self.layer is not before:
            self._layer_chosen()

    def show_tile(self, painted: PaintedTile) -> None:
        """Show a painted tile of the layer on show, in the look that is chosen; others are ignored."""
        layer = self.layer
        if layer is None or layer.name != painted.layer or painted.look != self.look:
            return
        self._shown = painted
        self.notice.clear()
        tile = painted.tile
        text = self._value_text if tile.exact else None
        self.canvas.set_pixels(painted.pixels, tile.rows, tile.columns, tile.block, text)
        self.canvas.set_profiles(profile_title(painted.look), painted.by_row, painted.by_column)
        self.color_bar.show_scale(*scale_of(painted))
        self._hovered(self.canvas.cell)
        self._tell()

    def show_patterns(self, layer: str, found: PatternCount) -> None:
        """Say how many groups of the layer break the pattern."""
        if self.layer is not None and self.layer.name == layer:
            self._patterns = found
            self._tell()

    def show_missing(self, reason: str, button: str | None) -> None:
        """Say what this look needs and is not there, in the place of the picture."""
        self.notice.show_empty(reason, button)

    def choose_layer(self, name: str) -> None:
        """Show the layer of that name if it is offered."""
        place = self.layer_box.findText(name)
        if place >= 0:
            self.layer_box.setCurrentIndex(place)

    def show_channel(self, axis: int, channel: int) -> None:
        """Look at one channel of the layer on show, and frame it.

        Args:
            axis: of the weight: 0 for rows of the matrix, 1 for columns.
        """
        layer = self.layer
        if layer is None:
            return
        rows = layer.shape[0] if len(layer.shape) > 1 else 1
        columns, unit = layer.weights // max(1, rows), columns_per_channel(layer.shape)
        if axis == 0:
            part, whole = (channel, channel + 1), (0, columns)
            self.canvas.show_part((channel - 4, channel + 5), whole)
            self.canvas.mark(part, whole)
        else:
            part, whole = (channel * unit, (channel + 1) * unit), (0, rows)
            self.canvas.show_part(whole, (part[0] - 4 * unit, part[1] + 4 * unit))
            self.canvas.mark(whole, part)
        self.ask()

    def ask(self) -> None:
        """Ask for the tile that suits the present view, once the event loop gets there."""
        self._soon.start()

    def _ask_now(self) -> None:
        layer = self.layer
        if layer is None or not layer.weights:
            return
        height, width = (min(side, _MOST_PIXELS) for side in self.canvas.pixel_size)
        self.tile_wanted.emit(
            TileRequest(layer.name, self.canvas.view_rows, self.canvas.view_columns, height, width, self.look)
        )

    def _tell(self) -> None:
        if self._shown is not None and self.layer is not None:
            text = legend_text(self.layer, self._shown, self._patterns)
            self.legend.show_text(f"{text} {self.protocol}." if self.protocol else text)

    # -- read-out -------------------------------------------------------------------------------------------

    def read_out_of(self, row: int, column: int) -> str:
        """Where a weight is in the tensor, its value, and what its pixel shows if it is not alone there."""
        layer, shown = self.layer, self._shown
        return "" if layer is None or shown is None else read_out(layer, shown, row, column)

    def _hovered(self, cell: tuple[int, int] | None) -> None:
        self.read_out.show_text("" if cell is None else self.read_out_of(*cell))

    def _margin_hovered(self, cell: tuple[str, int] | None) -> None:
        layer, profiles = self.layer, self.canvas.profiles
        if cell is None or layer is None or self._shown is None:
            self.read_out.show_text("")
            return
        side, index = cell
        names = axis_names(layer.kind, len(layer.shape))
        if side == "row":
            fraction, block = profiles.fraction_of_row(index), profiles.block[0]
            name = names[0] if len(names) > 1 else "row"
        else:
            fraction, block, name = profiles.fraction_of_column(index), profiles.block[1], "column"
        if fraction is None:
            self.read_out.show_text("")
            return
        start = index // block * block
        place = f"{start:,}" if block == 1 else f"{start:,} to {start + block - 1:,}"
        self.read_out.show_text(
            f"{name} {place}: {percent(fraction, 1)} {profiles.title} in the part on show"
        )

    def _value_text(self, row: int, column: int) -> str:
        return "" if self._shown is None else value_text(self._shown, row, column)

    # -- choices --------------------------------------------------------------------------------------------

    def _layer_chosen(self) -> None:
        layer = self.layer
        self._shown = self._patterns = None
        self.read_out.clear()
        self.legend.clear()
        if layer is None:
            self.canvas.set_matrix(0, 0, ("", ""), 1)
            return
        rows = layer.shape[0] if len(layer.shape) > 1 else 1
        columns = prod(layer.shape[1:]) if len(layer.shape) > 1 else layer.weights
        self.canvas.set_matrix(
            rows, columns, axis_titles(layer.kind, layer.shape), columns_per_channel(layer.shape)
        )
        if not layer.weights:
            self.legend.show_text("This layer has no weights.")
        self.ask()

    def _look_chosen(self) -> None:
        self._patterns = None
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
        inside = self.canvas.rect().contains(self.canvas.mapFromGlobal(event.globalPos()))
        if self._shown is None or not inside or not self.canvas.isVisible():
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addActions([self._copy, self._save, self._reset])
        menu.popup(event.globalPos())

    def copy_data(self) -> None:
        """Put the numbers on show on the clipboard as tab-separated text."""
        try:
            QGuiApplication.clipboard().setText(self._numbers("\t"))
        except StudioError as error:
            self.problem.emit(problem_from(error))

    def save_dialog(self) -> None:
        """Ask for a file and save the heatmap there."""
        layer = self.layer
        name = f"heatmap {layer.name}.png" if layer else "heatmap.png"
        kinds = "Image (*.png);;Vector (*.svg);;Numbers on show (*.csv)"
        path, _ = QFileDialog.getSaveFileName(self, "Save heatmap", name, kinds)
        if path:
            try:
                self.save(Path(path))
            except StudioError as error:
                self.problem.emit(problem_from(error))

    def save(self, path: Path) -> None:
        """Save as .png (as it looks), .svg (axes and text as vectors) or .csv (the numbers on show).

        Raises:
            StudioError: for another ending, for too many weights, or where the file cannot be written.
        """
        save_picture(self, path, self.legend.text(), self._numbers)

    def _numbers(self, separator: str) -> str:
        if self._shown is None or self.layer is None:
            return ""
        return numbers(self._shown, self.canvas.view_rows, self.canvas.view_columns, separator)

    def minimumSizeHint(self) -> QSize:
        return QSize(240, 200)
