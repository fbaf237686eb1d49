"""The pruning step: from settings to masks on the model."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from core.events import MetricPoint, Notice
from core.formatting import count, percent
from core.job import JobContext
from core.measurement.accuracy import evaluate_batches
from core.models.description import Layer
from core.pruning.criteria import Scores, cost_per_example, score_layers
from core.pruning.examples import CriterionExamples
from core.pruning.gradual import prune_by_magnitude, sparsity_of
from core.pruning.magnitudes import LayerBudget, layer_budgets
from core.pruning.selection import Mask, ScoredLayer, select
from core.run_state import RunState
from core.steps import PruneSettings
from core.training.losses import summed_loss


def prune_work(settings: PruneSettings, state: RunState) -> float:
    """Ranking costs next to nothing beside the examples that a criterion looks at."""
    train = () if state.task is None else state.task.train or ()
    return 1.0 + cost_per_example(settings, state) * min(len(train), settings.examples)


def prune(settings: PruneSettings, state: RunState, context: JobContext) -> None:
    """Narrow the masks of `state` by the scores of its weights and set what goes to zero.

    Raises:
        StudioError: if weights or scores are NaN, a layer would lose all of its weights, or the criterion cannot be
            computed (see `score_layers`).
    """
    if settings.known_beforehand:
        prune_by_magnitude(settings, state, context.checkpoint)
    else:
        _prune_by_scores(settings, state, context)
    context.advance(1.0, settings.title)
    sparsity = sparsity_of(state)
    _point(state, context, "model", "sparsity", sparsity)
    weights = state.description.weights
    context.emit(
        Notice(
            context.run_id,
            f"{state.place} set {count(round(sparsity * weights))} of {count(weights)} weights "
            f"({percent(sparsity)}) to zero.",
        )
    )


def _prune_by_scores(settings: PruneSettings, state: RunState, context: JobContext) -> None:
    budgets = layer_budgets(settings, [layer.name for layer in state.description.layers])
    settings = _with_output_budget(settings, budgets)
    layers = [
        layer
        for layer, budget in zip(state.description.layers, budgets, strict=True)
        if budget.ranked != "excluded"
    ]
    scores, examples = score_layers(settings, state, layers, context)
    scored = {layer.name: _scored(layer, scores, state) for layer in layers}
    masks = select(settings, scored, context.checkpoint)
    before = None
    if settings.criterion == "obd" and examples is not None:
        before = _loss(settings, state, examples)
    for layer in layers:
        if layer.name in masks:
            state.masks.narrow(layer.weight_name, torch.from_numpy(masks[layer.name]).to(state.device))
    state.masks.zero_removed(state.module)
    if before is not None and examples is not None:
        _tell_prediction(state, context, scored, masks, before, _loss(settings, state, examples))


def _with_output_budget(settings: PruneSettings, budgets: Sequence[LayerBudget]) -> PruneSettings:
    """The same settings with the output layer's sparsity under its name: only some layers go on to be ranked."""
    if settings.output_sparsity is None or not budgets:
        return settings
    last = budgets[-1]
    own = {} if last.ranked == "excluded" else {last.name: last.sparsity}
    return settings.model_copy(update={"output_sparsity": None, "overrides": {**settings.overrides, **own}})


def _scored(layer: Layer, scores: Scores, state: RunState) -> ScoredLayer:
    weight = state.module.get_parameter(layer.weight_name).detach()
    lives = weight != 0
    if layer.weight_name in state.masks:
        lives &= state.masks[layer.weight_name]
    return ScoredLayer(scores[layer.name].to(torch.float32).numpy(), lives.cpu().numpy())


def _loss(settings: PruneSettings, state: RunState, examples: CriterionExamples) -> float:
    """The mean loss on the very examples from which the saliencies were computed."""
    quiet = replace(examples, on_batch=lambda _: None)
    return evaluate_batches(state.module, quiet.batches(), state.device, summed_loss(settings.loss)).loss


def _tell_prediction(
    state: RunState,
    context: JobContext,
    scored: dict[str, ScoredLayer],
    masks: dict[str, Mask],
    before: float,
    after: float,
) -> None:
    """What Optimal Brain Damage foretold and what came: the paper's figures are made of these points."""
    predicted = sum(
        float(np.sum(scored[name].scores[scored[name].lives & ~mask], dtype=np.float64))
        for name, mask in masks.items()
    )
    _point(state, context, "saliency", "predicted loss increase", predicted)
    _point(state, context, "saliency", "measured loss increase", after - before)
    context.emit(
        Notice(
            context.run_id,
            f"{state.place}: the saliencies foretold that the loss would rise by {predicted:.3g}; it rose by "
            f"{after - before:.3g}, from {before:.4g} to {after:.4g}.",
        )
    )


def _point(state: RunState, context: JobContext, split: str, metric: str, value: float) -> None:
    context.emit(
        MetricPoint(
            context.run_id, state.step, 0.0, state.iteration, split, metric, value, context.active_seconds
        )
    )
