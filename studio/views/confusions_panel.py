"""Which class is taken for which by two models: as a list of what changed most, or as pictures."""

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from core.history.flips import FlipPair
from studio import theme
from studio.views.choices import choice
from studio.views.findings_view import MOST_CELLS, Picture
from studio.views.flipped_images import refill
from studio.views.flips_rows import confusion_matrix, confusions
from studio.views.grid_view import GridView


class ConfusionsPanel(QWidget):
    """Shows the wrong answers of a `FlipPair`."""

    examples_wanted = Signal(object, object)  # true class, answer: a row was double-clicked

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("flipsConfusions")
        self._pair: FlipPair | None = None
        self.kind = choice("flipsConfusion", "Which confusions", "What the confusions are shown as")
        self.kind.currentIndexChanged.connect(self._fill)
        self.list = GridView("Confusions whose number changed most")
        self.list.setObjectName("flipsConfusionList")
        self.list.setToolTip("Double-click a row to see its images")
        self.list.activated.connect(self._row_activated)
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
        self.front = QStackedWidget()
        for front in (self.list, self._picture_place, self._too_large):
            self.front.addWidget(front)
        bar = QHBoxLayout()
        bar.setContentsMargins(theme.SPACE, theme.SPACE // 2, theme.SPACE, theme.SPACE // 2)
        bar.addWidget(self.kind, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(bar)
        layout.addWidget(self.front, 1)
        theme.events.changed.connect(self._restyle)

    def show_pair(self, pair: FlipPair) -> None:
        """Show another comparison in the same form."""
        self._pair = pair
        items = [
            ("What changed most, as a list", "list"),
            ("Change, as a picture", "change"),
            (f"Confusions {_of(pair.first)}, as a picture", "first"),
            (f"Confusions {_of(pair.second)}, as a picture", "second"),
        ]
        refill(self.kind, items, max(0, self.kind.currentIndex()))
        self.list.table.show_rows(*confusions(pair))
        self.list.stretch(1, 1, 0, 0, 0)
        for column in (2, 3, 4):
            self.list.setColumnWidth(column, 76)
        self._fill()

    def _fill(self, _index: int = 0) -> None:
        pair, which = self._pair, self.kind.currentData()
        if pair is None or which is None:
            return
        if which == "list":
            self.front.setCurrentWidget(self.list)
        elif len(pair.predictions.class_names) ** 2 > MOST_CELLS:
            self.front.setCurrentWidget(self._too_large)
        else:
            self.front.setCurrentWidget(self._picture_place)
            self.picture.show_form(confusion_matrix(pair, which))

    def _row_activated(self, index: QModelIndex) -> None:
        if self._pair is not None:
            label, given = self._pair.flips.confused[index.row(), :2].tolist()
            self.examples_wanted.emit(label, given)

    def _restyle(self, _tokens: theme.Tokens) -> None:
        self._fill()


def _of(name: str) -> str:
    return name if name in ("before", "after") else f"of {name}"
