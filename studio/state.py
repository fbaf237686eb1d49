"""AppState: the one place that knows what is open, chosen and selected. Everything else listens to it."""

from PySide6.QtCore import QObject, Signal

from core.data.spec import TaskSpec
from core.models.opened import OpenedModel
from core.recipe import Recipe


class AppState(QObject):
    """One source of truth of the window. Setters emit only when the value really changes.

    All signals carry `object` (no Qt conversion of Python values) and are emitted on the GUI thread.
    """

    model_changed = Signal(object)  # OpenedModel | None
    comparison_changed = Signal(object)  # OpenedModel | None: the model that the open one is compared with
    layer_selection_changed = Signal(object)  # tuple[str, ...] of layer names
    task_changed = Signal(object)  # TaskSpec | None
    recipe_changed = Signal(object)  # Recipe
    step_selection_changed = Signal(object)  # int | None: which step of the recipe is being edited
    run_selection_changed = Signal(object)  # tuple[str, ...] of run ids
    accuracy_changed = Signal(object)  # core.measurement.records.Accuracy | None of the open model
    message = Signal(object)  # str: one sentence for the status bar
    problem = Signal(object)  # Problem: something failed and has no panel of its own to say so

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._model: OpenedModel | None = None
        self._comparison: OpenedModel | None = None
        self._layers: tuple[str, ...] = ()
        self._task: TaskSpec | None = None
        self._recipe = Recipe()
        self._step: int | None = None
        self._runs: tuple[str, ...] = ()
        self._accuracy: object = None

    @property
    def model(self) -> OpenedModel | None:
        """The open model."""
        return self._model

    def set_model(self, model: OpenedModel | None) -> None:
        """Open another model; the layer selection and the known accuracy go with the old one."""
        if model is self._model:
            return
        self._model = model
        self._accuracy = None
        first = model.description.layers[:1] if model is not None else ()
        self._layers = tuple(layer.name for layer in first)
        self.model_changed.emit(model)
        self.accuracy_changed.emit(None)
        # Also where both models have a layer of that name: it is another layer, in another row.
        self.layer_selection_changed.emit(self._layers)

    @property
    def comparison(self) -> OpenedModel | None:
        """The model that the open one is compared with; it stays when another model is opened."""
        return self._comparison

    def set_comparison(self, model: OpenedModel | None) -> None:
        """Compare the open model with another one, or with none."""
        if model is not self._comparison:
            self._comparison = model
            self.comparison_changed.emit(model)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the selected layers."""
        return self._layers

    def set_layers(self, layers: tuple[str, ...]) -> None:
        """Select layers by name."""
        if layers != self._layers:
            self._layers = layers
            self.layer_selection_changed.emit(layers)

    @property
    def task(self) -> TaskSpec | None:
        """The task on which runs train and measure."""
        return self._task

    def set_task(self, task: TaskSpec | None) -> None:
        """Choose the task."""
        if task != self._task:
            self._task = task
            self.task_changed.emit(task)
            self.set_accuracy(None)

    @property
    def recipe(self) -> Recipe:
        """The recipe being edited."""
        return self._recipe

    def set_recipe(self, recipe: Recipe) -> None:
        """Replace the recipe (controllers do so through the undo stack)."""
        if recipe != self._recipe:
            self._recipe = recipe
            self.recipe_changed.emit(recipe)
            if self._step is not None and self._step >= len(recipe.steps):
                self.set_step(len(recipe.steps) - 1 if recipe.steps else None)

    @property
    def step(self) -> int | None:
        """Index of the recipe's step that is being edited."""
        return self._step

    def set_step(self, step: int | None) -> None:
        """Choose the step to edit."""
        if step != self._step:
            self._step = step
            self.step_selection_changed.emit(step)

    @property
    def runs(self) -> tuple[str, ...]:
        """Ids of the runs selected in the history, in the order of selection."""
        return self._runs

    def set_runs(self, runs: tuple[str, ...]) -> None:
        """Select runs by id."""
        if runs != self._runs:
            self._runs = runs
            self.run_selection_changed.emit(runs)

    @property
    def accuracy(self) -> object:
        """The measured accuracy of the open model on the chosen task, or None."""
        return self._accuracy

    def set_accuracy(self, accuracy: object) -> None:
        """Record the measured accuracy of the open model."""
        if accuracy != self._accuracy:
            self._accuracy = accuracy
            self.accuracy_changed.emit(accuracy)
