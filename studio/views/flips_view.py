"""The Predictions tab: which examples flipped between two models, the test that tells noise, and the images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QModelIndex, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QTabWidget, QVBoxLayout, QWidget

from core.history.flips import FlipPair
from studio import theme
from studio.views.choices import choice
from studio.views.confusions_panel import ConfusionsPanel
from studio.views.flipped_images import FlippedImages
from studio.views.flips_rows import MCNEMAR, NEWCOMBE, by_class, facts, overview, square
from studio.views.grid_view import GridView
from studio.views.notice import PanelNotice
from studio.views.wrapped import WrappedLabel

_LOW, _VERY_LOW, _NARROW = 360, 260, 500
"""Pixels of height below which the finding is told in few words, in a narrow and in a wide view."""

_CLASS_WIDTHS = (64, 64, 84, 40, 40, 74)
_OVERVIEW_WIDTHS = (98, 116, 76, 76, 52, 52)


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
        self._stale: dict[QWidget, Callable[[], None]] = {}
        self.chooser = choice(
            "flipsPair", "Which predictions", "Whose predictions are set against each other"
        )
        self.chooser.currentIndexChanged.connect(self._pair_chosen)
        self.sentence = WrappedLabel()
        self.sentence.setObjectName("flipsSentence")
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._build_pages()
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
        row.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE // 2)
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
        several = len(choices) > 1
        self._chooser_row.setVisible(several)
        self.tabs.setTabVisible(self.tabs.indexOf(self.overview), several)
        self.notice.clear()
        self._pair_chosen(0)

    def show_nothing(self, text: str) -> None:
        """Say why there is nothing."""
        self._choices = ()
        with QSignalBlocker(self.chooser):
            self.chooser.clear()
        self.images.show_pair(None)
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

    def _build_pages(self) -> None:
        self.images = FlippedImages()
        self.images.images_wanted.connect(self.images_wanted)
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
        self.counts = QScrollArea()
        self.counts.setWidgetResizable(True)
        self.counts.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.counts.setWidget(page)
        self.classes = GridView("Accuracy by class")
        self.classes.setObjectName("flipsClasses")
        self.classes.setToolTip("Double-click a class to see its images")
        self.classes.activated.connect(self._class_activated)
        self.confusions = ConfusionsPanel()
        self.confusions.examples_wanted.connect(self._show_examples)
        self.overview = GridView("All comparisons")
        self.overview.setObjectName("flipsOverview")
        self.overview.setToolTip("Click a row to look at it")
        self.overview.clicked.connect(self._overview_chosen)
        self.overview.activated.connect(self._overview_chosen)
        self.tabs = QTabWidget()
        self.tabs.setObjectName("flipsTabs")
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setExpanding(False)
        for widget, title, tip in (
            (self.images, "Images", "The test images whose prediction changed"),
            (self.counts, "Counts", "How many flipped, McNemar’s test and the interval of the difference"),
            (self.classes, "Classes", "Accuracy class by class"),
            (self.confusions, "Confusions", "Which class is taken for which"),
            (self.overview, "All", "All comparisons that are offered, one below the other"),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(widget, title), tip)
        self.tabs.currentChanged.connect(self._fill_page)

    # -- filling -----------------------------------------------------------------------------------------------

    def _pair_chosen(self, _index: int) -> None:
        pair = self.pair
        if pair is None:
            place = self.chooser.currentIndex()
            if 0 <= place < len(self._choices):
                self.images.show_pair(None)
                self.pair_notice.show_empty(self._choices[place].why)
            return
        self.pair_notice.clear()
        self._say()
        self.images.show_pair(pair)
        self._stale = {
            self.counts: self._fill_counts,
            self.classes: self._fill_classes,
            self.confusions: self._fill_confusions,
            self.overview: self._fill_overview,
        }
        self._fill_page()
        self.pair_changed.emit()

    def _say(self) -> None:
        """The finding, in few words where the images would have no room otherwise."""
        if (pair := self.pair) is not None:
            low = self.height() < (_LOW if self.width() < _NARROW else _VERY_LOW)
            self.images.set_low(low)
            text = pair.headline if low else pair.sentence
            self.sentence.setText(_unbroken(text))
            self.sentence.setToolTip(f"{pair.sentence}\n\n{MCNEMAR}\n\n{NEWCOMBE}")
            self.sentence.updateGeometry()

    def _fill_page(self, _place: int = 0) -> None:
        """Fill the page in front unless it is up to date: a thousand classes take a while."""
        if (fill := self._stale.pop(self.tabs.currentWidget(), None)) is not None:
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
            _lay_out(self.classes, _CLASS_WIDTHS)

    def _fill_confusions(self) -> None:
        if (pair := self.pair) is not None:
            self.confusions.show_pair(pair)

    def _fill_overview(self) -> None:
        self.overview.table.show_rows(*overview([(one.title, one.pair, one.why) for one in self._choices]))
        _lay_out(self.overview, _OVERVIEW_WIDTHS)
        self.overview.selectRow(self.chooser.currentIndex())

    # -- intents -----------------------------------------------------------------------------------------------

    def _class_activated(self, index: QModelIndex) -> None:
        if (pair := self.pair) is not None:
            self._show_examples(int(np.flatnonzero(pair.flips.total_by_class)[index.row()]))

    def _show_examples(self, label: int, answer: int | None = None) -> None:
        self.images.show_class(label, answer)
        self.tabs.setCurrentWidget(self.images)

    def _overview_chosen(self, index: QModelIndex) -> None:
        self.chooser.setCurrentIndex(index.row())


def _lay_out(view: GridView, widths: Sequence[int]) -> None:
    """The first column takes what is left."""
    view.stretch(1, *[0] * len(widths))
    for column, width in enumerate(widths, 1):
        view.setColumnWidth(column, width)


def _unbroken(text: str) -> str:
    """Units stay on the line of their numbers."""
    for apart in (" %", " pp", "p = ", "p < "):
        text = text.replace(apart, apart.replace(" ", "\u00a0"))
    return text
