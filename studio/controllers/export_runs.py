"""Exports for other runtimes from the Export page: runs of one step, whose findings come back to the page."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from core.errors import StudioError
from core.events import Finding
from core.export.settings import FILE_NAMES, ExportSettings
from core.files import sha256_of
from core.findings import Table, read_finding
from core.formatting import data_size, significant
from core.history.columns import RunColumns
from core.history.records import Artifact, RunRecord
from core.recipe import Recipe
from core.request import RunRequest
from studio.jobs.background import Background, Ticket
from studio.jobs.bridge import END_EVENTS
from studio.settings import LAST_FOLDER, Settings
from studio.state import AppState
from studio.views.runtime_panel import TARGETS, ExportedFile, RuntimePanel

STEP = "export"
LOOKED_AT = 50
"""So many of the newest exports are looked through for those of the open model."""

_HELP: Mapping[str, str] = {target.format: target.help for target in TARGETS}
_TITLES: Mapping[str, str] = {target.format: target.title for target in TARGETS}


class Store(Protocol):
    """What is needed of `core.history.store.HistoryStore`; called from background threads only."""

    def columns(self) -> RunColumns: ...
    def runs_named(self, run_ids: Sequence[str]) -> list[RunRecord]: ...
    def findings(self, run_id: str, kind: str | None = None) -> tuple[Finding, ...]: ...
    def artifacts(self, run_id: str) -> tuple[Artifact, ...]: ...


class ExportRuns(QObject):
    """Queues exports of the open model, follows them, and shows the newest file of each format."""

    run_requested = Signal(object)  # RunRequest
    show_run_requested = Signal(object)  # run_id
    files_found = Signal(object)  # list[ExportedFile]: what was exported of the open model

    def __init__(
        self,
        state: AppState,
        background: Background,
        settings: Settings,
        panel: RuntimePanel,
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._state = state
        self._background = background
        self._settings = settings
        self._panel = panel
        self._window = window
        self._store: Store | None = None
        self._going: dict[str, str] = {}  # run_id → format
        self._asked: set[str] = set()  # run_ids of this session's exports
        self._failed: dict[str, str] = {}  # format → why
        panel.export_wanted.connect(self.export)
        panel.copy_wanted.connect(self._ask_for_copy)
        panel.run_wanted.connect(self.show_run_requested)
        state.model_changed.connect(self._model_changed)
        state.task_changed.connect(self._tell)
        self._tell()

    def set_store(self, store: Store) -> None:
        """The history is open: show what was exported before."""
        self._store = store
        self._look()

    def export(self, target: str) -> None:
        """Queue an export of the open model."""
        from core.export.runtime_file import require_libraries

        model, task = self._state.model, self._state.task
        if model is None:
            return
        self._failed.pop(target, None)
        try:
            require_libraries(target)
        except StudioError as error:
            self._failed[target] = error.message
            self._tell()
            return
        source = model.description.source
        title = _TITLES[target].removeprefix("Export ").removeprefix("for ")
        recipe = Recipe(
            name=_TITLES[target],
            steps=(ExportSettings(format=target),),  # type: ignore[arg-type]
        )
        request = RunRequest(recipe, source, task, name=f"{source.title} to {title}")
        self._going[request.run_id] = target
        self._asked.add(request.run_id)
        self._tell()
        self.run_requested.emit(request)

    def run_ended(self, event: object) -> None:
        """A job ended: if it was an export, say so; what it wrote follows once the history has it."""
        if not isinstance(event, END_EVENTS):
            return
        target = self._going.pop(event.run_id, None)
        if target is not None:
            self._failed.pop(target, None)
            message = getattr(event, "message", "")
            if message:
                self._failed[target] = message
        self._tell()

    def runs_written(self, run_ids: Iterable[str]) -> None:
        """The history wrote something of these runs: look whether exports of this session are complete."""
        if self._asked.intersection(run_ids):
            self._look()

    # -- what stands beside the buttons -----------------------------------------------------------------------

    def _tell(self, _: object = None) -> None:
        model, task = self._state.model, self._state.task
        going = set(self._going.values())
        for target in TARGETS:
            name = target.format
            if model is None:
                self._panel.set_state(name, target.help, enabled=False)
            elif name in going:
                self._panel.set_state(
                    name, "Under way: the strip below shows how far it is, and can stop it.", False
                )
            elif model.description.architecture is None:
                self._panel.set_state(
                    name,
                    "Only a network that can be computed can be exported, and the architecture of this file is not "
                    "known.",
                    enabled=False,
                )
            elif name in self._failed:
                self._panel.set_state(name, self._failed[name], enabled=True)
            elif task is None and name == "onnx-int8":
                self._panel.set_state(
                    name,
                    f"{target.help} Choose a task first: the ranges of activations are found on its training examples.",
                    enabled=False,
                )
            elif task is None:
                self._panel.set_state(
                    name,
                    f"{target.help} Without a task it is compared on random inputs, and no accuracy is told.",
                    enabled=True,
                )
            else:
                self._panel.set_state(name, target.help, enabled=True)

    def _model_changed(self, _: object) -> None:
        self._failed.clear()
        self._show_files([])
        self._tell()
        self._look()

    # -- files ------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        store, model = self._store, self._state.model
        if store is None or model is None:
            self._background.drop("exports")
            return
        source = model.description.source.to_json()

        def work(ticket: Ticket) -> list[ExportedFile]:
            return exported_files(store, source, ticket)

        self._background.ask("exports", work, self._show_files, self._state.problem.emit)

    def _show_files(self, files: list[ExportedFile]) -> None:
        self._panel.show_files(files)
        self.files_found.emit(files)

    def _ask_for_copy(self, file: object) -> None:
        assert isinstance(file, ExportedFile)
        folder = Path(self._settings.get(LAST_FOLDER) or Path.home())
        model = self._state.model
        stem = Path(model.description.source.name).stem if model is not None else file.path.stem
        ending = FILE_NAMES[file.format].removeprefix("model")
        dialog = QFileDialog(self._window, "Save a copy", str(folder / f"{stem}{ending}"))
        dialog.setObjectName("copyDialog")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.fileSelected.connect(lambda path: self.copy_to(file, Path(path)))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def copy_to(self, file: ExportedFile, target: Path) -> None:
        """Copy an exported file beside its target, compare, and rename it."""
        self._settings.set(LAST_FOLDER, str(target.parent))

        def work(_: Ticket) -> str:
            return copied(file.path, target)

        self._background.ask("copy-export", work, self._state.message.emit, self._state.problem.emit)


def copied(origin: Path, target: Path) -> str:
    """Copy a file whole or not at all; what there is to say of it.

    Raises:
        StudioError: if either cannot be read or written.
    """
    beside = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(origin, beside)
        if sha256_of(beside) != sha256_of(origin):
            raise StudioError(f"{target} was not written: the copy differs from {origin}. Try another disk.")
        beside.replace(target)
    except OSError as error:
        raise StudioError(
            f"{origin.name} could not be copied to {target}: {error.strerror or error}."
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    return f"✓ Saved {target} ({data_size(target.stat().st_size)}), the same bytes as in the run."


def exported_files(store: Store, source: Mapping[str, Any], ticket: Ticket) -> list[ExportedFile]:
    """The newest file of each format that was made of this very model and is still there, newest first."""
    columns = store.columns()
    methods, statuses = columns.texts["method"], columns.texts["status"]
    rows = np.flatnonzero(
        (methods.codes == methods.index.get(STEP, -1))
        & (statuses.codes == statuses.index.get("finished", -1))
    )
    ticket.check()
    newest = [columns.run_ids[row] for row in rows[::-1][:LOOKED_AT]]
    found: dict[str, ExportedFile] = {}
    for record in store.runs_named(newest):
        ticket.check()
        if record.source != source:
            continue
        for artifact in store.artifacts(record.run_id):
            path = Path(artifact.path)
            if artifact.kind in FILE_NAMES and artifact.kind not in found and path.exists():
                found[artifact.kind] = _exported(store, record, artifact, path)
    return list(found.values())


def _exported(store: Store, record: RunRecord, artifact: Artifact, path: Path) -> ExportedFile:
    tables: dict[str, Table] = {}
    for finding in store.findings(record.run_id):
        form = read_finding(finding.data)
        if isinstance(form, Table):
            tables[finding.kind] = form
    dense = None if record.before is None else record.before.dense_bytes
    parts = [data_size(artifact.size)]
    if dense:
        parts[0] += f", {significant(dense / artifact.size)}× smaller than dense safetensors"
    check = tables.get("export-check")
    rows = {str(row[0]): row for row in check.rows} if check is not None else {}
    if "Accuracy" in rows:
        parts.append(f"accuracy {rows['Accuracy'][2]}, the model {rows['Accuracy'][1]}")
    if "Same answer" in rows:
        parts.append(f"same answer on {rows['Same answer'][2]}")
    verdicts = [text for text in record.notices if "onnxruntime int8 is" in text]
    words = verdicts[-1].partition(": ")[2] if verdicts else ""
    return ExportedFile(
        artifact.kind,
        record.run_id,
        record.number,
        path,
        artifact.size,
        "✓ " + " · ".join(parts) + ".",
        words[:1].upper() + words[1:],
        check,
        tables.get("export-latency"),
        tables.get("export-layers"),
    )
