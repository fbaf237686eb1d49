"""NoticeBar: one line across the window for what has no panel of its own to say it; never modal."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from studio import theme
from studio.problem import Problem
from studio.views.report import ReportWindow
from studio.views.wrapped import WrappedLabel


class NoticeBar(QFrame):
    """Shows the newest problem or remark until it is dismissed."""

    shown = Signal()
    dismissed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("noticeBar")
        self._problem: Problem | None = None
        self._kind = QLabel()
        self._kind.setObjectName("noticeKind")
        self._text = WrappedLabel()
        self._text.setObjectName("noticeBarText")
        self._details = QPushButton("Details…")
        self._details.setObjectName("noticeBarDetails")
        self._details.setToolTip("Show a report of the problem that can be copied.")
        self._details.clicked.connect(self._show_details)
        self._dismiss = QPushButton("Dismiss")
        self._dismiss.setObjectName("noticeBarDismiss")
        self._dismiss.setToolTip("Take this notice away.")
        self._dismiss.clicked.connect(self.dismiss)
        for button in (self._details, self._dismiss):
            button.setAccessibleName(button.text())

        layout = QHBoxLayout(self)
        layout.setContentsMargins(theme.SPACE + 4, 6, theme.SPACE, 6)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(self._kind)
        layout.addWidget(self._text, 1)
        layout.addWidget(self._details)
        layout.addWidget(self._dismiss)

    @property
    def text(self) -> str:
        """The sentence on show."""
        return self._text.text()

    def show_problem(self, problem: Problem) -> None:
        """Say what failed."""
        self._fill("problem", "✕  Problem" if not problem.bug else "✕  Defect", problem)

    def show_remark(self, text: str) -> None:
        """Say something that is no failure."""
        self._fill("info", "Note", Problem(text))

    def dismiss(self) -> None:
        """Take the notice away."""
        self._problem = None
        self.dismissed.emit()

    def _fill(self, kind: str, word: str, problem: Problem) -> None:
        self._problem = problem
        self._kind.setText(word)
        self._kind.setProperty("role", "problem" if kind == "problem" else "muted")
        self._text.setText(problem.message)
        self._text.setAccessibleName(problem.message)
        self._details.setVisible(bool(problem.details))
        self.setProperty("kind", kind)
        for widget in (self, self._kind):
            widget.style().unpolish(widget)
            widget.style().polish(widget)
        self.shown.emit()

    def _show_details(self) -> None:
        if self._problem is not None:
            ReportWindow(self._problem, self.window()).show()
