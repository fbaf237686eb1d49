"""Which task is chosen: from the tool bar, from an image folder, or guessed from the model that was opened."""

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from core.data.spec import FOLDER, TASK_TITLES, TaskSpec
from core.models.description import ModelDescription
from studio.controllers.model import Opened
from studio.settings import LAST_TASK_FOLDER, Settings
from studio.state import AppState
from studio.views.task_chooser import ImageFolderDialog, TaskChooser

SHAPES = {
    "digits": (1, 8, 8),
    "mnist": (1, 28, 28),
    "fashion-mnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
}
"""Channels, height and width of the built-in tasks' images; all have ten classes."""
CLASSES = 10


def fits(task: TaskSpec, model: ModelDescription) -> bool:
    """Whether the model can be run on the task, as far as names and shapes tell."""
    if task.name == FOLDER:
        return True  # its images are scaled, and its classes are only known once it is read
    if model.num_classes is not None and model.num_classes != CLASSES:
        return False
    if model.input_shape is None:
        return True
    channels, height, width = SHAPES[task.name]
    if task.image_size is not None:
        height, width = task.image_size
    return tuple(model.input_shape) == (channels, height, width)


def guess(model: ModelDescription, hint: str | None) -> TaskSpec | None:
    """The task that a model was probably made for: what its file names, else the first built-in one that fits."""
    if model.input_shape is None or model.num_classes is None:
        return TaskSpec(hint) if hint in TASK_TITLES else None
    candidates = [hint] if hint in TASK_TITLES else []
    for name in (*candidates, *TASK_TITLES):
        if fits(TaskSpec(str(name)), model):
            return TaskSpec(str(name))
    return None


class TaskController(QObject):
    """Keeps the chooser and the state together."""

    def __init__(self, state: AppState, settings: Settings, chooser: TaskChooser, window: QWidget) -> None:
        super().__init__(window)
        self._state = state
        self._settings = settings
        self._chooser = chooser
        self._window = window
        chooser.task_chosen.connect(self._choose)
        chooser.folder_wanted.connect(self.choose_folder)
        state.task_changed.connect(chooser.set_task)
        chooser.set_task(state.task)

    def choose_folder(self) -> None:
        """Ask for an image folder and its preprocessing."""
        start = self._state.task
        if start is None or start.name != FOLDER:
            start = TaskSpec(FOLDER, folder=self._settings.get(LAST_TASK_FOLDER) or None)
            shape = self._state.model.description.input_shape if self._state.model is not None else None
            if shape is not None and len(shape) == 3:
                start = TaskSpec(FOLDER, folder=start.folder, image_size=(shape[1], shape[2]))
        model = self._state.model
        channels = model.description.input_shape[0] if model and model.description.input_shape else None
        dialog = ImageFolderDialog(start, channels, self._window)
        dialog.chosen.connect(self._choose)
        dialog.open()

    def model_opened(self, opened: object) -> None:
        """Choose another task if the one in force cannot fit the model that was just opened."""
        assert isinstance(opened, Opened)
        task = self._state.task
        description = opened.model.description
        if task is not None and fits(task, description):
            return
        found = guess(description, opened.task_hint)
        self._state.set_task(found)
        if found is None and task is not None:
            self._state.message.emit(
                f"{task.title} does not fit this model: choose another task, such as an image folder."
            )

    def _choose(self, task: object) -> None:
        assert isinstance(task, TaskSpec)
        if task.name == FOLDER and task.folder is not None:
            self._settings.set(LAST_TASK_FOLDER, task.folder)
        self._state.set_task(task)
        model = self._state.model
        if model is not None and not fits(task, model.description):
            shape = " × ".join(str(size) for size in SHAPES[task.name])
            self._state.message.emit(
                f"{task.title} has images of {shape} and {CLASSES} classes, which this model does not take."
            )
