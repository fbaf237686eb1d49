"""Reports of the selected runs, and scripts that repeat one: asks where to, and writes off the GUI thread."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog, QWidget

from core.files import write_text
from core.history.records import RunRecord
from core.report.gathering import Store as GatheredStore
from core.report.gathering import gather
from core.request import RunRequest
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.settings import LAST_FOLDER, Settings
from studio.state import AppState

HTML, PDF = "Web page (*.html)", "PDF (*.pdf)"


class Store(GatheredStore, Protocol):
    """What is needed of `core.history.store.HistoryStore`; called from background threads only."""

    def request_of(self, run_id: str) -> RunRequest: ...


class ReportController(QObject):
    """Takes the runs that are selected in the history; the first one is the baseline of a comparison."""

    def __init__(
        self, state: AppState, background: Background, settings: Settings, store: Store, window: QWidget
    ) -> None:
        super().__init__(window)
        self._state = state
        self._background = background
        self._settings = settings
        self._store = store
        self._window = window

    def save_report(self) -> None:
        """Ask for a place and write a report of the selected runs there, as a web page or as PDF."""
        runs = self._state.runs
        if runs:
            name = "comparison" if len(runs) > 1 else "run"
            self._ask("reportDialog", "Save report", f"{name}.html", f"{HTML};;{PDF}", self._report_to)

    def save_script(self) -> None:
        """Ask for a place and write a script there that repeats the run that was selected last."""
        if self._state.runs:
            self._ask("scriptDialog", "Save script", "repeat.py", "Python script (*.py)", self._script_to)

    def write_report(self, run_ids: Sequence[str], path: Path) -> None:
        """Write a report; the ending of `path` says whether as PDF."""
        store = self._store

        def work(ticket: Ticket) -> str:
            runs = []
            for run_id in run_ids:
                ticket.check()
                runs.append(gather(store, run_id))
            from core.report.comparison_report import comparison_report
            from core.report.run_report import run_report

            report = run_report(runs[0]) if len(runs) == 1 else comparison_report(runs)
            ticket.check()
            if path.suffix.lower() == ".pdf":
                from studio.report_pdf import write_pdf

                write_pdf(report, path, ticket.check)
            else:
                from core.report.html import to_html

                write_text(path, to_html(report))
            return f"✓ Saved {path}: {report.title}."

        self._start("report", path, work)

    def write_script(self, run_id: str, path: Path) -> None:
        """Write a script that repeats a run."""
        store = self._store

        def work(_: Ticket) -> str:
            from core.report.script import repeating_script

            record: RunRecord = store.run(run_id)
            text = repeating_script(record, store.request_of(run_id), _saved_model(store, run_id))
            write_text(path, text)
            return f"✓ Saved {path}: it repeats run {record.number} and compares what comes out."

        self._start("script", path, work)

    def _report_to(self, path: object) -> None:
        self.write_report(self._state.runs, Path(str(path)))

    def _script_to(self, path: object) -> None:
        if self._state.runs:
            self.write_script(self._state.runs[-1], Path(str(path)))

    def _ask(self, name: str, title: str, suggestion: str, filters: str, chosen: object) -> None:
        folder = Path(self._settings.get(LAST_FOLDER) or Path.home())
        dialog = QFileDialog(self._window, title, str(folder / suggestion), filters)
        dialog.setObjectName(name)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(Path(suggestion).suffix.removeprefix("."))
        dialog.filterSelected.connect(self._filter_chosen)
        dialog.fileSelected.connect(chosen)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _filter_chosen(self, chosen: str) -> None:
        dialog = self.sender()
        if isinstance(dialog, QFileDialog) and chosen in (HTML, PDF):
            dialog.setDefaultSuffix("pdf" if chosen == PDF else "html")

    def _start(self, topic: str, path: Path, work: object) -> None:
        self._settings.set(LAST_FOLDER, str(path.parent))
        self._state.message.emit(f"Writing {path.name} …")
        self._background.ask(topic, work, self._written, self._not_written)  # type: ignore[arg-type]

    def _written(self, text: str) -> None:
        self._state.message.emit(text)

    def _not_written(self, problem: Problem) -> None:
        self._state.message.emit("")
        self._state.problem.emit(problem)


def _saved_model(store: Store, run_id: str) -> str | None:
    digests: Iterable[str] = (file.sha256 for file in store.artifacts(run_id) if file.kind == "model")
    return next(iter([*digests][-1:]), None)
