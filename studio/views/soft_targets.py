"""SoftTargets: examples with the teacher's probabilities as bars, redrawn while the temperature is dragged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

from core.distillation.temperature import soft_targets
from core.formatting import percent
from studio import theme

CELL = 150
IMAGE = 56
BAR = 13
MOST_CLASSES = 10
"""Bars of an example at most: its label and the most probable other classes."""


@dataclass(frozen=True, eq=False)
class Example:
    """One example: uint8 [C, H, W] with one or three channels, its label, and the teacher's outputs [classes]."""

    image: NDArray[np.uint8]
    label: int
    logits: NDArray[np.float32]


class SoftTargets(QWidget):
    """Paints the examples side by side, in as many rows as the width asks for."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("softTargets")
        self.setAccessibleName("What the teacher says about examples of the task")
        self._examples: tuple[Example, ...] = ()
        self._pictures: list[QPixmap] = []
        self._names: Sequence[str] = ()
        self._temperature = 1.0
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        theme.events.changed.connect(self._repaint)

    def show_examples(self, examples: Sequence[Example], class_names: Sequence[str]) -> None:
        """Show these."""
        self._examples, self._names = tuple(examples), tuple(class_names)
        self._pictures = [picture_of(example.image) for example in examples]
        self._tell()
        self.updateGeometry()
        self.update()

    def set_temperature(self, temperature: float) -> None:
        """Draw the probabilities at another temperature."""
        self._temperature = temperature
        self._tell()
        self.update()

    def shares(self, place: int) -> list[tuple[str, float]]:
        """What is drawn for an example: classes and probabilities, the most probable first."""
        example = self._examples[place]
        found = soft_targets(example.logits, self._temperature)
        order = np.argsort(-found, kind="stable")[: self._bars]
        return [(self._names[int(n)], float(found[n])) for n in order]

    @property
    def _bars(self) -> int:
        return min(MOST_CLASSES, len(self._names))

    @property
    def _cell(self) -> QSize:
        return QSize(CELL, IMAGE + 12 + BAR * self._bars + theme.SPACE)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        if not self._examples:
            return 0
        columns = max(1, width // CELL)
        return -(-len(self._examples) // columns) * self._cell.height()

    def sizeHint(self) -> QSize:
        return QSize(4 * CELL, self.heightForWidth(4 * CELL))

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens, cell = theme.tokens(), self._cell
        columns = max(1, self.width() // CELL)
        painter = QPainter(self)
        font = QFont(self.font())
        font.setPixelSize(theme.FONT_SMALL)
        painter.setFont(font)
        for place, example in enumerate(self._examples):
            left, top = (place % columns) * CELL, (place // columns) * cell.height()
            if not QRect(left, top, CELL, cell.height()).intersects(event.rect()):
                continue
            picture = self._pictures[place]
            factor = IMAGE / max(picture.width(), picture.height())
            size = (round(picture.width() * factor), round(picture.height() * factor))
            painter.drawPixmap(QRect(left, top, *size), picture)
            label = QRect(left + IMAGE + 6, top, CELL - IMAGE - 12, IMAGE)
            painter.setPen(QColor(tokens.text_muted))
            flags = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextWordWrap)
            painter.drawText(label, flags, f"label\n{self._names[example.label]}")
            self._paint_bars(painter, example, place, left, top + IMAGE + 8)
        painter.end()

    def _paint_bars(self, painter: QPainter, example: Example, place: int, left: int, top: int) -> None:
        tokens = theme.tokens()
        right = self._names[example.label]
        names, room = 46, CELL - 46 - 52
        for row, (name, share) in enumerate(self.shares(place)):
            y = top + row * BAR
            painter.setPen(QColor(tokens.text if name == right else tokens.text_muted))
            shown = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, names - 4)
            middle = int(Qt.AlignmentFlag.AlignVCenter)
            painter.drawText(QRect(left, y, names, BAR), middle, shown)
            painter.fillRect(QRectF(left + names, y + 2, room, BAR - 4), QColor(tokens.raised))
            color = tokens.accent if name == right else tokens.series_color(1)
            painter.fillRect(QRectF(left + names, y + 2, room * share, BAR - 4), QColor(color))
            text = percent(share, 1) if share >= 0.0005 else "<0.1 %"
            painter.drawText(QRect(left + names + room + 4, y, 48, BAR), middle, text)

    def _tell(self) -> None:
        lines = [
            f"{self._names[example.label]}: "
            + ", ".join(f"{name} {percent(share, 1)}" for name, share in self.shares(place)[:3])
            for place, example in enumerate(self._examples)
        ]
        self.setAccessibleDescription("; ".join(lines))

    def _repaint(self, _tokens: object) -> None:
        self.update()


def picture_of(image: NDArray[np.uint8]) -> QPixmap:
    """A picture of uint8 [C, H, W]; one channel is grey, of others the first three are red, green and blue."""
    if image.shape[0] < 3:
        grey = np.ascontiguousarray(image[0])
        made = QImage(grey.data, grey.shape[1], grey.shape[0], grey.shape[1], QImage.Format.Format_Grayscale8)
        return QPixmap.fromImage(made.copy())
    color = np.ascontiguousarray(image[:3].transpose(1, 2, 0))
    made = QImage(color.data, color.shape[1], color.shape[0], 3 * color.shape[1], QImage.Format.Format_RGB888)
    return QPixmap.fromImage(made.copy())
