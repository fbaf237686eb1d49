"""Diagonals of the Gauss-Newton matrix and of the Hessian of the mean loss, for Optimal Brain Damage.

The Gauss-Newton matrix of one example is Jᵀ H J with J the derivative of the outputs by the weights and H the second
derivative of the loss by the outputs. H = S Sᵀ, so that its diagonal at weight k is Σ_c (Jᵀ s_c)²_k, one backward pass
for each column s_c: for cross-entropy s_c = √p_c (e_c − p), which is Σ_c p_c J_c² − (Σ_c p_c J_c)².

Where every layer is a linear layer or a convolution that is used once, only activations are differentiated, for all
examples of a batch together, and the weights' squares follow from one matrix product (`_by_activations`); any other
network is differentiated example by example (`_by_examples`). Both are exact.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from core.errors import StudioError
from core.pruning.activations import ActivationTape, layer_inputs
from core.steps import Loss
from core.training.losses import summed_loss

Batch = tuple[Tensor, Tensor]

MOST_HESSIAN_WEIGHTS = 20_000
"""Exact second derivatives cost a pass over the examples for each weight."""

_FLOATS_AT_ONCE = 1 << 24
"""So many floats (64 MB) do intermediate results take at most."""

_BASIS_AT_ONCE = 64


def gauss_newton_diagonal(
    module: nn.Module,
    weight_names: Mapping[str, str],
    batches: Iterable[Batch],
    loss: Loss,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """The diagonal of the Gauss-Newton matrix of the mean loss, at the present weights, in evaluation mode.

    Args:
        weight_names: the parameter of every layer that is asked for, by the layer's name.
        generator: of the CPU; with it, the matrix is estimated from one random column for each example
            (Monte-Carlo), without it, it is exact.

    Returns:
        By layer name, float32 in the shape of the weight, never negative.
    """
    module.eval()
    totals = {name: torch.zeros_like(module.get_parameter(weight)) for name, weight in weight_names.items()}
    examples = 0
    for inputs, labels in batches:
        by_activations = _by_activations(module, weight_names, inputs, loss, generator)
        if by_activations is None:
            by_activations = _by_examples(module, weight_names, inputs, loss, generator)
        for name, squares in by_activations.items():
            totals[name] += squares
        examples += labels.shape[0]
    return {name: total / max(1, examples) for name, total in totals.items()}


def loss_columns(outputs: Tensor, loss: Loss, generator: torch.Generator | None = None) -> Tensor:
    """Columns s of a root of the loss's second derivative by the outputs: Σ s sᵀ = H for every example.

    Args:
        outputs: [B, C], detached.

    Returns:
        [K, B, C]; K = C, or K = 1 random column whose s sᵀ is H on average, if there is a `generator`.
    """
    classes = outputs.shape[-1]
    identity = torch.eye(classes, dtype=outputs.dtype, device=outputs.device)
    if loss == "cross-entropy":
        chances = outputs.softmax(-1)
        if generator is not None:
            drawn = torch.multinomial(chances.cpu(), 1, generator=generator).to(outputs.device)[:, 0]
            return (identity[drawn] - chances).unsqueeze(0)
        # [C, B, C]: √p_c of each example times e_c − p.
        return chances.sqrt().T.unsqueeze(-1) * (identity.unsqueeze(1) - chances.unsqueeze(0))
    root = math.sqrt(2.0 / classes)
    if generator is not None:
        signs = torch.randint(0, 2, outputs.shape, generator=generator).to(outputs) * 2 - 1
        return (root * signs)[None]
    return (root * identity)[:, None, :].expand(-1, outputs.shape[0], -1)


def _by_activations(
    module: nn.Module,
    weight_names: Mapping[str, str],
    inputs: Tensor,
    loss: Loss,
    generator: torch.Generator | None,
) -> dict[str, Tensor] | None:
    """Sums over a batch, or None where a layer is of another kind or used otherwise."""
    with torch.enable_grad():
        tape = ActivationTape(module, weight_names)
        outputs = tape.run(inputs)
        if outputs is None:
            return None
        columns = loss_columns(outputs.detach(), loss, generator)
        squares: dict[str, Tensor] = {}
        result: dict[str, Tensor] = {}
        for number, column in enumerate(columns):
            found: tuple[Tensor | None, ...] = torch.autograd.grad(
                outputs, tape.outputs(), column, retain_graph=number + 1 < len(columns), allow_unused=True
            )
            for name, gradient in zip(weight_names, found, strict=True):
                if gradient is None:
                    continue
                if tape.is_plain(name):
                    # One input vector for each example: the squares separate, so that only Σ_c g² is kept.
                    squares[name] = squares[name] + gradient**2 if name in squares else gradient**2
                else:
                    layer = module.get_submodule(name)
                    found_here = _squares_over_positions(layer, tape.inputs[name], gradient)
                    result[name] = result[name] + found_here if name in result else found_here
    return result | {name: squares[name].T @ tape.inputs[name] ** 2 for name in squares}


def _squares_over_positions(layer: nn.Module, inputs: Tensor, gradients: Tensor) -> Tensor:
    """Σ over examples of (Σ over positions of gradient × input)², in the shape of the weight.

    Args:
        inputs: of the layer, [B, …].
        gradients: of its outputs, [B, …].
    """
    batch = gradients.shape[0]
    weight = layer.get_parameter("weight")
    total = torch.zeros_like(weight)
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    step = max(1, min(batch, _FLOATS_AT_ONCE // max(1, weight.numel())))
    for start in range(0, batch, step):
        part = slice(start, start + step)
        patches = layer_inputs(layer, inputs[part])  # [b, G, features, positions]
        if isinstance(layer, nn.Conv2d):
            flowed = gradients[part].flatten(2)  # [b, outputs, positions]
        else:
            flowed = gradients[part].flatten(1, -2).transpose(1, 2)
        flowed = flowed.reshape(
            flowed.shape[0], groups, -1, flowed.shape[-1]
        )  # [b, G, outputs / G, positions]
        products = flowed @ patches.transpose(-1, -2)  # [b, G, outputs / G, features]
        total += products.square_().sum(0).reshape(weight.shape)
    return total


def _by_examples(
    module: nn.Module,
    weight_names: Mapping[str, str],
    inputs: Tensor,
    loss: Loss,
    generator: torch.Generator | None,
) -> dict[str, Tensor]:
    """Sums over a batch by differentiating each example's outputs, for networks of any kind."""
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    fixed = {name: tensor.detach() for name, tensor in state.items()}
    weights = {name: fixed[weight] for name, weight in weight_names.items()}
    with torch.no_grad():
        columns = loss_columns(module(inputs), loss, generator)

    def outputs_of(moved: dict[str, Tensor], example: Tensor) -> Tensor:
        tensors = fixed | {weight_names[name]: tensor for name, tensor in moved.items()}
        return functional_call(module, tensors, (example[None],))[0]  # type: ignore[no-any-return]

    def squares_of(example: Tensor, of_example: Tensor) -> dict[str, Tensor]:
        backward = vjp(lambda moved: outputs_of(moved, example), weights)[1]
        (gradients,) = vmap(backward)(of_example)
        return {name: gradient.square().sum(0) for name, gradient in gradients.items()}

    per_example = columns.shape[0] * sum(weight.numel() for weight in weights.values())
    size = max(1, _FLOATS_AT_ONCE // max(1, per_example))
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    with _plain_attention():
        for start in range(0, inputs.shape[0], size):
            part = slice(start, start + size)
            found = vmap(squares_of)(inputs[part], columns[:, part].transpose(0, 1))
            for name, squares in found.items():
                totals[name] += squares.sum(0)
    return totals


def hessian_diagonal(
    module: nn.Module,
    weight_names: Mapping[str, str],
    batches: Callable[[], Iterable[Batch]],
    loss: Loss,
    lives: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """The exact diagonal of the Hessian of the mean loss; entries may be negative.

    Args:
        weight_names: the parameter of every layer that is asked for, by the layer's name.
        batches: gives the same batches each time it is called.
        lives: bool in the shape of the weights; weights that are gone are passed over and stay 0 in the answer.

    Raises:
        StudioError: above `MOST_HESSIAN_WEIGHTS` weights, where it would take hours.
    """
    module.eval()
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    fixed = {name: tensor.detach() for name, tensor in state.items()}
    weights = {name: fixed[weight] for name, weight in weight_names.items()}
    sizes = [weight.numel() for weight in weights.values()]
    flat = torch.cat([weight.reshape(-1) for weight in weights.values()])
    wanted = torch.ones_like(flat, dtype=torch.bool)
    if lives is not None:
        wanted = torch.cat([lives[name].reshape(-1) for name in weights]).to(flat.device)
    indices = wanted.nonzero()[:, 0]
    if len(indices) > MOST_HESSIAN_WEIGHTS:
        raise StudioError(
            f"The exact Hessian diagonal of {len(indices):,} weights would take hours (it is for networks of up to "
            f"{MOST_HESSIAN_WEIGHTS:,}): set “Curvature” to gauss-newton, which is nearly the same and takes seconds."
        )
    total_loss = summed_loss(loss)
    diagonal = torch.zeros_like(flat)
    examples = 0
    for inputs, labels in batches():

        def loss_of(vector: Tensor, inputs: Tensor = inputs, labels: Tensor = labels) -> Tensor:
            parts = torch.split(vector, sizes)
            moved = {
                weight_names[name]: part.view_as(weights[name])
                for name, part in zip(weights, parts, strict=True)
            }
            return total_loss(functional_call(module, fixed | moved, (inputs,)), labels)

        def entry(index: Tensor, loss_of: Callable[[Tensor], Tensor] = loss_of) -> Tensor:
            direction = torch.zeros_like(flat).index_fill(0, index, 1.0)
            # The Hessian is symmetric: backwards twice gives its column as well as backwards and then forwards would.
            column: Tensor = vjp(grad(loss_of), flat)[1](direction)[0]
            return column.index_select(0, index[None])[0]

        with _plain_attention():
            for chosen in torch.split(indices, _BASIS_AT_ONCE):
                diagonal[chosen] += vmap(entry)(chosen)
        examples += labels.shape[0]
    parts = torch.split(diagonal / max(1, examples), sizes)
    return {name: part.view_as(weights[name]) for name, part in zip(weights, parts, strict=True)}


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention without its fused paths, which cannot be differentiated example by example."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)
