"""A window with a copyable report: what *Details…* opens wherever something failed."""

from PySide6.QtGui import QFontDatabase, QGuiApplication, Qt
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QPlainTextEdit, QVBoxLayout, QWidget

from studio import theme
from studio.problem import Problem


class ReportWindow(QDialog):
    """Shows a problem's sentence and its details. Not modal; deletes itself when closed."""

    def __init__(self, problem: Problem, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("reportWindow")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Report")
        self.resize(640, 360)
        self._report = f"{problem.message}\n\n{problem.details}".strip()

        sentence = QLabel(problem.message)
        sentence.setWordWrap(True)
        sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        text = QPlainTextEdit(problem.details or "There are no further details.")
        text.setObjectName("reportText")
        text.setReadOnly(True)
        text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        text.setAccessibleName("Details of the problem")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        copy = buttons.addButton("Copy report", QDialogButtonBox.ButtonRole.ActionRole)
        copy.setObjectName("copyReport")
        copy.setToolTip("Copy the sentence and the details to the clipboard.")
        copy.clicked.connect(self.copy)
        buttons.rejected.connect(self.close)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(sentence)
        layout.addWidget(text, 1)
        layout.addWidget(buttons)

    @property
    def report(self) -> str:
        """What is copied: the sentence, an empty line, the details."""
        return self._report

    def copy(self) -> None:
        """Put the report on the clipboard."""
        QGuiApplication.clipboard().setText(self._report)
