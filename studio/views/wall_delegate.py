"""How one cell of the wall is painted: name, figures and a histogram with its own or the common axes."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from core.analysis.summary import LayerSummary
from core.formatting import count, percent, short_count, significant
from studio import theme
from studio.problem import Problem
from studio.tables.layer_wall import densities
from studio.tables.layers import LAYER_ROLE, SUMMARY_ROLE

Index = QModelIndex | QPersistentModelIndex

CELL_HEIGHT = 132
_REMEMBERED = 600
_DECADES = 5.0
"""How far below its peak a logarithmic cell reaches at most."""


class WallDelegate(QStyledItemDelegate):
    """Histograms are painted once into pixmaps, so that scrolling only copies them."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.cell = QSize(180, CELL_HEIGHT)
        self._logarithmic = False
        self._axes: tuple[float, float, float] | None = None
        self._pictures: dict[tuple[object, ...], tuple[LayerSummary, QPixmap]] = {}
        theme.events.changed.connect(self._forget)

    def set_scale(self, logarithmic: bool, axes: tuple[float, float, float] | None) -> None:
        """Choose logarithmic heights, and common axes (left, right, greatest density) or None for each its own."""
        if (logarithmic, axes) != (self._logarithmic, self._axes):
            self._logarithmic, self._axes = logarithmic, axes
            self._pictures.clear()

    def sizeHint(self, _option: QStyleOptionViewItem, _index: Index) -> QSize:
        return self.cell

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        tokens = theme.tokens()
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        focused = bool(option.state & QStyle.StateFlag.State_HasFocus)
        frame = option.rect.adjusted(3, 3, -3, -3)
        painter.save()
        painter.fillRect(frame, QColor(tokens.selection if chosen else tokens.panel))
        painter.setPen(QPen(QColor(tokens.accent if chosen or focused else tokens.line), 2 if focused else 1))
        painter.drawRect(QRectF(frame).adjusted(0.5, 0.5, -0.5, -0.5))
        area = frame.adjusted(7, 4, -7, -4)
        layer, summary = index.data(LAYER_ROLE), index.data(SUMMARY_ROLE)
        self._write_head(painter, area, str(index.data()), summary, layer)
        plot = area.adjusted(0, 36, 0, -15)
        if isinstance(summary, LayerSummary):
            self._draw_histogram(painter, plot, summary, layer)
            self._write_ends(painter, QRect(area.left(), plot.bottom() + 1, area.width(), 14), summary)
        else:
            painter.setPen(QColor(tokens.text_muted))
            text = summary.message if isinstance(summary, Problem) else "being counted …"
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(plot, int(flags), text)
        painter.restore()

    def _write_head(self, painter: QPainter, area: QRect, name: str, summary: object, layer: int) -> None:
        tokens = theme.tokens()
        painter.fillRect(QRect(area.left(), area.top() + 2, 3, 14), QColor(tokens.series_color(layer)))
        top = QRect(area.left() + 8, area.top(), area.width() - 8, 18)
        painter.setPen(QColor(tokens.text))
        text = QFontMetrics(painter.font()).elidedText(name, Qt.TextElideMode.ElideLeft, top.width())
        painter.drawText(top, int(Qt.AlignmentFlag.AlignVCenter), text)
        if not isinstance(summary, LayerSummary):
            return
        painter.setFont(_small(painter.font()))
        painter.setPen(QColor(tokens.text_muted))
        below = top.translated(0, 18)
        figures = summary.statistics
        painter.drawText(
            below,
            int(Qt.AlignmentFlag.AlignVCenter),
            f"{_weights(figures.count)} weights · {percent(figures.sparsity, 1)} zeros",
        )
        if figures.not_finite:
            painter.setPen(QColor(tokens.bad))
            painter.drawText(
                below, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), "NaN, Inf"
            )

    def _write_ends(self, painter: QPainter, area: QRect, summary: LayerSummary) -> None:
        left, right = self._span(summary)
        painter.setFont(_small(painter.font()))
        painter.setPen(QColor(theme.tokens().text_muted))
        centre = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(
            area, int(Qt.AlignmentFlag.AlignLeft | centre), significant(left, 2).replace("-", "−")
        )
        painter.drawText(
            area, int(Qt.AlignmentFlag.AlignRight | centre), significant(right, 2).replace("-", "−")
        )

    def _span(self, summary: LayerSummary) -> tuple[float, float]:
        if self._axes is not None:
            return self._axes[0], self._axes[1]
        return float(summary.thumbnail.edges[0]), float(summary.thumbnail.edges[-1])

    def _draw_histogram(self, painter: QPainter, area: QRect, summary: LayerSummary, layer: int) -> None:
        ratio = painter.device().devicePixelRatioF()
        key = (id(summary), layer, area.width(), area.height(), ratio)
        found = self._pictures.get(key)
        if found is None:
            if len(self._pictures) >= _REMEMBERED:
                self._pictures.clear()
            # The summary is kept beside its picture, so that its id cannot come to mean another one.
            found = (summary, self._picture(summary, area.width(), area.height(), ratio, layer))
            self._pictures[key] = found
        painter.drawPixmap(area.topLeft(), found[1])

    def _picture(self, summary: LayerSummary, width: int, height: int, ratio: float, layer: int) -> QPixmap:
        tokens = theme.tokens()
        picture = QPixmap(round(width * ratio), round(height * ratio))
        picture.setDevicePixelRatio(ratio)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        painter.fillRect(QRectF(0, height - 1, width, 1), QColor(tokens.line))
        left, right = self._span(summary)
        scale = width / (right - left) if np.isfinite(right - left) and right > left else 0.0
        if left < 0 < right:
            painter.fillRect(QRectF(round(-left * scale), 0, 1, height), QColor(tokens.line))
        found = densities(summary)
        most = self._axes[2] if self._axes is not None else float(found.max(initial=0.0))
        if most > 0 and scale > 0:
            tall = self._heights(found, most) * (height - 2)
            # Bars end on whole pixels: blurred edges would hide the form at this size.
            ends = np.rint((summary.thumbnail.edges - left) * scale * ratio) / ratio
            ends[1:] = np.maximum(ends[1:], ends[:-1])
            color = QColor(tokens.series_color(layer))
            bars = zip(ends[:-1].tolist(), ends[1:].tolist(), tall.tolist(), strict=True)
            for start, stop, size in bars:
                if size > 0:
                    painter.fillRect(
                        QRectF(start, height - 1 - size, max(stop - start, 1 / ratio), size), color
                    )
        painter.end()
        return picture

    def _heights(self, found: NDArray[np.float64], most: float) -> NDArray[np.float64]:
        """Heights from 0 to 1."""
        if not self._logarithmic:
            return np.where(found > 0, np.maximum(found / most, 0.015), 0.0)
        with np.errstate(divide="ignore"):
            tall = 1 + np.log10(found / most) / _DECADES
        return np.where(found > 0, np.maximum(tall, 0.015), 0.0)

    def _forget(self, _tokens: object) -> None:
        self._pictures.clear()


def _weights(number: int) -> str:
    return count(number) if number < 100_000 else short_count(number)


def _small(font: QFont) -> QFont:
    small = QFont(font)
    small.setPixelSize(theme.FONT_SMALL)
    return small
