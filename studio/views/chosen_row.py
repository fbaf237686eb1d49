"""The line below a chart that says which runs were chosen in it, and what can be done with them."""

from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from studio import icons, theme

MOST_COMPARED = 50
"""More runs side by side tell nobody anything."""


class ChosenRow(QWidget):
    """Hidden while nothing is chosen."""

    compare_wanted = Signal(object)  # tuple of run ids
    list_wanted = Signal(object)  # str: a search that finds the runs
    clear_wanted = Signal()

    def __init__(self, name: str, *, with_list: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"{name}Chosen")
        self._ids: tuple[str, ...] = ()
        self._search: str | None = None
        self.count = 0
        self.with_list = with_list
        self.text = QLabel()
        self.text.setObjectName(f"{name}ChosenText")
        self.compare = QPushButton("Compare")
        self.compare.setObjectName(f"{name}Compare")
        icons.bind(self.compare, "compare")
        self.show_list = QPushButton("Show in list")
        self.show_list.setObjectName(f"{name}ShowList")
        if not with_list:  # to show a button that has no parent yet would open a window
            self.show_list.hide()
        self.clear = QPushButton("Clear")
        self.clear.setObjectName(f"{name}Clear")
        self.clear.setToolTip("Choose nothing.")
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.SPACE, 0, theme.SPACE, theme.SPACE)
        row.setSpacing(theme.SPACE)
        row.addWidget(self.text, 1)
        for button in (self.compare, self.show_list, self.clear):
            button.setAccessibleName(button.text())
            row.addWidget(button)
        self.compare.clicked.connect(self._compare)
        self.show_list.clicked.connect(self._list)
        self.clear.clicked.connect(self.clear_wanted)
        self.hide()

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The chosen runs, if they are few enough to be compared."""
        return self._ids

    def show_chosen(
        self, count: int, run_ids: Callable[[], tuple[str, ...]], text: str, search: str | None
    ) -> None:
        """Tell of `count` runs in a text.

        Args:
            run_ids: makes their ids, which is only done where they are few enough to be compared.
            search: finds them in the history; None where none can.
        """
        self._ids = run_ids() if count <= MOST_COMPARED else ()
        self._search = search
        self.count = count
        self.text.setText(
            text + (f"; at most {MOST_COMPARED} can be compared" if count > MOST_COMPARED else "")
        )
        self.compare.setEnabled(2 <= count <= MOST_COMPARED)
        self.compare.setToolTip(
            "Lay the chosen runs side by side."
            if self.compare.isEnabled()
            else f"Choose 2 to {MOST_COMPARED} runs to lay them side by side."
        )
        self.show_list.setEnabled(search is not None)
        self.show_list.setToolTip(
            "Search the history for these runs, on top of the present search."
            if search is not None
            else "No search is short enough to name these runs: choose others, or fewer."
        )
        self.show()

    def show_nothing(self) -> None:
        """Nothing is chosen."""
        self._ids, self._search, self.count = (), None, 0
        self.hide()

    def _compare(self) -> None:
        self.compare_wanted.emit(self._ids)

    def _list(self) -> None:
        if self._search is not None:
            self.list_wanted.emit(self._search)
