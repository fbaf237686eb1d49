"""The Export workspace: counts what the open model weighs, says it in words, and saves files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from core.formatting import count, data_size, percent, short_count, significant
from core.models.opened import OpenedModel
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.settings import LAST_FOLDER, Settings
from studio.state import AppState
from studio.views.export_page import ExportPage, SizeRow
from studio.views.runtime_panel import ExportedFile

FEW_ZEROS = 1 / 32
"""Below one zero in 32, marking where the zeros of 32-bit weights are costs more than leaving them out saves."""


class Sizes(Protocol):
    """What `core.measurement.opened_sizes.OpenedSizes` says."""

    dense: int
    weights: int
    nonzero_weights: int
    packed: int
    packing: str
    zipped: int
    zipping: str
    tensors: int
    other: int

    @property
    def sparsity(self) -> float: ...


def size_rows(sizes: Sizes, file_bytes: int | None) -> list[SizeRow]:
    """The table of sizes, each against the dense file."""

    def row(label: str, size: int, note: str) -> SizeRow:
        ratio = f"{significant(sizes.dense / size)}×" if size else ""
        return SizeRow(label, data_size(size), f"{count(size)} bytes", ratio, note)

    rows = []
    if file_bytes is not None:
        rows.append(row("Opened file", file_bytes, "As it lies on the disk."))
    rows.append(
        row(
            "Dense",
            sizes.dense,
            "Saved as safetensors: every weight takes its place, zero or not. 1.00× is this.",
        )
    )
    name, _, how = sizes.packing.partition(": ")
    rows.append(row(name.capitalize(), sizes.packed, f"What “Save packed…” writes: {how}."))
    rows.append(row("Zipped", sizes.zipped, f"The dense file compressed ({sizes.zipping})."))
    return rows


def exported_rows(files: Sequence[ExportedFile], dense: int) -> list[SizeRow]:
    """Files for other runtimes in the same table, against `dense` bytes."""
    return [
        SizeRow(
            file.path.name,
            data_size(file.size),
            f"{count(file.size)} bytes",
            f"{significant(dense / file.size)}×" if file.size else "",
            f"Exported by run {file.run_number}: its check and its times stand below.",
        )
        for file in files
    ]


def words_about(sizes: Sizes) -> str:
    """Sentences that say why something is not smaller, and what would make it so."""
    zeros = sizes.weights - sizes.nonzero_weights
    sentences = [
        f"{count(sizes.nonzero_weights)} of {count(sizes.weights)} prunable weights are not zero "
        f"({percent(sizes.sparsity)} zeros)"
        + (
            f"; {count(sizes.other)} other values (biases, normalisation) are kept as they are."
            if sizes.other
            else "."
        )
    ]
    ratio = f"{significant(sizes.dense / sizes.packed)}×"
    if zeros == 0:
        sentences.append(
            f"There are no zeros to leave out, so packing can only shorten the exponents ({ratio}): prune the model "
            "first, or store it in fewer bits."
        )
    elif sizes.sparsity < FEW_ZEROS:
        sentences.append(
            f"There are too few zeros to gain by leaving them out: the packed file is {ratio} smaller mostly as it "
            "shortens the exponents."
        )
    else:
        sentences.append(
            "Zeros do not shrink a dense file: it stores them like any other number. Only an encoding that leaves "
            f"them out gets smaller, here {ratio}; nor do zeros by themselves make the model faster: removing whole "
            "channels does."
        )
    return " ".join(sentences)


class ExportController(QObject):
    """Counts sizes while the page is on show, and saves on request."""

    show_requested = Signal()

    def __init__(
        self,
        state: AppState,
        background: Background,
        settings: Settings,
        page: ExportPage,
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._state = state
        self._background = background
        self._settings = settings
        self._page = page
        self._window = window
        self._on_show = False
        self._counted: OpenedModel | None = None
        self._sizes: tuple[list[SizeRow], str, int] | None = None
        self._exports: Sequence[ExportedFile] = ()
        self._save_again_as = self.save_model
        page.save_model.connect(self.save_model)
        page.save_packed.connect(self.save_packed)
        page.sizes_notice.retry.connect(self._count)
        page.save_notice.retry.connect(self._save_again)
        state.model_changed.connect(self._model_changed)
        state.recipe_changed.connect(self._recipe_changed)
        self._recipe_changed(state.recipe)
        self._model_changed(state.model)

    def show(self) -> None:
        """Go to the Export workspace, with the keyboard on *Save model*."""
        self.show_requested.emit()
        self._page.focus_save()

    def workspace_changed(self, workspace: object) -> None:
        """Count only while somebody looks."""
        self._on_show = workspace == "export"
        if self._on_show and self._counted is not self._state.model:
            self._count()

    def save_model(self) -> None:
        """Ask for a place and write the open model there as safetensors."""
        self._save_again_as = self.save_model
        self._ask("Save model", "safetensors", self.save_to)

    def save_packed(self) -> None:
        """Ask for a place and write the open model there as a packed file."""
        self._save_again_as = self.save_packed
        self._ask("Save packed model", "packed", self.save_packed_to)

    def save_to(self, path: object) -> None:
        """Write the open model as safetensors, off the GUI thread."""

        def write(model: OpenedModel, target: Path, ticket: Ticket) -> None:
            from core.export.safetensors_file import save_opened

            save_opened(model, target, ticket.check)

        self._write(Path(str(path)), write)

    def save_packed_to(self, path: object) -> None:
        """Write the open model as a packed file, off the GUI thread."""

        def write(model: OpenedModel, target: Path, ticket: Ticket) -> None:
            from core.export.packed_file import save_opened_packed

            save_opened_packed(model, target, ticket.check)

        self._write(Path(str(path)), write)

    def _save_again(self) -> None:
        self._save_again_as()

    def _ask(self, title: str, suffix: str, chosen: Callable[[object], None]) -> None:
        model = self._state.model
        if model is None:
            return
        name = f"{Path(model.description.source.name).stem}.{suffix}"
        folder = Path(self._settings.get(LAST_FOLDER) or Path.home())
        dialog = QFileDialog(self._window, title, str(folder / name), f"{suffix} (*.{suffix})")
        dialog.setObjectName("saveDialog")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(suffix)
        dialog.fileSelected.connect(chosen)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _write(self, target: Path, write: Callable[[OpenedModel, Path, Ticket], None]) -> None:
        model = self._state.model
        if model is None:
            return
        self._settings.set(LAST_FOLDER, str(target.parent))
        self._page.show_saving()

        def work(ticket: Ticket) -> tuple[Path, int]:
            write(model, target, ticket)
            return target, target.stat().st_size

        self._background.ask("save-model", work, self._saved, self._not_saved)

    def _saved(self, result: tuple[Path, int]) -> None:
        path, size = result
        text = f"✓ Saved {path} ({data_size(size)}), read back and compared bit by bit."
        self._page.show_saved(text)
        self._state.message.emit(text)

    def _not_saved(self, problem: Problem) -> None:
        self._page.save_notice.show_problem(problem, retry=True)
        if not self._on_show:
            self._state.problem.emit(problem)

    def show_exports(self, files: Sequence[ExportedFile]) -> None:
        """These files were exported of the open model: they stand in the table of sizes as well."""
        self._exports = files
        if self._sizes is not None:
            self._fill_table(self._sizes)

    def _recipe_changed(self, _: object) -> None:
        self._page.set_recipe(bool(self._state.recipe.steps))

    def _model_changed(self, model: object) -> None:
        self._background.drop("sizes")
        self._counted = self._sizes = None
        if not isinstance(model, OpenedModel):
            self._page.notice.show_empty("Open a model to see what it weighs and to save it.")
            return
        description = model.description
        title = description.architecture_title or "not recognised"
        parameters = f"{short_count(description.parameters)} parameters"
        facts = f"{title} · {parameters} · {len(description.layers)} prunable layers"
        self._page.set_model(description.source.title, facts)
        self._page.notice.clear()
        if self._on_show:
            self._count()

    def _count(self) -> None:
        model = self._state.model
        if model is None:
            return
        self._counted = model
        self._page.sizes_notice.show_busy()

        def work(ticket: Ticket) -> tuple[list[SizeRow], str, int]:
            from core.measurement.opened_sizes import opened_sizes

            sizes = opened_sizes(model, ticket.check)
            return size_rows(sizes, model.description.file_bytes), words_about(sizes), sizes.dense

        self._background.ask("sizes", work, self._show_sizes, self._no_sizes)

    def _show_sizes(self, result: tuple[list[SizeRow], str, int]) -> None:
        self._page.sizes_notice.clear()
        self._sizes = result
        self._fill_table(result)

    def _fill_table(self, sizes: tuple[list[SizeRow], str, int]) -> None:
        rows, words, dense = sizes
        self._page.set_sizes([*rows, *exported_rows(self._exports, dense)], words)

    def _no_sizes(self, problem: Problem) -> None:
        self._counted = None
        self._page.sizes_notice.show_problem(problem, retry=True)
