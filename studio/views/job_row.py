"""One row of the job strip: how far a job is, or how it ended, and the buttons that act on it."""

from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QToolButton, QWidget

from core.formatting import duration, percent, points, significant
from core.measurement.difference import may_be_chance
from studio import icons, theme
from studio.jobs.status import JobStatus
from studio.views.elided import ElidedLabel

ROW_HEIGHT = 30
# Below these widths in pixels a row has no room for the activity, the loss, the zeros, the accuracy, the time left.
_FOR_ACTIVITY, _FOR_LOSS, _FOR_ZEROS, _FOR_ACCURACY, _FOR_TIME_LEFT = 850, 710, 690, 590, 470


@dataclass(frozen=True)
class RowLook:
    """What a row shows, computed from the status alone.

    `outcome` fills the place of the progress once the job has ended; `role` colours it ("", "good", "problem").
    """

    name: str
    name_tip: str
    share: int  # of 1,000, or -1 without a bar
    share_text: str
    activity: str
    left: str
    loss: str
    accuracy: str
    zeros: str
    outcome: str
    outcome_tip: str
    role: str
    can_pause: bool
    paused: bool
    can_stop: bool
    ended: bool
    has_details: bool
    has_result: bool


def look(status: JobStatus, place: int = 0) -> RowLook:
    """The row for a job; `place` counts the waiting jobs from 1."""
    running = status.state == "running"
    outcome, role = _outcome(status)
    loss = "" if status.train_loss is None else f"loss {significant(status.train_loss)}"
    accuracy = "" if status.validation_accuracy is None else f"val {percent(status.validation_accuracy, 1)}"
    zeros = "" if status.sparsity is None else f"zeros {percent(status.sparsity, 1)}"
    return RowLook(
        name=status.title,
        name_tip=f"{status.title} on {status.model}" if status.model else status.title,
        share=round(1000 * status.fraction) if running else -1,
        share_text=f"{100 * status.fraction:.0f} %" if running else "",
        activity=_activity(status, place),
        left=_time_left(status),
        loss=loss if running else "",
        accuracy=accuracy if running else "",
        zeros=zeros if running else "",
        outcome=outcome,
        outcome_tip=" ".join((outcome, *status.notices)),
        role=role,
        can_pause=not status.ended and status.wish in ("", "pause"),
        paused=status.paused or status.wish == "pause",
        can_stop=running and not status.wish,
        ended=status.ended,
        has_details=status.state == "failed",
        has_result=status.state == "finished",
    )


def _activity(status: JobStatus, place: int) -> str:
    match status.wish:
        case "cancel":
            return "Cancelling …"
        case "stop":
            return "Stopping, keeping the best …"
        case "pause" if not status.paused:
            return "Pausing …"
    if status.state == "waiting":
        held = "held back · " if status.paused else ""
        return f"{held}waiting, number {place} in the queue" if place else "waiting"
    return f"paused · {status.activity}" if status.paused else status.activity


def _time_left(status: JobStatus) -> str:
    if status.wish:
        return f"{status.wish} …"
    if status.paused:
        return "paused"
    return "" if status.seconds_left is None else f"{duration(status.seconds_left)} left"


def _outcome(status: JobStatus) -> tuple[str, str]:
    match status.state:
        case "finished":
            text = "stopped early, best kept" if status.stopped_early else "finished"
            measured = status.after or status.before
            if measured is None:
                return text, ""
            text += f" · {percent(measured.value)}"
            if status.after is None or status.before is None:
                return text, ""
            change = status.after.value - status.before.value
            # What may be chance is told, but not coloured as a gain or a loss.
            certain = change and not may_be_chance(status.before, status.after)
            role = ("good" if change > 0 else "problem") if certain else ""
            return f"{text}  {points(change)}", role
        case "failed":
            return f"failed: {status.message}", "problem"
        case "cancelled":
            return "cancelled: nothing of it was kept", "muted"
        case "interrupted":
            return "interrupted: resume it from the history", "muted"
    return "", ""


