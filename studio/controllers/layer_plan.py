"""LayerPlanController: what the selected step would do to each layer, in the layer table, and its editing there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import QObject, QTimer, Signal

from core.formatting import count, macs, percent
from core.models.description import Layer
from core.models.opened import OpenedModel
from core.pruning.structured_settings import PruneChannelsSettings
from core.quantization.precision import book_bits_of, precision_of
from core.quantization.settings import CodebookSettings, GridSettings
from core.recipe import matches
from core.steps import PruneSettings, StepSettings
from studio.controllers.recipe_bits import FLOAT32
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.state import AppState
from studio.tables.layer_plan import LayerPlan, PlanCell
from studio.views.layer_panel import LayerPanel
from studio.views.removal import LayerRemoval

if TYPE_CHECKING:
    from core.pruning.channel_plan import ChannelPlan

TOPIC = "channel plan"
KEEP = "keep"
SETTLE_MS = 150
"""A step that is being edited is planned anew once it rests so long."""


class Editor(Protocol):
    """What is needed of the recipe's controller."""

    @property
    def removals(self) -> Mapping[str, LayerRemoval] | None: ...
    def plan_layers(self, names: Sequence[str], sparsity: float | None, *, keep: bool = False) -> None: ...
    def give_bits(self, bits: Mapping[str, int | None]) -> None: ...
    def give_books(self, bits: Mapping[str, int | None]) -> None: ...


class LayerPlanController(QObject):
    """Shows a column while the selected step speaks of layers: sparsity, bits, or channels that would go."""

    problem = Signal(object)  # Problem: what was typed cannot be

    def __init__(
        self,
        state: AppState,
        background: Background,
        panel: LayerPanel,
        editor: Editor,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._background = background
        self._panel = panel
        self._editor = editor
        self._channels: tuple[object, ChannelPlan] | None = None
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._ask_channels)
        panel.plan_typed.connect(self._typed)
        for changed in (state.model_changed, state.recipe_changed, state.step_selection_changed):
            changed.connect(self.refresh)

    def refresh(self, _: object = None) -> None:
        """Bring the column up to date."""
        model, settings = self._state.model, self._settings()
        if not isinstance(settings, PruneChannelsSettings):
            self._settle.stop()
            self._background.drop(TOPIC)
        if model is None or settings is None:
            self._panel.show_plan(None)
        elif isinstance(settings, PruneSettings):
            self._panel.show_plan(sparsity_plan(settings, model.description.layers, self._editor.removals))
        elif isinstance(settings, GridSettings):
            self._panel.show_plan(bits_plan(settings, model.description.layers))
        elif isinstance(settings, CodebookSettings):
            self._panel.show_plan(books_plan(settings, model.description.layers))
        elif isinstance(settings, PruneChannelsSettings):
            known = self._channels
            if known is not None and known[0] == self._channel_key(model, settings):
                self._panel.show_plan(channels_plan(known[1], model.description.layers, self._note()))
            else:
                self._panel.show_plan(_being_planned(model.description.layers))
                self._settle.start()
        else:
            self._panel.show_plan(None)

    # -- channels ---------------------------------------------------------------------------------------------

    def _channel_key(self, model: OpenedModel, settings: PruneChannelsSettings) -> object:
        return model.description.source, settings

    def _ask_channels(self) -> None:
        model, settings = self._state.model, self._settings()
        if model is None or not isinstance(settings, PruneChannelsSettings):
            return
        key, source = self._channel_key(model, settings), model.description.source

        def work(ticket: Ticket) -> "ChannelPlan":
            from core.pruning.channel_plan import plan_channels

            return plan_channels(source, settings, check=ticket.check)

        def done(plan: "ChannelPlan") -> None:
            self._channels = (key, plan)
            self.refresh()

        def failed(problem: Problem) -> None:
            from core.pruning.channel_plan import ChannelPlan

            self._channels = (key, ChannelPlan(problem=problem.message))
            self.refresh()

        self._background.ask(TOPIC, work, done, failed)

    def _note(self) -> str:
        return " Planned on the open model, as if no step came before." if self._state.step else ""

    # -- editing ----------------------------------------------------------------------------------------------

    def _typed(self, names: Sequence[str], text: str) -> None:
        settings = self._settings()
        try:
            if isinstance(settings, PruneSettings):
                self._plan_sparsity(names, text)
            elif isinstance(settings, GridSettings):
                self._editor.give_bits(dict.fromkeys(names, _bits(text)))
            elif isinstance(settings, CodebookSettings):
                self._editor.give_books(
                    dict.fromkeys(names, FLOAT32 if text.lower() == KEEP else _bits(text))
                )
        except ValueError:  # pydantic's error of validation is one too
            what = "2 to 8 bits, 16, 32, or nothing for what the step says"
            if isinstance(settings, PruneSettings):
                what = "a sparsity from 0 to below 100 %, “keep”, or nothing for what the step says"
            elif isinstance(settings, CodebookSettings):
                what = "1 to 8 bits, “keep”, or nothing for what the step says"
            self.problem.emit(Problem(f"“{text}” is no plan for a layer: type {what}."))

    def _plan_sparsity(self, names: Sequence[str], text: str) -> None:
        if text.lower() == KEEP:
            self._editor.plan_layers(names, None, keep=True)
        elif not text:
            self._editor.plan_layers(names, None)
        else:
            self._editor.plan_layers(names, round(float(text.rstrip("% ").replace(",", ".")) / 100, 6))

    def _settings(self) -> StepSettings | None:
        step, steps = self._state.step, self._state.recipe.steps
        return steps[step] if step is not None and step < len(steps) else None


