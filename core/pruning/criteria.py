"""How important every weight is, by the criterion of a prune step: scores of which the lowest go first."""

import copy
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from core.errors import StudioError
from core.job import JobContext
from core.models.description import Layer
from core.pruning.activations import InputNorms, run_batches
from core.pruning.curvature import gauss_newton_diagonal, hessian_diagonal
from core.pruning.examples import CriterionExamples, draw_examples
from core.pruning.masks import MaskHolder
from core.run_state import RunState
from core.steps import PruneSettings
from core.training.losses import mean_loss, summed_loss

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Scores = dict[str, Tensor]

MOVEMENT_BATCH = 32


def cost_per_example(settings: PruneSettings, state: RunState) -> float:
    """What a criterion costs for each example, in forward passes."""
    classes = 10 if state.task is None else state.task.num_classes
    match settings.criterion:
        case "magnitude" | "random":
            return 0.0
        case "wanda":
            return 1.0
        case "gradient" | "movement":
            return 3.0
        case "obd":
            backward = {"gauss-newton": classes, "gauss-newton-sampled": 1}.get(settings.curvature)
            if backward is None:
                backward = 3 * sum(layer.weights for layer in state.description.layers)
            return 1.0 + 2.0 * backward


def score_layers(
    settings: PruneSettings, state: RunState, layers: "Sequence[Layer]", context: JobContext
) -> tuple[Scores, CriterionExamples | None]:
    """The scores of these layers by name, on the CPU, in the shapes of their weights.

    Only the training split is looked at, with the model in evaluation mode; its weights are not changed.

    Returns:
        The scores, and the examples that were looked at (None for criteria that need none).

    Raises:
        StudioError: where the criterion lacks data, does not know a kind of layer, would take too long, or where its
            training diverges.
    """
    if settings.criterion == "magnitude":
        return {layer.name: _weight(state, layer).abs().cpu() for layer in layers}, None
    if settings.criterion == "random":
        generator = torch.Generator().manual_seed(state.step_seed())
        return {layer.name: torch.rand(layer.shape, generator=generator) for layer in layers}, None
    examples = draw_examples(
        state,
        context,
        examples=settings.examples,
        wanting=f"criterion “{settings.criterion}”",
        instead="criterion “magnitude”",
        title=f"{settings.title}: saliencies ({settings.criterion})",
        cost=cost_per_example(settings, state),
    )
    criteria: Mapping[str, _Criterion] = {
        "gradient": _gradient,
        "obd": _obd,
        "wanda": _wanda,
        "movement": _movement,
    }
    scores = criteria[settings.criterion](settings, state, layers, examples)
    state.module.eval()
    return {name: score.detach().cpu() for name, score in scores.items()}, examples


_Criterion = Callable[[PruneSettings, RunState, "Sequence[Layer]", CriterionExamples], Scores]


def _weight(state: RunState, layer: Layer) -> Tensor:
    return state.module.get_parameter(layer.weight_name).detach()


def _gradient(
    settings: PruneSettings, state: RunState, layers: "Sequence[Layer]", examples: CriterionExamples
) -> Scores:
    """|w · g|, the change of the mean loss to first order if the weight went (Molchanov et al. 2017, eq. 7)."""
    loss = summed_loss(settings.loss)
    state.module.eval()
    weights = [state.module.get_parameter(layer.weight_name) for layer in layers]
    totals = [torch.zeros_like(weight) for weight in weights]
    for inputs, labels in examples.batches():
        found = torch.autograd.grad(loss(state.module(inputs), labels), weights, allow_unused=True)
        for total, gradient in zip(totals, found, strict=True):
            if gradient is not None:
                total += gradient
    return {
        layer.name: (weight * total).abs() / len(examples)
        for layer, weight, total in zip(layers, weights, totals, strict=True)
    }


def _obd(
    settings: PruneSettings, state: RunState, layers: "Sequence[Layer]", examples: CriterionExamples
) -> Scores:
    """½ · h_kk · w², the change of the mean loss to second order at a minimum (LeCun et al. 1989, eq. 5)."""
    names = {layer.name: layer.weight_name for layer in layers}
    if settings.curvature == "hessian":
        masks = state.masks
        lives = {name: masks[weight] for name, weight in names.items() if weight in masks}
        whole = {
            layer.name: lives.get(layer.name, torch.ones(layer.shape, dtype=torch.bool)) for layer in layers
        }
        diagonal = hessian_diagonal(state.module, names, examples.batches, settings.loss, whole)
    else:
        sampled = settings.curvature == "gauss-newton-sampled"
        generator = torch.Generator().manual_seed(state.step_seed() + 1) if sampled else None
        diagonal = gauss_newton_diagonal(state.module, names, examples.batches(), settings.loss, generator)
    return {
        layer.name: 0.5 * diagonal[layer.name].clamp_min(0) * _weight(state, layer) ** 2 for layer in layers
    }


def _wanda(
    settings: PruneSettings, state: RunState, layers: "Sequence[Layer]", examples: CriterionExamples
) -> Scores:
    """|w| · ‖x‖₂, x being all inputs that the weight is multiplied with (Sun et al. 2024, eq. 1)."""
    for layer in layers:
        if not InputNorms.knows(state.module.get_submodule(layer.name)):
            raise StudioError(
                f"{state.place}: Wanda does not know the inputs of layer “{layer.name}” ({layer.kind}): "
                "leave it alone, or choose another criterion."
            )
    with InputNorms(state.module, {layer.name: layer.weight_name for layer in layers}) as norms:
        run_batches(state.module, examples.batches())
    scores = {}
    for layer in layers:
        norm = norms.of(layer.name)
        if norm is None:
            raise StudioError(
                f"{state.place}: the inputs of layer “{layer.name}” cannot be seen, so that Wanda cannot rank its "
                "weights: leave this layer alone, or choose another criterion."
            )
        scores[layer.name] = _weight(state, layer).abs() * norm
    return scores


def _movement(
    settings: PruneSettings, state: RunState, layers: "Sequence[Layer]", examples: CriterionExamples
) -> Scores:
    """−Σ w · g over a short training of a copy (Sanh et al. 2020, eq. 5): high where weights move away from zero."""
    torch.manual_seed(state.step_seed())
    module: nn.Module = copy.deepcopy(state.module).train()
    weights = [module.get_parameter(layer.weight_name) for layer in layers]
    scores = [torch.zeros_like(weight) for weight in weights]
    optimizer = torch.optim.SGD(module.parameters(), lr=settings.learning_rate)
    holder = MaskHolder(module, state.masks)
    loss_function = mean_loss(settings.loss)
    for inputs, labels in examples.batches(MOVEMENT_BATCH):
        loss = loss_function(module(inputs), labels)
        if not math.isfinite(float(loss.detach())):
            raise StudioError(
                f"The short training for the criterion “movement” of {state.place} diverged: lower its learning "
                f"rate (now {settings.learning_rate:g}) and run again."
            )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for score, weight in zip(scores, weights, strict=True):
                if weight.grad is not None:
                    score -= weight * weight.grad
        optimizer.step()
        holder.hold()
    return {layer.name: score for layer, score in zip(layers, scores, strict=True)}
