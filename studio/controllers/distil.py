"""DistilController: sets teacher and student side by side while a distillation is the selected step."""

from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import QObject, QTimer

from core.distillation.settings import SELF, SOURCE, DistillSettings
from core.formatting import count, data_size, macs, significant
from core.request import RunRequest
from core.steps import StepSettings
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.state import AppState
from studio.views.inspector import Inspector

if TYPE_CHECKING:
    from core.distillation.prospect import Answers, Network, Prospect
    from studio.views.distil_view import DistilView, Side

TOPIC, ANSWERS_TOPIC = "distil prospect", "distil answers"
SETTLE_MS = 250
EXAMPLES = 8


class Editor(Protocol):
    """What is needed of the recipe's controller."""

    def change_step(self, text: str, settings: StepSettings) -> None: ...


class DistilController(QObject):
    """Asks for costs and answers when the tab is on show, and writes what is chosen there into the step."""

    def __init__(
        self,
        state: AppState,
        background: Background,
        inspector: Inspector,
        editor: Editor,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._background = background
        self._inspector = inspector
        self._editor = editor
        self._prospect: tuple[object, Prospect] | None = None
        self._asked: object = None
        self._answered: object = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(SETTLE_MS)
        self._soon.timeout.connect(self._ask)
        for changed in (
            state.model_changed,
            state.task_changed,
            state.recipe_changed,
            state.step_selection_changed,
        ):
            changed.connect(self.refresh)
        inspector.ready.connect(self.refresh)
        inspector.tab_changed.connect(self.refresh)
        inspector.distil.built.connect(self._built)
        self.refresh()

    def refresh(self, _: object = None) -> None:
        """Offer the tab while the selected step distils, and bring it up to date while it is on show."""
        settings = self._settings()
        self._inspector.offer_distil(settings is not None)
        view = self._view()
        if view is None or settings is None or self._inspector.current is not self._inspector.distil:
            return
        if self._state.model is None:
            view.notice.show_empty("Open a model: it is the student, or what the student is made of.")
            return
        view.notice.clear()
        view.show_teachers(teachers(), settings.teachers[0])
        view.show_temperature(
            settings.temperature, used=settings.learns_outputs and settings.method != "logits"
        )
        self._show_pairs(settings)
        if self._key() != self._asked:
            view.show_sides(None, None, {})
            self._soon.start()
        if view.softness.isVisibleTo(view) and self._answers_key() != self._answered:
            self._soon.start()

    # -- inside ---------------------------------------------------------------------------------------------

    def _built(self) -> None:
        view = self._view()
        if view is not None:
            view.teacher_chosen.connect(self._teacher_chosen)
            view.pair_wanted.connect(self._pair)
            view.unpair_wanted.connect(self._unpair)
            view.temperature_wanted.connect(self._temperature)
            view.layers_clicked.connect(self._layers_clicked)
            view.notice.retry.connect(self._again)
            view.soft_notice.retry.connect(self._again)
            self.refresh()

    def _again(self) -> None:
        self._asked = self._answered = None
        self.refresh()

    def _view(self) -> "DistilView | None":
        return self._inspector.distil.view  # type: ignore[return-value]

    def _settings(self) -> DistillSettings | None:
        step, steps = self._state.step, self._state.recipe.steps
        settings = steps[step] if step is not None and step < len(steps) else None
        return settings if isinstance(settings, DistillSettings) else None

    def _request(self) -> RunRequest | None:
        model = self._state.model
        if model is None:
            return None
        return RunRequest(self._state.recipe, model.description.source, self._state.task, run_id="prospect")

    def _key(self) -> object:
        """What the two sides depend on."""
        model, settings, step = self._state.model, self._settings(), self._state.step or 0
        source = None if model is None else model.description.source
        return source, settings and settings.teachers[0], self._state.recipe.steps[:step]

    def _answers_key(self) -> object:
        model, settings = self._state.model, self._settings()
        source = None if model is None else model.description.source
        return source, settings and settings.teachers[0], self._state.task

    def _ask(self) -> None:
        request, settings, step = self._request(), self._settings(), self._state.step
        view = self._view()
        if request is None or settings is None or step is None or view is None:
            return
        if self._key() != self._asked:
            self._asked = key = self._key()

            def work(ticket: Ticket) -> "Prospect":
                # torch comes along here, off the GUI thread.
                from core.distillation.prospect import prospect

                return prospect(request, step, ticket.check)

            def done(found: "Prospect") -> None:
                self._prospect = key, found
                self._show(found)

            self._background.ask(TOPIC, work, done, self._failed)
        if view.softness.isVisibleTo(view) and self._answers_key() != self._answered:
            self._answered = self._answers_key()

            def answer(ticket: Ticket) -> "Answers":
                from core.distillation.prospect import teacher_answers

                return teacher_answers(request, step, EXAMPLES, ticket.check)

            view.soft_notice.show_busy()
            self._background.ask(ANSWERS_TOPIC, answer, self._show_answers, self._no_answers)

    def _show(self, found: "Prospect") -> None:
        view, settings = self._view(), self._settings()
        if view is None or settings is None:
            return
        student, teacher = found.student, found.teacher
        view.show_sides(
            side_of(student), None if teacher is None else side_of(teacher), ratios(found), found.problem
        )
        self._show_pairs(settings)

    def _show_pairs(self, settings: DistillSettings) -> None:
        from studio.views.distil_view import PairRow

        view = self._view()
        if view is None:
            return
        known = self._prospect[1] if self._prospect is not None and self._prospect[0] == self._key() else None
        rows = []
        for ours, theirs in settings.pairs.items():
            fits, words = (True, "…") if known is None else known.pair_words(ours, theirs, settings.method)
            rows.append(PairRow(ours, theirs, words, fits))
        view.show_pairs(rows, paired=settings.learns_features)

    def _show_answers(self, found: "Answers") -> None:
        from studio.views.soft_targets import Example

        view = self._view()
        if view is not None:
            examples = [
                Example(image, int(label), logits)
                for image, label, logits in zip(found.images, found.labels, found.logits, strict=True)
            ]
            view.show_examples(examples, found.class_names)

    def _failed(self, problem: Problem) -> None:
        self._asked = None
        view = self._view()
        if view is not None:
            view.notice.show_problem(problem, retry=True)

    def _no_answers(self, problem: Problem) -> None:
        view = self._view()
        if view is not None:
            view.soft_notice.show_problem(problem, retry=True)

    # -- what the user chose --------------------------------------------------------------------------------

    def _change(self, text: str, **changes: object) -> None:
        settings = self._settings()
        if settings is None:
            return
        try:
            changed = DistillSettings.model_validate({**settings.model_dump(), **changes})
        except ValueError as error:
            self._state.problem.emit(Problem(f"The step was not changed: {error}."))
            return
        self._editor.change_step(text, changed)

    def _teacher_chosen(self, teacher: str) -> None:
        settings = self._settings()
        if settings is not None:
            self._change("Choose the teacher", teachers=(teacher, *settings.teachers[1:]))

    def _pair(self, student: str, teacher: str) -> None:
        settings = self._settings()
        if settings is not None:
            self._change("Pair layers", pairs={**settings.pairs, student: teacher})

    def _unpair(self, student: str) -> None:
        settings = self._settings()
        if settings is not None:
            left = {name: other for name, other in settings.pairs.items() if name != student}
            self._change("Remove a pair of layers", pairs=left)

    def _temperature(self, temperature: float) -> None:
        self._change("Change the temperature", temperature=temperature)

    def _layers_clicked(self) -> None:
        view, settings = self._view(), self._settings()
        if view is None or settings is None or self._prospect is None or view.clicked_layers is None:
            return
        ours, theirs = view.clicked_layers
        fits, words = self._prospect[1].pair_words(ours, theirs, settings.method)
        start = f"{theirs} → {ours}: "
        view.show_pair_words(start + words, fits=fits)


def teachers() -> tuple[str, ...]:
    """Teachers that need no file: the model before, the model itself, the built-in networks."""
    from core.models.recognise import known_architectures

    return (SOURCE, SELF, *(name for name in known_architectures() if name.startswith("zoo:")))


def side_of(network: "Network") -> "Side":
    """One side in words."""
    from studio.views.distil_view import Side

    layers = tuple((name, "×".join(map(str, shape))) for name, shape in network.layers)
    return Side(
        network.title, count(network.parameters), data_size(network.bytes), macs(network.macs), layers
    )


def ratios(found: "Prospect") -> dict[str, str]:
    """How much smaller the student is, by what is compared."""
    student, teacher = found.student, found.teacher
    if teacher is None:
        return {}
    pairs = {
        "parameters": (teacher.parameters, student.parameters),
        "size": (teacher.bytes, student.bytes),
        "macs": (teacher.macs or 0, student.macs or 0),
    }
    words = {}
    for name, (theirs, ours) in pairs.items():
        if theirs and ours:
            words[name] = (
                "as large"
                if theirs == ours
                else f"{significant(theirs / ours)}× smaller"
                if theirs > ours
                else f"{significant(ours / theirs)}× larger"
            )
    return words