def sparsity_plan(
    settings: PruneSettings, layers: Sequence[Layer], removals: Mapping[str, LayerRemoval] | None
) -> LayerPlan:
    """The sparsity that each layer would have; `removals` is what the preview says, or None while there is none."""

    def own_of(name: str) -> float | None:
        if name in settings.overrides:
            return settings.overrides[name]
        found = [value for pattern, value in settings.overrides.items() if matches(name, pattern)]
        return found[-1] if found else None

    cells = {}
    for layer in layers:
        own = own_of(layer.name)
        going = (removals or {}).get(layer.name)
        after = None
        if removals is not None:
            gone = 0 if going is None else max(going.removed, going.zeros)
            after = gone / layer.weights if layer.weights else 0.0
        tip = (
            ""
            if going is None
            else f"{count(going.removed)} of {count(layer.weights)} weights would be zero."
        )
        if any(matches(layer.name, pattern) for pattern in settings.exclude):
            cells[layer.name] = PlanCell(KEEP, "This step leaves the layer alone.", True, 0.0, KEEP)
        elif own is not None:
            text = _short_percent(own)
            cells[layer.name] = PlanCell(text, f"The layer's own sparsity. {tip}".strip(), True, own, text)
        elif after is not None:
            cells[layer.name] = PlanCell(
                percent(after, 1),
                f"What the step makes of it ({settings.scope}). {tip}".strip(),
                False,
                after,
            )
        else:
            cells[layer.name] = PlanCell("…", "The step decides; it is known once it is previewed or run.")
    return LayerPlan(
        "Plan",
        "Sparsity after the selected step. Click, double-click or F2: type a sparsity of its own for the layer (or all "
        "selected ones), “keep” to leave it alone, nothing to follow the step again",
        cells,
    )


def bits_plan(settings: GridSettings, layers: Sequence[Layer]) -> LayerPlan:
    """The bits that each layer's weights would have."""
    cells = {}
    for layer in layers:
        found = precision_of(settings, layer)
        bits = 32 if found is None else found.bits
        own = any(matches(layer.name, pattern) for pattern in (*settings.overrides, *settings.exclude))
        what = {"affine": "integers on a grid", "float16": "float16", "bfloat16": "bfloat16"}
        words = "stays as it is" if found is None else what.get(found.scheme, found.scheme)
        tip = f"{bits} bits: {words}. {'Its own' if own else 'As the step says'}."
        cells[layer.name] = PlanCell(str(bits), tip, own, float(bits), str(bits) if own else "")
    return LayerPlan(
        "Bits",
        "Bits of the weights after the selected step. Click, double-click or F2: type bits of its own for the layer "
        "(or all selected ones): 2 to 8, 16 (float16), 32 (as it is); nothing follows the step again",
        cells,
    )


def books_plan(settings: CodebookSettings, layers: Sequence[Layer]) -> LayerPlan:
    """The bits of each layer's indices into its shared values."""
    cells = {}
    for layer in layers:
        bits = book_bits_of(settings, layer)
        own = any(matches(layer.name, pattern) for pattern in (*settings.overrides, *settings.exclude))
        values = "1 shared value" if bits == 1 else f"{2**bits - 1} shared values"
        words = (
            f"{bits} bit{'' if bits == 1 else 's'}: {values} beside zero."
            if bits
            else "This step leaves the layer alone."
        )
        text = str(bits) if bits else KEEP
        tip = f"{words} {'Its own' if own else 'As the step says'}."
        cells[layer.name] = PlanCell(text, tip, own, float(bits or FLOAT32), text if own else "")
    return LayerPlan(
        "Bits",
        "Bits of the indices into a layer's shared values. Click, double-click or F2: type bits of its own for the "
        "layer (or all selected ones): 1 to 8, “keep” to leave it alone; nothing follows the step again",
        cells,
    )


def channels_plan(plan: "ChannelPlan", layers: Sequence[Layer], note: str = "") -> LayerPlan:
    """How many output channels each layer would lose, or why it keeps all."""
    cells = {}
    for layer in layers:
        name = layer.name
        outputs = plan.outputs.get(name, 0)
        if name in plan.going:
            going, others = plan.going[name], plan.together.get(name, ())
            tip = f"{count(going)} of {count(outputs)} output channels would go"
            tip += f", together with those of {_some(others)}." if others else "."
            cells[name] = PlanCell(f"−{going}/{outputs}", tip + note, going > 0, float(going))
        elif name in plan.reasons:
            cells[name] = PlanCell("stays", f"Keeps all its channels: {plan.reasons[name]}.", False, 0.0)
        else:
            cells[name] = PlanCell("–", plan.problem or "It has no channels of its own.", False)
    saved = (
        f" {macs(plan.macs_after)} instead of {macs(plan.macs_before)} multiply-accumulates."
        if plan.macs_before and not plan.problem
        else ""
    )
    return LayerPlan(
        "Channels",
        (plan.problem or f"Output channels that the selected step would remove.{saved}{note}")
        + " “stays”: the tooltip says why",
        cells,
        editable=False,
    )


def _being_planned(layers: Sequence[Layer]) -> LayerPlan:
    cell = PlanCell("…", "The channels are being followed through the network.")
    return LayerPlan(
        "Channels",
        "Output channels that the selected step would remove",
        {layer.name: replace(cell) for layer in layers},
        editable=False,
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _bits(text: str) -> int | None:
    return int(text.lower().removesuffix("bits").strip()) if text else None


def _short_percent(value: float) -> str:
    return f"{100 * value:.6g} %"
