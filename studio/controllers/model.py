"""Opening models: from files, the sample, the built-in networks and torchvision; the old one stays until it is done."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from core.errors import StudioError
from core.models.opened import OpenedModel
from core.models.source import SAMPLE, ModelSource, parse_source
from core.models.trust import NeedsTrustError, TrustStore
from studio.jobs.background import Background, Ticket
from studio.problem import Problem, problem_from
from studio.settings import LAST_FOLDER, RECENT, Settings
from studio.state import AppState
from studio.views.architecture_dialog import ArchitectureDialog
from studio.views.trust_dialogs import TrustDialog, TrustedFilesDialog

if TYPE_CHECKING:
    Opener = Callable[[ModelSource, Callable[[], None]], OpenedModel]

MODEL_FILES = (
    "*.safetensors *.packed *.pt *.pth *.th *.bin *.ckpt *.pkl *.pt2 *.onnx *.npz *.npy *.index.json *.py"
)
_FILTER = (
    f"Models and recipes ({MODEL_FILES} *.json);;Models ({MODEL_FILES});;Recipes (*.json);;All files (*)"
)


@dataclass(frozen=True)
class Opened:
    """A model that was just opened, and the task that its file names, if any."""

    model: OpenedModel
    task_hint: str | None


@dataclass(frozen=True)
class AskTrust:
    """A source that only opens by running its file's code, which the user has to allow."""

    source: ModelSource
    path: Path
    sha256: str


