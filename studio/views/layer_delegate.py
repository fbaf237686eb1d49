"""How the drawn cells of the layer table are painted: colour mark, small histogram, sparsity bar."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPixmap
from PySide6.QtWidgets import (
    QApplication,
    QLineEdit,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from core.analysis.summary import LayerSummary
from studio import theme
from studio.problem import Problem
from studio.tables.layer_columns import DISTRIBUTION, NAME, PLAN, ZEROS
from studio.tables.layer_figures import LayerFigures
from studio.tables.layers import DEPTH_ROLE, FIGURES_ROLE, FOLD_ROLE, LAYER_ROLE, OWN_ROLE, SUMMARY_ROLE

Index = QModelIndex | QPersistentModelIndex

_REMEMBERED = 2_000
INDENT = 14
ARROW = 14
"""Pixels by which each level of the tree is set in, and that the arrow of a branch takes."""


class LayerDelegate(QStyledItemDelegate):
    """Paints names with the layer's colour, histograms and sparsity bars; everything else as usual.

    Histograms are painted once into pixmaps, so that scrolling only copies them.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pictures: dict[tuple[object, ...], tuple[LayerSummary, QPixmap]] = {}
        theme.events.changed.connect(self._forget)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        column = index.column()
        if column not in (NAME, DISTRIBUTION, ZEROS, PLAN):
            super().paint(painter, option, index)
            return
        self.initStyleOption(option, index)
        text, option.text = option.text, ""
        style = option.widget.style() if option.widget else QApplication.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, option.widget)
        area = option.rect.adjusted(6, 3, -6, -3)
        summary = index.data(SUMMARY_ROLE)
        if column == NAME:
            self._paint_name(painter, option, area, text, index)
        elif column == PLAN:
            fitting = option.fontMetrics.elidedText(text, Qt.TextElideMode.ElideRight, area.width())
            self._paint_text(painter, option, area, fitting, muted=not index.data(OWN_ROLE))
        elif isinstance(summary, Problem):
            self._paint_text(painter, option, area, "not read" if column == DISTRIBUTION else "–", muted=True)
        elif column == ZEROS:
            self._paint_zeros(painter, option, area, text, index.data(FIGURES_ROLE))
        elif summary is not None:
            self._paint_thumbnail(painter, area, summary, index.data(LAYER_ROLE))

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        # Figures and plans come in while somebody types: what has been typed stays.
        if not (isinstance(editor, QLineEdit) and editor.isModified()):
            super().setEditorData(editor, index)

    def _paint_name(
        self, painter: QPainter, option: QStyleOptionViewItem, area: QRect, text: str, index: Index
    ) -> None:
        left = area.left() + INDENT * index.data(DEPTH_ROLE)
        fold = index.data(FOLD_ROLE)
        if fold is None:
            mark = QRect(left - 3, area.top() + 2, 3, area.height() - 4)
            painter.fillRect(mark, QColor(theme.tokens().series_color(index.data(LAYER_ROLE))))
            left += 4
        else:
            self._paint_arrow(painter, QRect(left - 4, area.top(), ARROW, area.height()), fold == "open")
            left += ARROW - 2
        place = QRect(left, area.top(), area.right() + 4 - left, area.height())
        # The end of a path tells more layers apart than its beginning does.
        mode = Qt.TextElideMode.ElideLeft if "." in text else Qt.TextElideMode.ElideMiddle
        elided = option.fontMetrics.elidedText(text, mode, place.width())
        self._paint_text(painter, option, place, elided, side=Qt.AlignmentFlag.AlignLeft)

    def _paint_arrow(self, painter: QPainter, area: QRect, opened: bool) -> None:
        x, y = area.center().x(), area.center().y()
        corners = (
            [QPointF(x - 4, y - 2), QPointF(x + 4, y - 2), QPointF(x, y + 3)]
            if opened
            else [QPointF(x - 2, y - 4), QPointF(x - 2, y + 4), QPointF(x + 3, y)]
        )
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.tokens().text_muted))
        painter.drawPolygon(corners)
        painter.restore()

    def _paint_zeros(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        area: QRect,
        text: str,
        figures: LayerFigures | None,
    ) -> None:
        self._paint_text(painter, option, area.adjusted(0, -2, 0, -2), text, muted=figures is None)
        if figures is None:
            return
        colors = theme.tokens()
        track = QRectF(area.left(), area.bottom() - 2, area.width(), 3)
        painter.fillRect(track, QColor(colors.line))
        track.setWidth(track.width() * figures.sparsity)
        painter.fillRect(track, QColor(colors.accent))

    def _paint_text(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        area: QRect,
        text: str,
        *,
        muted: bool = False,
        side: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignRight,
    ) -> None:
        colors = theme.tokens()
        painter.save()
        painter.setFont(option.font)
        painter.setPen(QColor(colors.text_muted if muted else colors.text))
        painter.drawText(area, int(side | Qt.AlignmentFlag.AlignVCenter), text)
        painter.restore()

    def _paint_thumbnail(self, painter: QPainter, area: QRect, summary: LayerSummary, layer: int) -> None:
        ratio = painter.device().devicePixelRatioF()
        key = (id(summary), layer, area.width(), area.height(), ratio)
        found = self._pictures.get(key)
        if found is None:
            if len(self._pictures) >= _REMEMBERED:
                self._pictures.clear()
            # The summary is kept beside its picture, so that its id cannot come to mean another one.
            found = (summary, thumbnail(summary, area.width(), area.height(), ratio, layer))
            self._pictures[key] = found
        painter.drawPixmap(area.topLeft(), found[1])

    def _forget(self, _tokens: object) -> None:
        self._pictures.clear()


_THUMBNAIL_BARS = 24


def _joined(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """As few bars as a cell of the table has room for: neighbours added up."""
    together = max(1, counts.size // _THUMBNAIL_BARS)
    return np.add.reduceat(counts, np.arange(0, counts.size, together))


def thumbnail(summary: LayerSummary, width: int, height: int, ratio: float, layer: int) -> QPixmap:
    """The small histogram of a layer in its colour; exact zeros are left out, a line marks where zero is."""
    colors = theme.tokens()
    picture = QPixmap(round(width * ratio), round(height * ratio))
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    counts = _joined(summary.thumbnail.counts_without_zeros)
    edges = summary.thumbnail.edges
    painter = QPainter(picture)
    painter.fillRect(QRectF(0, height - 1, width, 1), QColor(colors.line))
    if edges[0] < 0 < edges[-1]:
        zero = width * -edges[0] / (edges[-1] - edges[0])
        painter.fillRect(QRectF(round(zero), 0, 1, height), QColor(colors.line))
    if counts.any():
        # Bars end on whole pixels: blurred edges would hide the form at this size.
        ends = np.rint(np.linspace(0, width * ratio, counts.size + 1)) / ratio
        tall = counts / counts.max() * (height - 1)
        color = QColor(colors.series_color(layer))
        for left, right, size in zip(ends[:-1].tolist(), ends[1:].tolist(), tall.tolist()):
            if size > 0:
                size = max(size, 1.0)
                painter.fillRect(QRectF(left, height - size, right - left, size), color)
    if summary.statistics.not_finite:
        painter.setPen(QColor(colors.bad))
        font = painter.font()
        font.setPixelSize(theme.FONT_SMALL)
        font.setBold(True)
        painter.setFont(font)
        painter.drawText(QRectF(0, 0, width, height), int(Qt.AlignmentFlag.AlignRight), "NaN")
    painter.end()
    return picture
