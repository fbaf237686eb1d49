"""The Predictions tab: which examples flipped between two models, the test that tells noise, and the images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from core.history.flips import FlipPair
from studio import theme
from studio.tables.flipped import describe
from studio.views.elided import ElidedLabel
from studio.views.findings_view import MOST_CELLS, Picture
from studio.views.flips_rows import (
    MCNEMAR,
    NEWCOMBE,
    by_class,
    confusion_matrix,
    confusions,
    facts,
    kinds_offered,
    square,
)
from studio.views.grid_view import GridView
from studio.views.image_grid import ImageGrid
from studio.views.notice import PanelNotice
from studio.views.wrapped import WrappedLabel

EVERY_CLASS = -1
_LOW, _VERY_LOW, _NARROW = 360, 260, 500
"""Pixels of height below which the finding is told in few words, in a narrow and in a wide view."""

_NO_EXAMPLES = "No example is of this kind: choose another one above."


@dataclass(frozen=True, eq=False)
class FlipChoice:
    """One comparison that is offered: the pair, or why there is none."""

    title: str
    pair: FlipPair | None
    why: str = ""


class FlipsView(QWidget):
    """Shows one `FlipPair` of those offered; says which images it lacks and when it is looked at."""

    seen = Signal()
    images_wanted = Signal(object)  # tuple of examples
    pair_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("flipsView")
        self._choices: tuple[FlipChoice, ...] = ()
        self._stale: dict[int, Callable[[], None]] = {}
        self.chooser = _choice(
            "flipsPair", "Which predictions", "Whose predictions are set against each other"
        )
        self.chooser.currentIndexChanged.connect(self._pair_chosen)
        self.sentence = WrappedLabel()
        self.sentence.setObjectName("flipsSentence")
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.tabs = QTabWidget()
        self.tabs.setObjectName("flipsTabs")
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setExpanding(False)
        for title, tip, page in (
            ("Images", "The test images whose prediction changed", self._images_page()),
            (
                "Counts",
                "How many flipped, McNemar’s test and the interval of the difference",
                self._counts_page(),
            ),
            ("Classes", "Accuracy class by class", self._classes_page()),
            ("Confusions", "Which class is taken for which", self._confusions_page()),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(page, title), tip)
        self.tabs.currentChanged.connect(self._fill_page)
        self._inside = QWidget()
        inside = QVBoxLayout(self._inside)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(theme.SPACE // 2)
        said = QHBoxLayout()
        said.setContentsMargins(theme.SPACE, 0, theme.SPACE, 0)
        said.addWidget(self.sentence)
        inside.addLayout(said)
        inside.addWidget(self.tabs, 1)
        self.pair_notice = PanelNotice(self._inside)
        self.pair_notice.setObjectName("flipsPairNotice")
        self._chooser_row = QWidget()
        row = QHBoxLayout(self._chooser_row)
        row.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, 0)
        row.addWidget(self.chooser, 1)
        content = QWidget()
        below = QVBoxLayout(content)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(0)
        below.addWidget(self._chooser_row)
        below.addWidget(self.pair_notice)
        below.addWidget(self._inside, 1)
        self.notice = PanelNotice(content)
        self.notice.setObjectName("flipsNotice")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.notice)
        layout.addWidget(content, 1)
        theme.events.changed.connect(self._restyle)

    # -- what is shown -----------------------------------------------------------------------------------------

    @property
    def pair(self) -> FlipPair | None:
        """What is on show."""
        place = self.chooser.currentIndex()
        return self._choices[place].pair if 0 <= place < len(self._choices) else None

    def show_choices(self, choices: Sequence[FlipChoice]) -> None:
        """Offer these comparisons (at least one); the one on show stays if it is among them."""
        before = self.chooser.currentText()
        self._choices = tuple(choices)
        with QSignalBlocker(self.chooser):
            self.chooser.clear()
            self.chooser.addItems([choice.title for choice in choices])
            self.chooser.setCurrentIndex(max(0, self.chooser.findText(before)))
        self._chooser_row.setVisible(len(choices) > 1)
        self.notice.clear()
        self._pair_chosen(0)

    def show_nothing(self, text: str) -> None:
        """Say why there is nothing."""
        self._choices = ()
        with QSignalBlocker(self.chooser):
            self.chooser.clear()
        self.images.flipped.show_examples(None, np.zeros(0, np.intp))
        self.notice.show_empty(text)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.seen.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._say()

    def sizeHint(self) -> QSize:
        return QSize(460, 480)

    # -- building ----------------------------------------------------------------------------------------------

    def _images_page(self) -> QWidget:
        self.kind = _choice(
            "flipsKind", "Which examples", "Show examples of this kind, the surest answers first"
        )
        self.class_filter = _choice("flipsClass", "True class", "Show only examples of this class")
        for box in (self.kind, self.class_filter):
            box.currentIndexChanged.connect(self._filter)
        self.images = ImageGrid()
        self.images.images_wanted.connect(self.images_wanted)
        self.images.example_chosen.connect(self._example_chosen)
        self.images_notice = PanelNotice(self.images)
        self.images_notice.setObjectName("flipsImagesNotice")
        self.images_notice.retry.connect(self.images.ask_for_images)
        self.readout = ElidedLabel()
        self.readout.setObjectName("flipsReadout")
        self.readout.setProperty("role", "small")
        page = QWidget()
        bar = QHBoxLayout()
        bar.setSpacing(theme.SPACE)
        bar.setContentsMargins(theme.SPACE, theme.SPACE // 2, theme.SPACE, theme.SPACE // 2)
        bar.addWidget(self.kind, 3)
        bar.addWidget(self.class_filter, 2)
        self._foot = QWidget()
        foot = QHBoxLayout(self._foot)
        foot.setContentsMargins(theme.SPACE, theme.SPACE // 2, theme.SPACE, theme.SPACE // 2)
        foot.addWidget(self.readout, 1)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(bar)
        layout.addWidget(self.images_notice)
        layout.addWidget(self.images, 1)
        layout.addWidget(self._foot)
        return page

    def _counts_page(self) -> QWidget:
        self.square = GridView("Examples that both, either or none gets right")
        self.square.setObjectName("flipsSquare")
        self.facts = GridView("Test and interval")
        self.facts.setObjectName("flipsFacts")
        self.facts.horizontalHeader().hide()
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(self.square)
        layout.addWidget(self.facts)
        layout.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(page)
        return scroll

    def _classes_page(self) -> QWidget:
        self.classes = GridView("Accuracy by class")
        self.classes.setObjectName("flipsClasses")
        return self.classes

    def _confusions_page(self) -> QWidget:
        self.confusion_kind = _choice(
            "flipsConfusion", "Which confusions", "What the confusions are shown as"
        )
        self.confusion_kind.currentIndexChanged.connect(self._fill_confusions)
        self.confusion_list = GridView("Confusions whose number changed most")
        self.confusion_list.setObjectName("flipsConfusionList")
        self.picture = Picture()
        self.picture.setAccessibleName("Picture of the confusions")
        self._picture_place = QScrollArea()
        self._picture_place.setWidgetResizable(True)
        self._picture_place.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._picture_place.setWidget(self.picture)
        self._too_large = QLabel(
            "Too many classes for a picture: the list has the confusions that changed most."
        )
        self._too_large.setProperty("role", "muted")
        self._too_large.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._too_large.setWordWrap(True)
        self.confusion_front = QStackedWidget()
        for front in (self.confusion_list, self._picture_place, self._too_large):
            self.confusion_front.addWidget(front)
        page = QWidget()
        bar = QHBoxLayout()
        bar.setContentsMargins(theme.SPACE, theme.SPACE // 2, theme.SPACE, theme.SPACE // 2)
        bar.addWidget(self.confusion_kind, 1)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(bar)
        layout.addWidget(self.confusion_front, 1)
        return page

    # -- filling -----------------------------------------------------------------------------------------------

    def _pair_chosen(self, _index: int) -> None:
        pair = self.pair
        if pair is None:
            place = self.chooser.currentIndex()
            if 0 <= place < len(self._choices):
                self.images.flipped.show_examples(None, np.zeros(0, np.intp))
                self.pair_notice.show_empty(self._choices[place].why)
            return
        self.pair_notice.clear()
        self._say()
        names = pair.predictions.class_names
        totals = pair.flips.total_by_class
        self._refill(self.kind, [(title, kinds) for title, kinds in kinds_offered(pair)], by_place=True)
        self._refill(
            self.class_filter,
            [
                ("Every class", EVERY_CLASS),
                *((name, place) for place, name in enumerate(names) if totals[place]),
            ],
        )
        self._refill(
            self.confusion_kind,
            [
                ("What changed most, as a list", "list"),
                ("Change, as a picture", "change"),
                (f"Confusions {_of(pair.first)}, as a picture", "first"),
                (f"Confusions {_of(pair.second)}, as a picture", "second"),
            ],
            by_place=True,
        )
        self._filter()
        self._stale = {1: self._fill_counts, 2: self._fill_classes, 3: self._fill_confusion_list}
        self._fill_page(self.tabs.currentIndex())
        self.pair_changed.emit()

    def _say(self) -> None:
        """The finding, in few words where the images would have no room otherwise."""
        if (pair := self.pair) is not None:
            low = self.height() < (_LOW if self.width() < _NARROW else _VERY_LOW)
            self._foot.setHidden(low)
            text = pair.headline if low else pair.sentence
            self.sentence.setText(_unbroken(text))
            self.sentence.setToolTip(f"{pair.sentence}\n\n{MCNEMAR}\n\n{NEWCOMBE}")
            self.sentence.updateGeometry()

    def _fill_page(self, place: int) -> None:
        """Fill the page in front unless it is up to date: a thousand classes take a while."""
        if (fill := self._stale.pop(place, None)) is not None:
            fill()

    def _fill_counts(self) -> None:
        if (pair := self.pair) is not None:
            self.square.table.show_rows(*square(pair))
            self.square.stretch(1, 1, 1, 1)
            self.square.fit_height()
            self.facts.table.show_rows(*facts(pair))
            self.facts.stretch(1, 1)
            self.facts.fit_height()

    def _fill_classes(self) -> None:
        if (pair := self.pair) is not None:
            self.classes.table.show_rows(*by_class(pair))
            self.classes.stretch(1, 0, 0, 0, 0, 0, 0)
            for column, width in enumerate((64, 64, 84, 40, 40, 74), 1):
                self.classes.setColumnWidth(column, width)

    def _fill_confusion_list(self) -> None:
        if (pair := self.pair) is not None:
            self.confusion_list.table.show_rows(*confusions(pair))
            self.confusion_list.stretch(1, 1, 0, 0, 0)
            for column in (2, 3, 4):
                self.confusion_list.setColumnWidth(column, 76)
            self._fill_confusions()

    def _fill_confusions(self, _index: int = 0) -> None:
        pair, which = self.pair, self.confusion_kind.currentData()
        if pair is None or which is None:
            return
        if which == "list":
            self.confusion_front.setCurrentWidget(self.confusion_list)
        elif len(pair.predictions.class_names) ** 2 > MOST_CELLS:
            self.confusion_front.setCurrentWidget(self._too_large)
        else:
            self.confusion_front.setCurrentWidget(self._picture_place)
            self.picture.show_form(confusion_matrix(pair, which))

    def _filter(self, _index: int = 0) -> None:
        pair, kinds, wanted = self.pair, self.kind.currentData(), self.class_filter.currentData()
        if pair is None or kinds is None or wanted is None:
            return
        found = pair.flips.indices(*kinds)
        if wanted != EVERY_CLASS:
            found = found[pair.predictions.labels[found] == wanted]
        self.images.flipped.show_examples(pair, _surest_first(pair, found))
        if len(found):
            self.images_notice.clear()
        else:
            self.images_notice.show_empty(_NO_EXAMPLES)

    def _example_chosen(self, example: int | None) -> None:
        pair = self.images.flipped.pair
        if pair is None or example is None:
            shown = self.images.flipped.rowCount()
            told = "" if pair is None else f"Under each image: true class, {pair.first}, {pair.second}."
            self.readout.show_text(f"{shown:,} shown. {told}")
        else:
            self.readout.show_text(describe(pair, example))

    @staticmethod
    def _refill(box: QComboBox, items: Sequence[tuple[str, object]], *, by_place: bool = False) -> None:
        """Offer other items; what was chosen stays, by its place or by its text."""
        place = box.currentIndex() if by_place else box.findText(box.currentText())
        kept = box.currentText()
        with QSignalBlocker(box):
            box.clear()
            for text, data in items:
                box.addItem(text, data)
            if not by_place:
                place = box.findText(kept)
            box.setCurrentIndex(max(0, min(place, box.count() - 1)))

    def _restyle(self, _tokens: theme.Tokens) -> None:
        if self.pair is not None and 3 not in self._stale:
            self._fill_confusions()


def _surest_first(pair: FlipPair, examples: NDArray[np.intp]) -> NDArray[np.intp]:
    """By the confidence of the second model: a sure mistake says more than a close one."""
    order = np.argsort(-pair.second_answers.confidence[examples], kind="stable")
    return examples[order]


def _unbroken(text: str) -> str:
    """Units stay on the line of their numbers."""
    for apart in (" %", " pp", "p = ", "p < "):
        text = text.replace(apart, apart.replace(" ", "\u00a0"))
    return text


def _of(name: str) -> str:
    return name if name in ("before", "after") else f"of {name}"


def _choice(name: str, title: str, tip: str) -> QComboBox:
    box = QComboBox()
    box.setObjectName(name)
    box.setAccessibleName(title)
    box.setToolTip(tip)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    return box
