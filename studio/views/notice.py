"""PanelNotice: how a panel says that it is empty, busy or has failed, in the same looks everywhere."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QHideEvent, QPainter, QPaintEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from studio import theme
from studio.problem import Problem
from studio.views.report import ReportWindow

BUSY_DELAY_MS = 150
"""Work that is faster than this shows no progress line: a flash would only unsettle."""


class BusyLine(QWidget):
    """A line of two pixels with a segment that travels slowly while something is computed."""

    _PERIOD_STEPS = 60

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("busyLine")
        self.setFixedHeight(2)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._running = False
        self._step = 0
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(BUSY_DELAY_MS)
        self._delay.timeout.connect(self._begin)
        self._travel = QTimer(self)
        self._travel.setInterval(40)
        self._travel.timeout.connect(self._advance)

    @property
    def running(self) -> bool:
        """Whether the line is drawn now."""
        return self._running

    def start(self) -> None:
        """Draw the line if `stop` does not come within the delay."""
        if not self._running and not self._delay.isActive():
            self._delay.start()

    def stop(self) -> None:
        """Take the line away."""
        self._delay.stop()
        self._travel.stop()
        self._running = False
        self.update()

    def _begin(self) -> None:
        self._running = True
        self._step = 0
        if self.isVisible():
            self._travel.start()
        self.update()

    def _advance(self) -> None:
        self._step = (self._step + 1) % self._PERIOD_STEPS
        self.update()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._running:
            self._travel.start()

    def hideEvent(self, event: QHideEvent) -> None:
        # A timer behind a hidden tab would only burn power.
        self._travel.stop()
        super().hideEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        if not self._running:
            return
        colors = theme.tokens()
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(colors.line))
        length = max(48.0, self.width() / 4)
        start = -length + (self.width() + length) * self._step / self._PERIOD_STEPS
        painter.fillRect(QRectF(QPointF(start, 0.0), QPointF(start + length, 2.0)), QColor(colors.accent))
        painter.end()


class PanelNotice(QWidget):
    """The empty, busy and failed states of a panel. Put it above the panel's content in a vertical layout.

    Args:
        content: what the panel shows when it is ready. If given, it is hidden while the notice says that the
            panel is empty or has failed, and shown again by `clear`. Busy always keeps what is there.

    The top two pixels are reserved for the progress line, so that nothing moves when it comes and goes.
    """

    action = Signal()  # the empty state's button
    retry = Signal()  # Try again

    def __init__(self, content: QWidget | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panelNotice")
        self._content = content
        self._problem: Problem | None = None

        self._line = BusyLine()
        self._text = QLabel()
        self._text.setObjectName("noticeText")
        self._text.setWordWrap(True)
        self._text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setMaximumWidth(460)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self._action = _button("noticeAction", "", "Do what the text above proposes.")
        self._action.clicked.connect(self.action)
        self._details = _button(
            "noticeDetails", "Details…", "Show a report of the problem that can be copied."
        )
        self._details.clicked.connect(self._show_details)
        self._retry = _button("noticeRetry", "Try again", "Do once more what failed.")
        self._retry.clicked.connect(self.retry)

        buttons = QHBoxLayout()
        buttons.setSpacing(theme.SPACE)
        buttons.addStretch(1)
        for button in (self._action, self._details, self._retry):
            buttons.addWidget(button)
        buttons.addStretch(1)

        self._message = QWidget()
        message = QVBoxLayout(self._message)
        message.setContentsMargins(2 * theme.SPACE, theme.SPACE, 2 * theme.SPACE, theme.SPACE)
        message.setSpacing(theme.SPACE + theme.SPACE // 2)
        message.addStretch(1)
        centred = QHBoxLayout()
        centred.addStretch(1)
        centred.addWidget(self._text, 100)
        centred.addStretch(1)
        message.addLayout(centred)
        message.addLayout(buttons)
        message.addStretch(1)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._line)
        layout.addWidget(self._message, 1)
        self.clear()

    @property
    def state(self) -> str:
        """ "ready", "empty" or "failed"; being busy is apart from these (`busy`)."""
        if self._problem is not None:
            return "failed"
        return "empty" if not self._message.isHidden() else "ready"

    @property
    def busy(self) -> bool:
        """Whether the progress line is drawn."""
        return self._line.running

    @property
    def text(self) -> str:
        """The sentence on show, or nothing."""
        return self._text.text() if not self._message.isHidden() else ""

    def show_empty(self, text: str, button_text: str | None = None) -> None:
        """Say what will be here, and offer the action that brings it (`action` is emitted)."""
        self._line.stop()
        self._problem = None
        self._text.setText(text)
        self._style("muted")
        self._action.setText(button_text or "")
        self._action.setAccessibleName(button_text or "")
        self._action.setToolTip(button_text or "")
        self._action.setVisible(button_text is not None)
        self._details.hide()
        self._retry.hide()
        self._occupy(True)

    def show_problem(self, problem: Problem, retry: bool) -> None:
        """Say in one sentence what failed; *Details…* has a report to copy, *Try again* emits `retry`."""
        self._line.stop()
        self._problem = problem
        self._text.setText(problem.message)
        self._style("problem")
        self._action.hide()
        self._details.setVisible(bool(problem.details))
        self._retry.setVisible(retry)
        self._occupy(True)

    def show_busy(self) -> None:
        """Keep what is there and draw the progress line after 150 ms, until another state is shown."""
        self._line.start()

    def clear(self) -> None:
        """The panel is ready: show its content."""
        self._line.stop()
        self._problem = None
        self._text.clear()
        self._occupy(False)

    def _occupy(self, occupied: bool) -> None:
        self._message.setVisible(occupied)
        vertical = QSizePolicy.Policy.Expanding if occupied else QSizePolicy.Policy.Fixed
        self.setSizePolicy(QSizePolicy.Policy.Expanding, vertical)
        # Before it has a parent, showing the content would make it a window of its own.
        if self._content is not None and (occupied or self._content.parentWidget() is not None):
            self._content.setVisible(not occupied)

    def _style(self, role: str) -> None:
        if self._text.property("role") != role:
            self._text.setProperty("role", role)
            self._text.style().unpolish(self._text)
            self._text.style().polish(self._text)

    def _show_details(self) -> None:
        if self._problem is not None:
            ReportWindow(self._problem, self.window()).show()

    def minimumSizeHint(self) -> QSize:
        # A long sentence must never keep a dock from being made narrow.
        return QSize(0, super().minimumSizeHint().height())


def _button(name: str, text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text)
    button.setObjectName(name)
    button.setToolTip(tooltip)
    button.setAccessibleName(text)
    return button
