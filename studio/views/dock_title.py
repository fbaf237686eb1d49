"""DockTitle: the line above a panel, with its name and the buttons that float and close it."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QDockWidget, QHBoxLayout, QLabel, QToolButton, QWidget

from studio import icons


class DockTitle(QWidget):
    """Takes the place of the style's own title bar, whose buttons have neither tooltips nor names."""

    def __init__(self, dock: QDockWidget, title: str) -> None:
        super().__init__(dock)
        self._dock = dock
        self.setObjectName("dockTitle")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        label = QLabel(title)
        label.setProperty("role", "heading")
        float_button = self._button(
            "float", "float", f"Take the panel “{title}” out of the window, or put it back."
        )
        float_button.clicked.connect(self._toggle_floating)
        close_button = self._button(
            "close", "close", f"Close the panel “{title}” (the View menu brings it back)."
        )
        close_button.clicked.connect(dock.close)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(10, 3, 4, 3)
        layout.setSpacing(0)
        layout.addWidget(label, 1)
        layout.addWidget(float_button)
        layout.addWidget(close_button)

    def _button(self, name: str, icon: str, tooltip: str) -> QToolButton:
        button = QToolButton()
        button.setObjectName(f"{name}Panel")
        button.setProperty("role", "tiny")
        button.setIconSize(QSize(12, 12))
        button.setToolTip(tooltip)
        button.setAccessibleName(tooltip)
        # Reached by the View menu; in the tab order they would stand between every two panels.
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        icons.bind(button, icon, "text_muted")
        return button

    def _toggle_floating(self) -> None:
        self._dock.setFloating(not self._dock.isFloating())
