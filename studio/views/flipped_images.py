"""The images of examples that flipped, with the filters that choose among them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from core.history.flips import FlipPair
from studio import icons, theme
from studio.tables.flipped import describe
from studio.views.choices import choice
from studio.views.elided import ElidedLabel
from studio.views.flips_rows import ALL_THAT_CHANGED, kinds_offered
from studio.views.image_grid import ImageGrid
from studio.views.notice import PanelNotice

EVERY_CLASS = -1
_NO_EXAMPLES = "No example is of this kind: choose another one above."


class FlippedImages(QWidget):
    """Shows the examples of a `FlipPair` that the filters let through, the surest answers first."""

    images_wanted = Signal(object)  # tuple of examples

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("flippedImagesPage")
        self._pair: FlipPair | None = None
        self._answer: int | None = None
        self.kind = choice(
            "flipsKind", "Which examples", "Show examples of this kind, the surest answers first"
        )
        self.class_filter = choice("flipsClass", "True class", "Show only examples of this class")
        for box in (self.kind, self.class_filter):
            box.currentIndexChanged.connect(self._filter)
        self.answer = QToolButton()
        self.answer.setObjectName("flipsAnswer")
        self.answer.setToolTip(
            "Only examples that one of the two models takes for this class; click to show all"
        )
        self.answer.setAccessibleName("Show examples of every answer again")
        self.answer.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        icons.bind(self.answer, "close", "text_muted")
        self.answer.clicked.connect(self._any_answer)
        self.answer.hide()
        self.grid = ImageGrid()
        self.grid.images_wanted.connect(self.images_wanted)
        self.grid.example_chosen.connect(self._example_chosen)
        self.notice = PanelNotice(self.grid)
        self.notice.setObjectName("flipsImagesNotice")
        self.notice.retry.connect(self.grid.ask_for_images)
        self.readout = ElidedLabel()
        self.readout.setObjectName("flipsReadout")
        self.readout.setProperty("role", "small")
        bar = QHBoxLayout()
        bar.setSpacing(theme.SPACE)
        bar.setContentsMargins(theme.SPACE, theme.SPACE // 2, theme.SPACE, theme.SPACE // 2)
        bar.addWidget(self.kind, 3)
        bar.addWidget(self.class_filter, 2)
        bar.addWidget(self.answer)
        self._foot = QWidget()
        foot = QHBoxLayout(self._foot)
        foot.setContentsMargins(theme.SPACE, theme.SPACE // 2, theme.SPACE, theme.SPACE // 2)
        foot.addWidget(self.readout, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(bar)
        layout.addWidget(self.notice)
        layout.addWidget(self.grid, 1)
        layout.addWidget(self._foot)

    def show_pair(self, pair: FlipPair | None) -> None:
        """Show another comparison; what was filtered for stays where it can."""
        self._pair = pair
        self._answer = None
        if pair is None:
            self.grid.flipped.show_examples(None, np.zeros(0, np.intp))
            return
        names, totals = pair.predictions.class_names, pair.flips.total_by_class
        place = max(0, self.kind.currentIndex())
        refill(self.kind, [(title, kinds) for title, kinds in kinds_offered(pair)], place)
        classes = [("Every class", EVERY_CLASS)]
        classes += [(name, place) for place, name in enumerate(names) if totals[place]]
        chosen = self.class_filter.currentText()
        refill(
            self.class_filter, classes, next((n for n, (name, _) in enumerate(classes) if name == chosen), 0)
        )
        self._filter()

    def show_class(self, label: int, answer: int | None = None) -> None:
        """Show all that changed of one true class, perhaps only what one of the models takes for the class `answer`."""
        self._answer = answer
        with QSignalBlocker(self.kind), QSignalBlocker(self.class_filter):
            self.kind.setCurrentIndex(ALL_THAT_CHANGED)
            self.class_filter.setCurrentIndex(max(0, self.class_filter.findData(label)))
        self._filter()

    def set_low(self, low: bool) -> None:
        """Leave the read-out out where there is little room; tooltips tell the same."""
        self._foot.setHidden(low)

    # -- inside ------------------------------------------------------------------------------------------------

    def _any_answer(self) -> None:
        self._answer = None
        self._filter()

    def _filter(self, _index: int = 0) -> None:
        pair, kinds, wanted = self._pair, self.kind.currentData(), self.class_filter.currentData()
        if pair is None or kinds is None or wanted is None:
            return
        found = pair.flips.indices(*kinds)
        if wanted != EVERY_CLASS:
            found = found[pair.predictions.labels[found] == wanted]
        self.answer.setVisible(self._answer is not None)
        if self._answer is not None:
            first, second = pair.first_answers.predicted[found], pair.second_answers.predicted[found]
            found = found[(first == self._answer) | (second == self._answer)]
            self.answer.setText(f"as {pair.predictions.class_names[self._answer]}")
        self.grid.flipped.show_examples(pair, _surest_first(pair, found))
        if len(found):
            self.notice.clear()
        else:
            self.notice.show_empty(_NO_EXAMPLES)

    def _example_chosen(self, example: int | None) -> None:
        pair = self.grid.flipped.pair
        if pair is None or example is None:
            shown = self.grid.flipped.rowCount()
            told = "" if pair is None else f"Under each image: true class, {pair.first}, {pair.second}."
            self.readout.show_text(f"{shown:,} shown. {told}")
        else:
            self.readout.show_text(describe(pair, example))


def refill(box: QComboBox, items: Sequence[tuple[str, object]], place: int) -> None:
    """Offer other items without telling, the one at `place` chosen."""
    with QSignalBlocker(box):
        box.clear()
        for text, data in items:
            box.addItem(text, data)
        box.setCurrentIndex(min(place, box.count() - 1))


def _surest_first(pair: FlipPair, examples: NDArray[np.intp]) -> NDArray[np.intp]:
    """By the confidence of the second model: a sure mistake says more than a close one."""
    order = np.argsort(-pair.second_answers.confidence[examples], kind="stable")
    return examples[order]
