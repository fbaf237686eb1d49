"""What every plot of runs has in common: axes with units, legend, read-out, zoom, reset, and export of its data.

Imports pyqtgraph, which takes half a second: import this module only when a plot is really shown.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import pyqtgraph as pg
from PySide6.QtCore import QPoint, QPointF, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QColor,
    QFont,
    QFontMetricsF,
    QGuiApplication,
    QMouseEvent,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QMenu, QVBoxLayout, QWidget

from core.errors import StudioError
from core.files import write_text
from studio import theme
from studio.problem import problem_from
from studio.views.vector_file import save_svg

Axis = tuple[str, str]
"""Title and unit of an axis."""
_TITLE_MARGIN = 6
"""Pixels that pyqtgraph's label takes beside its text."""


class PlotFrame(QWidget):
    """A plot with a line above it that holds the legend (left) and the cursor read-out (right).

    Wheel zooms, dragging pans, a double click shows everything again, a right click copies and saves.
    """

    problem = Signal(object)  # Problem: a file could not be written

    def __init__(
        self, name: str, parent: QWidget | None = None, *, view_box: pg.ViewBox | None = None
    ) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self._name = name
        self._x_axis: Axis = ("", "")
        self._y_axis: Axis = ("", "")
        self._legend_entries: tuple[tuple[str, str], ...] = ()

        self.legend = QLabel()
        self.legend.setObjectName("plotLegend")
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setMinimumWidth(0)
        self.read_out = QLabel()
        self.read_out.setObjectName("plotReadOut")
        self.read_out.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.read_out.setMinimumWidth(1)

        self.plot = pg.PlotWidget(enableMenu=False, **({} if view_box is None else {"viewBox": view_box}))
        self.plot.setAccessibleName(name)
        self.plot.hideButtons()
        self.plot.setMinimumSize(QSize(80, 60))
        self.plot.setFrameShape(self.plot.Shape.NoFrame)
        self.plot.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.plot.customContextMenuRequested.connect(self._show_menu)
        self.plot.scene().sigMouseMoved.connect(self._moved)
        self.plot.viewport().installEventFilter(self)
        for side in ("left", "bottom"):
            self.plot.getAxis(side).enableAutoSIPrefix(False)
        # Widths of their own make axes jump when figures get longer, and titles run into ticks.
        self.plot.getAxis("left").setWidth(54)
        self.plot.getAxis("bottom").setHeight(34)

        header = QHBoxLayout()
        header.setContentsMargins(theme.SPACE // 2, 0, theme.SPACE, 0)
        header.setSpacing(theme.SPACE)
        header.addWidget(self.legend)
        header.addWidget(self.read_out, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(header)
        layout.addWidget(self.plot, 1)
        self._copy = QAction("Copy data", self)
        self._copy.triggered.connect(self.copy_data)
        self._save = QAction("Save as PNG, SVG or CSV…", self)
        self._save.triggered.connect(self.save_dialog)
        self._reset = QAction("Show everything", self)
        self._reset.triggered.connect(self.reset_view)
        theme.events.changed.connect(self._restyle)
        self.plot.getPlotItem().getViewBox().sigResized.connect(self._heights_changed)
        self._restyle(theme.tokens())

    # -- for subclasses ----------------------------------------------------------------------------------------

    def csv(self) -> str:
        """The data on show as CSV text."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw the items again in the colours in force."""
        raise NotImplementedError

    def hover(self, position: QPointF | None) -> None:
        """The cursor is at `position` in data coordinates (on a logarithmic axis: exponents), or has left."""

    # -- axes and legend ---------------------------------------------------------------------------------------

    def set_axes(self, x: Axis, y: Axis) -> None:
        """Name the axes; units stand in brackets."""
        self._x_axis, self._y_axis = x, y
        self._label_axes()

    def set_legend(self, entries: Sequence[tuple[str, str]]) -> None:
        """Show (name, colour) pairs above the plot; nothing with fewer than two."""
        self._legend_entries = tuple(entries)
        self.legend.setVisible(len(entries) > 1)
        self.legend.setText(
            "&nbsp;&nbsp; ".join(
                f'<span style="color:{color}">━</span>&nbsp;{escape(name).replace(" ", "&nbsp;")}'
                for name, color in entries
            )
        )

    def reset_view(self) -> None:
        """Show everything and follow new data again."""
        self.plot.getPlotItem().getViewBox().enableAutoRange()

    # -- data out ----------------------------------------------------------------------------------------------

    def copy_data(self) -> None:
        """Put the data on the clipboard as CSV."""
        QGuiApplication.clipboard().setText(self.csv())

    def save_dialog(self) -> None:
        """Ask for a file and save the plot there."""
        path, _ = QFileDialog.getSaveFileName(
            self, "Save plot", f"{self._name}.svg", "Vector (*.svg);;Image (*.png);;Data (*.csv)"
        )
        if path:
            try:
                self.save(Path(path))
            except StudioError as error:
                self.problem.emit(problem_from(error))

    def save(self, path: Path) -> None:
        """Save as .png (as it looks), .svg (vectors) or .csv (the data).

        Raises:
            StudioError: for another ending, or where the file cannot be written.
        """
        match path.suffix.lower():
            case ".csv":
                write_text(path, self.csv())
            case ".png":
                if not self.grab().save(str(path)):
                    raise StudioError(f"{path.name} was not written: {path.parent} may not be written to.")
            case ".svg":
                save_svg(self, path, self._name)
            case _:
                raise StudioError(f"{path.name} was not written: end the name with .svg, .png or .csv.")

    def paintEvent(self, event: QPaintEvent) -> None:
        # Not by palette or style sheet: renewing the application's sheet would bring old colours back.
        painter = QPainter(self)
        painter.fillRect(event.rect(), QColor(theme.tokens().panel))
        painter.end()

    # -- inside ------------------------------------------------------------------------------------------------

    def eventFilter(self, watched: object, event: object) -> bool:
        if isinstance(event, QMouseEvent) and event.type() == QMouseEvent.Type.MouseButtonDblClick:
            self.reset_view()
            return True
        if getattr(event, "type", None) is not None and event.type() == event.Type.Leave:
            self.hover(None)
        return super().eventFilter(watched, event)

    def _moved(self, position: QPointF) -> None:
        item = self.plot.getPlotItem()
        inside = item.getViewBox().sceneBoundingRect().contains(position)
        self.hover(item.getViewBox().mapSceneToView(position) if inside else None)

    def _show_menu(self, position: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addActions([self._copy, self._save, self._reset])
        menu.popup(self.plot.mapToGlobal(position))

    def _label_axes(self) -> None:
        style = {"color": theme.tokens().text_muted, "font-size": f"{theme.FONT_SMALL}px"}
        self.plot.setLabel("bottom", _axis_title(self._x_axis), **style)
        self.plot.setLabel("left", self._fitting(self._y_axis), **style)
        # pyqtgraph centres a title only when the axis gets another size.
        self.plot.getAxis("left").resizeEvent()

    def _fitting(self, axis: Axis) -> str:
        """As much of the vertical axis' title as its length has room for: all, the unit or nothing."""
        box = self.plot.getPlotItem().getViewBox()
        room = box.height()
        font = QFont(self.font())
        font.setPixelSize(theme.FONT_SMALL)
        measure = QFontMetricsF(font).horizontalAdvance
        for text in (_axis_title(axis), axis[0] if not axis[1] else axis[1]):
            if measure(text) + _TITLE_MARGIN <= room:
                return text
        return ""

    def _heights_changed(self) -> None:
        shown = self.plot.getAxis("left").labelText
        if shown != self._fitting(self._y_axis):
            self._label_axes()

    def _restyle(self, tokens: theme.Tokens) -> None:
        self.plot.setBackground(tokens.panel)
        font = QFont(self.font())
        font.setPixelSize(theme.FONT_SMALL)
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.setPen(pg.mkPen(tokens.line))
            axis.setTextPen(pg.mkPen(tokens.text_muted))
            axis.setTickFont(font)
            axis.setStyle(tickLength=-4, tickTextOffset=3)
        self.plot.showGrid(x=True, y=True, alpha=0.15)
        for label in (self.legend, self.read_out):
            label.setFont(font)
        self.legend.setStyleSheet(f"color: {tokens.text_muted}")
        self.read_out.setStyleSheet(f"color: {tokens.text_muted}")
        self._label_axes()
        self.redraw()


def _axis_title(axis: Axis) -> str:
    title, unit = axis
    return f"{title} ({unit})" if unit else title
