"""Stands where the history will be until its database is open, and says so if it cannot be opened."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from studio import theme
from studio.problem import Problem
from studio.views.notice import PanelNotice


class HistoryPlaceholder(QWidget):
    """A notice, and a way to another database where one cannot be used."""

    other_chosen = Signal(object)  # str: a file

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("historyPlaceholder")
        self.notice = PanelNotice()
        self._other = QPushButton("Keep the history in another file…")
        self._other.setObjectName("otherDatabase")
        self._other.setToolTip("Choose a history to open, or a name for a new one.")
        self._other.setAccessibleName("Keep the history in another file")
        self._other.clicked.connect(self._ask)
        self._other.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 2 * theme.SPACE)
        layout.addWidget(self.notice, 1)
        layout.addWidget(self._other, 0, Qt.AlignmentFlag.AlignHCenter)

    def show_opening(self) -> None:
        """The database is being opened."""
        self._other.hide()
        self.notice.clear()
        self.notice.show_busy()

    def show_problem(self, problem: Problem) -> None:
        """The database cannot be used."""
        self.notice.show_problem(problem, retry=True)
        self._other.show()

    def _ask(self) -> None:
        dialog = QFileDialog(self, "Keep the history in", "history.db", "Histories (*.db);;All files (*)")
        dialog.setObjectName("databaseDialog")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        # An existing history is opened, not replaced: there is nothing to ask.
        dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)
        dialog.setLabelText(QFileDialog.DialogLabel.Accept, "Use")
        dialog.fileSelected.connect(self.other_chosen)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