class JobRow(QWidget):
    """Shows a `RowLook`; every button emits the run's id."""

    pause_clicked = Signal(object)
    stop_clicked = Signal(object)
    remove_clicked = Signal(object)  # cancel, or dismiss once ended
    details_clicked = Signal(object)
    show_clicked = Signal(object)

    def __init__(self, run_id: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.run_id = run_id
        self._look: RowLook | None = None
        self.setFixedHeight(ROW_HEIGHT)
        self.name = ElidedLabel()
        self.name.setObjectName("jobName")
        self.bar = QProgressBar()
        self.bar.setObjectName("jobProgress")
        self.bar.setAccessibleName("Progress")
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(96)
        self.share = _figure("jobShare", 40)
        self.activity = ElidedLabel()
        self.activity.setObjectName("jobActivity")
        self.activity.setProperty("role", "muted")
        self.left = _figure("jobTimeLeft", 72, "Time left, estimated from the pace so far.")
        self.loss = _figure("jobLoss", 78, "Cross-entropy on the training batches, newest value.")
        self.accuracy = _figure("jobAccuracy", 78, "Accuracy on the validation split, newest value.")
        self.zeros = _figure("jobZeros", 86, "Weights that pruning has set to zero so far.")
        self.outcome = ElidedLabel()
        self.outcome.setObjectName("jobOutcome")
        self.details = _button("jobDetails", "warning", "Show a report of the failure that can be copied.")
        self.show_run = _button("jobShow", "history", "Show this run in the history.")
        self.pause = _button("jobPause", "pause", "Pause")
        self.stop = _button("jobStop", "stop", "Stop now and keep the best state so far.")
        self.remove = _button("jobRemove", "close", "Cancel")
        self.details.clicked.connect(self._details)
        self.show_run.clicked.connect(self._show)
        self.pause.clicked.connect(self._pause)
        self.stop.clicked.connect(self._stop)
        self.remove.clicked.connect(self._remove)

        layout = QHBoxLayout(self)
        # The list decides how wide a row is, not the row.
        layout.setSizeConstraint(QHBoxLayout.SizeConstraint.SetNoConstraint)
        layout.setContentsMargins(theme.SPACE, 0, theme.SPACE // 2, 0)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(self.name)
        layout.addWidget(self.bar)
        layout.addWidget(self.share)
        layout.addWidget(self.activity, 1)
        layout.addStretch(0)
        for figure in (self.left, self.loss, self.accuracy, self.zeros):
            layout.addWidget(figure)
        layout.addWidget(self.outcome, 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(0)
        for button in (self.details, self.show_run, self.pause, self.stop, self.remove):
            buttons.addWidget(button)
        layout.addLayout(buttons)

    def show_look(self, new: RowLook) -> None:
        """Take over what changed."""
        old = self._look
        if new == old:
            return
        self._look = new
        self.name.show_text(new.name, new.name_tip)
        self.bar.setValue(max(new.share, 0))
        self.share.setText(new.share_text)
        self.bar.setToolTip(new.activity)
        self.activity.show_text(new.activity)
        self.left.setText(new.left)
        self.loss.setText(new.loss)
        self.accuracy.setText(new.accuracy)
        self.zeros.setText(new.zeros)
        self.outcome.show_text(new.outcome, new.outcome_tip)
        if old is None or old.role != new.role:
            self.outcome.setProperty("role", new.role)
            self.outcome.style().unpolish(self.outcome)
            self.outcome.style().polish(self.outcome)
        if old is None or (old.paused, old.ended) != (new.paused, new.ended):
            icons.bind(self.pause, "run" if new.paused else "pause")
            _describe(self.pause, "Go on (Space)" if new.paused else "Pause (Space)")
            _describe(self.remove, "Dismiss (Delete)" if new.ended else "Cancel; nothing is kept (Delete)")
        self.pause.setEnabled(new.can_pause)
        self.stop.setEnabled(new.can_stop)
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def sizeHint(self) -> QSize:
        return QSize(320, ROW_HEIGHT)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, ROW_HEIGHT)

    def _arrange(self) -> None:
        # What a narrow strip gives up also stands beside the curves or in tooltips.
        new = self._look
        if new is None:
            return
        width = self.width()
        # The same width in all rows, so that what follows stands in columns.
        self.name.setFixedWidth(max(90, min(280, round(width * 0.25))))
        self.bar.setVisible(new.share >= 0)
        self.share.setVisible(new.share >= 0)
        self.activity.setVisible(not new.ended and (width >= _FOR_ACTIVITY or new.share < 0))
        self.left.setVisible(new.share >= 0 and width >= _FOR_TIME_LEFT)
        self.loss.setVisible(new.share >= 0 and width >= _FOR_LOSS)
        self.accuracy.setVisible(new.share >= 0 and width >= _FOR_ACCURACY)
        self.zeros.setVisible(bool(new.zeros) and new.share >= 0 and width >= _FOR_ZEROS)
        self.outcome.setVisible(new.ended)
        self.details.setVisible(new.has_details)
        self.show_run.setVisible(new.ended)
        self.pause.setVisible(not new.ended)
        self.stop.setVisible(new.share >= 0)

    def _details(self) -> None:
        self.details_clicked.emit(self.run_id)

    def _show(self) -> None:
        self.show_clicked.emit(self.run_id)

    def _pause(self) -> None:
        self.pause_clicked.emit(self.run_id)

    def _stop(self) -> None:
        self.stop_clicked.emit(self.run_id)

    def _remove(self) -> None:
        self.remove_clicked.emit(self.run_id)


def _figure(name: str, width: int, tip: str = "") -> QLabel:
    label = QLabel()
    label.setObjectName(name)
    label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    label.setMinimumWidth(width)
    label.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
    label.setToolTip(tip)
    return label


def _button(name: str, icon: str, text: str) -> QToolButton:
    button = QToolButton()
    button.setObjectName(name)
    button.setIconSize(QSize(16, 16))
    button.setAutoRaise(True)
    button.setStyleSheet("padding: 3px")
    button.setFixedSize(28, 24)
    icons.bind(button, icon)
    _describe(button, text)
    return button


def _describe(button: QToolButton, text: str) -> None:
    button.setToolTip(text)
    button.setAccessibleName(text.partition(";")[0].partition(" (")[0])
