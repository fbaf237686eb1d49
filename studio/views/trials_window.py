"""A window with what several trials of one recipe found out together."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from core.events import Finding
from studio import theme
from studio.views.findings_view import FindingsView


class TrialsWindow(QDialog):
    """Pictures and numbers. Not modal; deletes itself when closed."""

    def __init__(self, title: str, findings: Sequence[Finding], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("trialsWindow")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.resize(760, 560)
        self.findings = FindingsView()
        self.findings.show_findings(findings)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE)
        layout.addWidget(self.findings, 1)
        layout.addWidget(buttons)