class ModelController(QObject):
    """Opens what the user asks for, off the GUI thread. A failure leaves the open model as it is.

    Args:
        window: parent of the dialogs.
        opener: opens a source; `core.models.opening.open_model` without one.
    """

    opening_changed = Signal(object)  # bool
    opened = Signal(object)  # Opened
    recipe_file_chosen = Signal(object)  # Path
    recent_changed = Signal()

    def __init__(
        self,
        state: AppState,
        background: Background,
        settings: Settings,
        window: QWidget,
        opener: "Opener | None" = None,
    ) -> None:
        super().__init__(window)
        self._state = state
        self._background = background
        self._settings = settings
        self._window = window
        self._opener = opener
        self._opening: ModelSource | None = None

    @property
    def opening(self) -> ModelSource | None:
        """What is being opened now."""
        return self._opening

    def open_dialog(self) -> None:
        """Ask for a file and open it."""
        dialog = QFileDialog(
            self._window, "Open a model or a recipe", self._settings.get(LAST_FOLDER), _FILTER
        )
        dialog.setObjectName("openDialog")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self.open_path)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def open_files(self, paths: object) -> None:
        """Open what was dropped on the window: one model, and any recipe."""
        chosen = [Path(path) for path in paths]  # type: ignore[attr-defined]
        for path in chosen:
            if _is_recipe(path):
                self.open_path(path)
        models = [path for path in chosen if not _is_recipe(path)]
        if models:
            self.open_path(models[0])
        if len(models) > 1:
            self._state.message.emit(f"Opening {models[0].name}; one model is open at a time.")

    def open_path(self, path: object) -> None:
        """Open a model file, or hand a recipe file on."""
        chosen = Path(str(path)).expanduser().absolute()
        self._settings.set(LAST_FOLDER, str(chosen.parent))
        if _is_recipe(chosen):
            self.recipe_file_chosen.emit(chosen)
        elif not chosen.exists():
            self._forget(str(chosen))
            self._state.problem.emit(Problem(f"{chosen} does not exist: choose another file."))
        else:
            self.open_source(ModelSource("file", str(chosen)))

    def open_text(self, text: object) -> None:
        """Open a source from its text form: a path, `sample`, `zoo:resnet20`, `torchvision:resnet18@DEFAULT`."""
        try:
            source = parse_source(str(text))
        except StudioError as error:
            self._forget(str(text))
            self._state.problem.emit(problem_from(error))
            return
        if source.kind == "file":
            self.open_path(source.name)
        else:
            self.open_source(source)

    def open_sample(self) -> None:
        """Open the built-in digits model."""
        self.open_source(SAMPLE)

    def reload(self) -> None:
        """Open the same source again."""
        if self._state.model is not None:
            self.open_source(self._state.model.description.source)

    def open_torchvision(self) -> None:
        """Show the searchable list of torchvision's models."""
        from studio.controllers.architectures import network_choices

        names = [
            (choice.name, choice.parameters, choice.input_size) for choice in network_choices("torchvision")
        ]
        dialog = ArchitectureDialog(names, self._window)
        dialog.chosen.connect(self._open_torchvision)
        dialog.open()

    def open_source(self, source: object) -> None:
        """Open any source; of several requests the newest wins."""
        assert isinstance(source, ModelSource)
        self._open(source, None)

    def show_trusted(self) -> None:
        """Show the files that may run their code."""
        store = TrustStore()
        try:
            dialog = TrustedFilesDialog(store.files(), self._window)
        except StudioError as error:
            self._state.problem.emit(problem_from(error))
            return
        dialog.revoked.connect(self._revoke)
        dialog.open()

    def _revoke(self, sha256: object) -> None:
        try:
            revoked = TrustStore().revoke(str(sha256))
        except StudioError as error:
            self._state.problem.emit(problem_from(error))
            return
        self._state.message.emit(f"{Path(revoked.path).name} is no longer trusted.")

    def _open(self, source: ModelSource, allowed: AskTrust | None) -> None:
        self._opening = source
        self.opening_changed.emit(True)
        self._state.message.emit(f"Opening {source.title} …")
        opener = self._opener

        def work(ticket: Ticket) -> Opened | AskTrust:
            open_now = opener or _open_model()
            if allowed is not None:
                # Hashed once more: what the user was shown is what is trusted.
                TrustStore().trust(allowed.path, allowed.sha256, ticket.check)
            try:
                model = open_now(source, ticket.check)
            except NeedsTrustError as needed:
                return AskTrust(source, needed.path, needed.sha256)
            return Opened(model, _task_hint(source))

        self._background.ask("open", work, self._done, self._failed)

    def recent(self) -> list[tuple[str, str]]:
        """Text forms and titles of the models opened lately."""
        found = []
        for text in self._settings.get(RECENT):
            try:
                found.append((text, parse_source(text).title))
            except StudioError:
                continue  # deleted since; it stays in the settings in case its disk comes back
        return found

    def _open_torchvision(self, name: Any, weights: Any) -> None:
        self.open_source(ModelSource("torchvision", name, weights=weights))

    def _ask_trust(self, asked: AskTrust) -> None:
        dialog = TrustDialog(asked.path, asked.sha256, asked, self._window)
        dialog.trusted.connect(self._trusted)
        dialog.open()

    def _trusted(self, asked: object) -> None:
        assert isinstance(asked, AskTrust)
        self._open(asked.source, asked)

    def _done(self, opened: Opened | AskTrust) -> None:
        self._opening = None
        self.opening_changed.emit(False)
        if isinstance(opened, AskTrust):
            self._state.message.emit("")
            self._ask_trust(opened)
            return
        description = opened.model.description
        self._settings.add_recent(description.source.to_text())
        self.recent_changed.emit()
        self._state.set_model(opened.model)
        notes = " ".join(description.notes)
        self._state.message.emit(f"Opened {description.source.title}." + (f" {notes}" if notes else ""))
        self.opened.emit(opened)

    def _failed(self, problem: Problem) -> None:
        self._opening = None
        self.opening_changed.emit(False)
        self._state.message.emit("")
        self._state.problem.emit(problem)

    def _forget(self, text: str) -> None:
        self._settings.forget_recent(text)
        self.recent_changed.emit()


def _open_model() -> "Opener":
    # Brings the readers along, which the first paint does not need.
    from core.models.opening import open_model

    return open_model


def _task_hint(source: ModelSource) -> str | None:
    if source.kind == "sample":
        return "digits"
    if source.kind != "file":
        return None
    from core.models.checkpoint import open_checkpoint

    try:
        checkpoint = open_checkpoint(Path(source.name))
    except NeedsTrustError:
        return None
    try:
        return checkpoint.metadata.get("task")
    finally:
        checkpoint.close()


def _is_recipe(path: Path) -> bool:
    # A sharded model's index is JSON as well.
    return path.suffix.lower() == ".json" and not path.name.endswith(".index.json")
