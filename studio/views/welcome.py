"""What a newcomer meets: the welcome panel of the first minute, and later one hint at a time."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.models.source import SAMPLE
from studio import icons, theme
from studio.views.wrapped import WrappedLabel

if TYPE_CHECKING:
    from core.models.opened import OpenedModel


class WelcomePanel(QFrame):
    """Says what is open and what to do first. Each button is one way to begin."""

    prune = Signal()
    open_sample = Signal()
    open_file = Signal()
    open_torchvision = Signal()
    open_recent = Signal(object)  # str: the text form of a source
    dismissed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("hintStrip")
        title = QLabel("Welcome to Compression Studio")
        title.setProperty("role", "title")
        self._text = WrappedLabel()
        self._text.setObjectName("welcomeText")
        self.show_model(None)

        prune = self._button(
            "welcomePrune",
            "Prune this model",
            "compress",
            "Go to Compress with the recipe “Prune 80 % and fine-tune”; Run starts it.",
            "accent_text",
        )
        prune.setProperty("role", "primary")
        prune.clicked.connect(self.prune)
        file = self._button(
            "welcomeFile", "Open a file…", "file", "Open a model file (Ctrl+O), or drop one here."
        )
        file.clicked.connect(self.open_file)
        vision = self._button(
            "welcomeTorchvision",
            "torchvision model…",
            "network",
            "Open one of torchvision's classification models.",
        )
        vision.clicked.connect(self.open_torchvision)
        sample = self._button(
            "welcomeSample", "Digits sample", "sample", "Open the built-in digits model again."
        )
        sample.clicked.connect(self.open_sample)
        self._recent = self._button("welcomeRecent", "Recent", "history", "Models that were opened before.")
        self._recent_menu = QMenu(self._recent)
        self._recent.setMenu(self._recent_menu)
        close = QToolButton()
        close.setObjectName("welcomeDismiss")
        close.setToolTip("Do not show this again (Help → Welcome brings it back).")
        close.setAccessibleName("Dismiss the welcome panel")
        icons.bind(close, "close", "text_muted")
        close.clicked.connect(self.dismissed)

        words = QVBoxLayout()
        words.setSpacing(4)
        top = QHBoxLayout()
        top.addWidget(title)
        top.addStretch(1)
        top.addWidget(close)
        words.addLayout(top)
        words.addWidget(self._text)
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.SPACE)
        for button in (prune, sample, file, vision, self._recent):
            buttons.addWidget(button)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * theme.SPACE, theme.SPACE + 2, theme.SPACE, theme.SPACE + 4)
        layout.setSpacing(theme.SPACE + 2)
        layout.addLayout(words)
        layout.addLayout(buttons)

    def show_model(self, model: "OpenedModel | None") -> None:
        """Speak of the model that is open now; before there is one, of the sample that is being opened."""
        source = model.description.source if model is not None else SAMPLE
        what = "A small network that reads handwritten digits" if source == SAMPLE else source.title
        self._text.setText(
            f"{what} is open. Click through its layers, then remove 80 % of its weights and see what that costs: "
            "the run appears below, its result under History."
        )

    def set_recent(self, sources: list[tuple[str, str]]) -> None:
        """The recent models: text forms and titles. Without any the button is hidden."""
        self._recent_menu.clear()
        for source, title in sources:
            action = self._recent_menu.addAction(title)
            action.setData(source)
            action.setToolTip(source)
            action.triggered.connect(self._chosen)
        self._recent.setVisible(bool(sources))

    def _chosen(self) -> None:
        self.open_recent.emit(self.sender().data())  # type: ignore[attr-defined]

    @staticmethod
    def _button(name: str, text: str, icon: str, tooltip: str, token: str = "text") -> QPushButton:
        # The space parts the text from its icon: style sheets leave four pixels.
        button = QPushButton(f" {text}")
        button.setObjectName(name)
        button.setToolTip(tooltip)
        button.setAccessibleName(text)
        icons.bind(button, icon, token)
        return button


class HintStrip(QFrame):
    """One sentence of advice with a button that dismisses it for ever."""

    dismissed = Signal(object)  # str: the hint's name

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("hintStrip")
        self._hint = ""
        self._text = WrappedLabel()
        self._text.setObjectName("hintText")
        got_it = QPushButton("Got it")
        got_it.setObjectName("hintDismiss")
        got_it.setToolTip("Never show this hint again.")
        got_it.setAccessibleName("Dismiss this hint")
        got_it.clicked.connect(self._dismiss)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * theme.SPACE, 5, theme.SPACE, 5)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(self._text, 1)
        layout.addWidget(got_it, 0, Qt.AlignmentFlag.AlignVCenter)

    @property
    def hint(self) -> str:
        """The name of the hint on show."""
        return self._hint

    def set_hint(self, name: str, text: str) -> None:
        """Show this advice."""
        self._hint = name
        self._text.setText(text)

    def _dismiss(self) -> None:
        self.dismissed.emit(self._hint)
