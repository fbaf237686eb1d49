"""The strip at the bottom: every job of this session with its progress, and the curves of the selected one."""

from collections.abc import Sequence

from PySide6.QtCore import QItemSelectionModel, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QMessageBox, QSplitter, QVBoxLayout, QWidget

from studio.jobs.status import JobStatus, places
from studio.problem import Problem
from studio.views.job_row import ROW_HEIGHT, JobRow, look
from studio.views.live_curves import LiveCurves
from studio.views.notice import PanelNotice
from studio.views.report import ReportWindow

_RUN_ID = Qt.ItemDataRole.UserRole
_EMPTY = "Jobs that you start appear here with their progress, time left and live curves."


class JobList(QListWidget):
    """The rows; Space and Delete act on the selected job."""

    space_pressed = Signal()
    delete_pressed = Signal()

    def sizeHint(self) -> QSize:
        return QSize(560, 140)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        # Qt leaves row widgets as wide as they were.
        self.doItemsLayout()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Space:
                self.space_pressed.emit()
            case Qt.Key.Key_Delete | Qt.Key.Key_Backspace:
                self.delete_pressed.emit()
            case _:
                super().keyPressEvent(event)


class JobStrip(QWidget):
    """Shows jobs and says what the user wants of them. All signals but `run_wanted` carry a run's id."""

    selected = Signal(object)  # run id or None
    pause_wanted = Signal(object)  # pause, or go on
    stop_wanted = Signal(object)
    remove_wanted = Signal(object)  # cancel, or dismiss one that has ended
    cancel_confirmed = Signal(object)
    show_wanted = Signal(object)  # in the history
    run_wanted = Signal()  # the empty strip's button
    problem = Signal(object)  # Problem

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("jobStrip")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._jobs: dict[str, JobStatus] = {}
        self._rows: dict[str, JobRow] = {}
        self._asked_about = ""
        self.list = JobList()
        self.list.setObjectName("jobList")
        self.list.setAccessibleName("Jobs")
        self.list.setMinimumWidth(400)
        self.list.setUniformItemSizes(True)
        self.list.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self.list.currentItemChanged.connect(self._current_changed)
        self.list.space_pressed.connect(self._pause_current)
        self.list.delete_pressed.connect(self._remove_current)
        self.curves = LiveCurves()
        self.curves.problem.connect(self.problem)
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.setObjectName("jobSplitter")
        self._splitter.setChildrenCollapsible(False)
        self._splitter.addWidget(self.list)
        self._splitter.addWidget(self.curves)
        self._splitter.setStretchFactor(0, 11)
        self._splitter.setStretchFactor(1, 9)
        self.notice = PanelNotice(self._splitter)
        self.notice.setObjectName("jobsNotice")
        self.notice.action.connect(self.run_wanted)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.notice)
        layout.addWidget(self._splitter, 1)
        self.setMinimumHeight(96)
        self.notice.show_empty(_EMPTY)

    def sizeHint(self) -> QSize:
        return QSize(900, 168)

    # -- what is shown -----------------------------------------------------------------------------------------

    @property
    def current(self) -> str | None:
        """Id of the selected job."""
        item = self.list.currentItem()
        return None if item is None else item.data(_RUN_ID)

    def set_jobs(self, jobs: Sequence[JobStatus]) -> None:
        """Show these jobs, in this order of first appearance; rows that stay are only updated."""
        wanted = {job.run_id: job for job in jobs}
        for run_id in [run_id for run_id in self._rows if run_id not in wanted]:
            self._take_row(run_id)
        self._jobs = wanted
        place = places(jobs)
        for job in jobs:
            row = self._rows.get(job.run_id) or self._add_row(job.run_id)
            row.show_look(look(job, place.get(job.run_id, 0)))
            row.setAccessibleName(f"{job.title}: {job.state}")
        if jobs and self.notice.state == "empty":
            self.notice.clear()
        elif not jobs:
            self.notice.show_empty(_EMPTY)

    def select(self, run_id: str) -> None:
        """Select a job."""
        if (item := self._item(run_id)) is not None:
            self.list.setCurrentItem(item, QItemSelectionModel.SelectionFlag.ClearAndSelect)

    def row(self, run_id: str) -> JobRow:
        """The row of a job.

        Raises:
            KeyError: if there is none.
        """
        return self._rows[run_id]

    def show_report(self, run_id: str) -> None:
        """Open the report of a job that failed."""
        job = self._jobs.get(run_id)
        if job is not None and job.state == "failed":
            ReportWindow(Problem(job.message, job.details, job.bug), self.window()).show()

    def ask_to_cancel(self, job: JobStatus) -> None:
        """Ask before work is lost, because a cancelled run keeps nothing; `cancel_confirmed` follows a yes."""
        box = QMessageBox(self)
        box.setObjectName("confirmCancel")
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Cancel run")
        box.setText(f"Cancel “{job.title}”?")
        box.setInformativeText(
            f"It is {100 * job.fraction:.0f} % done and nothing of it will be kept. "
            "“Stop” keeps the best state so far instead."
        )
        cancel = box.addButton("Cancel run", QMessageBox.ButtonRole.DestructiveRole)
        stay = box.addButton("Let it run", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.setEscapeButton(stay)
        self._asked_about = job.run_id
        cancel.clicked.connect(self._confirmed)
        box.open()

    # -- inside ------------------------------------------------------------------------------------------------

    def _add_row(self, run_id: str) -> JobRow:
        item = QListWidgetItem()
        item.setData(_RUN_ID, run_id)
        item.setSizeHint(QSize(200, ROW_HEIGHT))
        row = JobRow(run_id)
        row.pause_clicked.connect(self.pause_wanted)
        row.stop_clicked.connect(self.stop_wanted)
        row.remove_clicked.connect(self.remove_wanted)
        row.show_clicked.connect(self.show_wanted)
        row.details_clicked.connect(self.show_report)
        self._rows[run_id] = row
        self.list.addItem(item)
        self.list.setItemWidget(item, row)
        return row

    def _take_row(self, run_id: str) -> None:
        self._rows.pop(run_id)
        item = self._item(run_id)
        if item is not None:
            self.list.takeItem(self.list.row(item))

    def _item(self, run_id: str) -> QListWidgetItem | None:
        for index in range(self.list.count()):
            item = self.list.item(index)
            if item.data(_RUN_ID) == run_id:
                return item
        return None

    def _confirmed(self) -> None:
        self.cancel_confirmed.emit(self._asked_about)

    def _current_changed(self, item: QListWidgetItem | None, _before: QListWidgetItem | None) -> None:
        self.selected.emit(None if item is None else item.data(_RUN_ID))

    def _pause_current(self) -> None:
        if self.current is not None:
            self.pause_wanted.emit(self.current)

    def _remove_current(self) -> None:
        if self.current is not None:
            self.remove_wanted.emit(self.current)
