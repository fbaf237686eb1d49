"""The item model of flipped examples: which ones, in which order, with what is written under each image."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QImage, QPixmap

from core.analysis.prediction_flips import KINDS, NEWLY_RIGHT, NEWLY_WRONG
from core.formatting import percent
from core.history.flips import FlipPair

Index = QModelIndex | QPersistentModelIndex

CAPTION_ROLE = Qt.ItemDataRole.UserRole + 1
"""The true class and, for either model, its answer and whether that is right."""

_REMEMBERED = 4000
"""Images that are kept; at 32 × 32 pixels they take 16 MB."""


class Flipped(QAbstractListModel):
    """Examples of a `FlipPair`; images join when they are there."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pair: FlipPair | None = None
        self._examples: NDArray[np.intp] = np.zeros(0, np.intp)
        self._row_of: dict[int, int] = {}
        self._pictures: dict[int, QPixmap] = {}

    @property
    def pair(self) -> FlipPair | None:
        """Whose examples are shown."""
        return self._pair

    def show_examples(self, pair: FlipPair | None, examples: NDArray[np.intp]) -> None:
        """Replace all rows; images stay as long as they are of the same split."""
        self.beginResetModel()
        before = None if self._pair is None else self._pair.predictions.fingerprint
        if pair is None or pair.predictions.fingerprint != before:
            self._pictures.clear()
        self._pair = pair
        self._examples = examples
        self._row_of = {example: row for row, example in enumerate(examples.tolist())}
        self.endResetModel()

    def example(self, row: int) -> int:
        """The place in the split of the example in a row."""
        return int(self._examples[row])

    def text(self) -> str:
        """All rows as tab-separated text, with full precision."""
        pair = self._pair
        if pair is None:
            return ""
        heads = ["example", "kind", "true class"]
        for name in (pair.first, pair.second):
            heads += [name, f"{name} confidence"]
        lines = ["\t".join(heads)]
        names, labels = pair.predictions.class_names, pair.predictions.labels
        for example in self._examples.tolist():
            cells = [str(example), KINDS[pair.flips.kinds[example]], names[labels[example]]]
            for answers in (pair.first_answers, pair.second_answers):
                cells += [names[answers.predicted[example]], repr(float(answers.confidence[example]))]
            lines.append("\t".join(cells))
        return "\n".join(lines) + "\n"

    def without_picture(self, rows: Iterable[int]) -> tuple[int, ...]:
        """The examples in these rows whose images are not there."""
        found = (self.example(row) for row in rows if 0 <= row < len(self._examples))
        return tuple(example for example in found if example not in self._pictures)

    def add_pictures(self, images: Mapping[int, NDArray[np.uint8]]) -> None:
        """Show these images, uint8 [H, W, C] with C 1 or 3, by their examples."""
        if len(self._pictures) + len(images) > _REMEMBERED:
            self._pictures.clear()
        for example, image in images.items():
            self._pictures[example] = _pixmap(image)
            row = self._row_of.get(example)
            if row is not None:
                self.dataChanged.emit(self.index(row), self.index(row), [Qt.ItemDataRole.DecorationRole])

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._examples)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        pair = self._pair
        if not index.isValid() or pair is None:
            return None
        example = self.example(index.row())
        match role:
            case Qt.ItemDataRole.DecorationRole:
                return self._pictures.get(example)
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.AccessibleTextRole:
                return describe(pair, example)
            case Qt.ItemDataRole.ToolTipRole:
                return describe(pair, example).replace("; ", "\n")
        return caption(pair, example) if role == CAPTION_ROLE else None


def caption(pair: FlipPair, example: int) -> tuple[str, str, tuple[tuple[str, bool], ...]]:
    """A sign of what happened, the true class, and either answer with its confidence and whether it is right."""
    names = pair.predictions.class_names
    label = int(pair.predictions.labels[example])
    kind = KINDS[pair.flips.kinds[example]]
    sign = {NEWLY_WRONG: "▼", NEWLY_RIGHT: "▲"}.get(kind, "◆")
    given = []
    for answers in (pair.first_answers, pair.second_answers):
        predicted = int(answers.predicted[example])
        text = f"{names[predicted]} · {percent(float(answers.confidence[example]), 0)}"
        given.append((text, predicted == label))
    return sign, names[label], tuple(given)


def describe(pair: FlipPair, example: int) -> str:
    """All that is known of an example in one line."""
    _, label, given = caption(pair, example)
    kind = KINDS[pair.flips.kinds[example]]
    answers = "; ".join(
        f"{name}: {text} ({'right' if right else 'wrong'})"
        for name, (text, right) in zip((pair.first, pair.second), given, strict=True)
    )
    return f"Example {example:,}: {label}; {answers}; {kind}"


def _pixmap(image: NDArray[np.uint8]) -> QPixmap:
    height, width, channels = image.shape
    kind = QImage.Format.Format_Grayscale8 if channels == 1 else QImage.Format.Format_RGB888
    pixels = np.ascontiguousarray(image)
    return QPixmap.fromImage(QImage(pixels.data, width, height, width * channels, kind))
