"""Runs as files: the list as it is shown, whole runs as zip, and such zips back into the history."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog

from core.files import write_text
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.settings import LAST_FOLDER, Settings
from studio.state import AppState
from studio.views.history_page import HistoryPage

CSV, JSON, ZIP = "Table (*.csv)", "JSON (*.json)", "Run with its files (*.zip)"


class RunFiles(QObject):
    """Asks where to or from, and works off the GUI thread."""

    imported = Signal(object)  # run id

    def __init__(
        self, state: AppState, background: Background, settings: Settings, store: Any, page: HistoryPage
    ) -> None:
        super().__init__(page)
        self._state = state
        self._background = background
        self._settings = settings
        self._store = store
        self._page = page
        page.export_wanted.connect(self.export_list)
        page.pack_wanted.connect(self.pack_run)
        page.unpack_wanted.connect(self.unpack_run)

    def export_list(self) -> None:
        """Ask for a place and write the runs that the table shows there, as CSV or JSON."""
        dialog = self._dialog(
            "exportListDialog", "Export this list", "runs.csv", f"{CSV};;{JSON}", self._list_to
        )
        dialog.filterSelected.connect(self._format_chosen)

    def _format_chosen(self, chosen: str) -> None:
        dialog = self.sender()
        if isinstance(dialog, QFileDialog):
            dialog.setDefaultSuffix("json" if chosen == JSON else "csv")

    def pack_run(self) -> None:
        """Ask for a place and write the run that was selected last there, with its files."""
        record = self._page.table.record(self._state.runs[-1]) if self._state.runs else None
        if record is None:
            self._state.problem.emit(Problem("No run is selected: select the one to export."))
            return
        self._dialog("packDialog", "Export whole run", f"run-{record.number}.zip", ZIP, self._run_to)

    def unpack_run(self) -> None:
        """Ask for a zip and add its run."""
        self._dialog("unpackDialog", "Import run", "", ZIP, self._run_from, opening=True)

    def write_list(self, path: Path) -> None:
        """Write the runs that the table shows; the ending of `path` says whether as JSON."""
        store, run_ids = self._store, self._page.table.run_ids()

        def work(ticket: Ticket) -> str:
            from core.cli.tables import to_json
            from core.history.run_lists import record_to_json, records_csv

            records = store.runs_named(run_ids)
            ticket.check()
            if path.suffix.lower() == ".json":
                text = to_json([record_to_json(record) for record in records]) + "\n"
            else:
                text = records_csv(records)
            write_text(path, text)
            return f"✓ Saved {path}: {len(records):,} runs."

        self._start("export-list", f"Writing {path.name} …", work, self._state.message.emit)

    def write_run(self, run_id: str, path: Path) -> None:
        """Write a run with its files as zip."""
        store = self._store

        def work(_: Ticket) -> str:
            from core.history.archive import pack_run

            missing = pack_run(store, run_id, path)
            left_out = (
                f" {len(missing)} of its files are no longer there and are left out." if missing else ""
            )
            return f"✓ Saved {path}.{left_out}"

        self._start("pack-run", f"Writing {path.name} …", work, self._state.message.emit)

    def read_run(self, path: Path) -> None:
        """Add the run of a zip to the history."""
        store = self._store

        def work(_: Ticket) -> tuple[str, int]:
            from core.history.archive import unpack_run

            record = unpack_run(store, path)
            return record.run_id, record.number

        self._start("unpack-run", f"Importing {path.name} …", work, self._added)

    def _added(self, added: tuple[str, int]) -> None:
        run_id, number = added
        self._state.message.emit(f"✓ Imported as run {number}.")
        self.imported.emit(run_id)

    def _list_to(self, path: str) -> None:
        self.write_list(self._kept(path))

    def _run_to(self, path: str) -> None:
        if self._state.runs:
            self.write_run(self._state.runs[-1], self._kept(path))

    def _run_from(self, path: str) -> None:
        self.read_run(self._kept(path))

    def _kept(self, path: str) -> Path:
        self._settings.set(LAST_FOLDER, str(Path(path).parent))
        return Path(path)

    def _dialog(
        self,
        name: str,
        title: str,
        suggestion: str,
        filters: str,
        chosen: Callable[[str], None],
        *,
        opening: bool = False,
    ) -> QFileDialog:
        folder = Path(self._settings.get(LAST_FOLDER) or Path.home())
        dialog = QFileDialog(self._page.window(), title, str(folder / suggestion), filters)
        dialog.setObjectName(name)
        if opening:
            dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        else:
            dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
            dialog.setDefaultSuffix(Path(suggestion).suffix.removeprefix("."))
        dialog.fileSelected.connect(chosen)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
        return dialog

    def _start(
        self, topic: str, saying: str, work: Callable[[Ticket], Any], done: Callable[[Any], None]
    ) -> None:
        self._state.message.emit(saying)
        self._background.ask(topic, work, done, self._failed)

    def _failed(self, problem: Problem) -> None:
        self._state.message.emit("")
        self._state.problem.emit(problem)
