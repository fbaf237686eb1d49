"""One model measured whole: size, sparsity, cost, accuracy and, if asked for, latency."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from core.data.split import Split
from core.errors import StudioError
from core.export.packed_file import PACKING, packed_size
from core.measurement.accuracy import accuracy_record, evaluate
from core.measurement.cost import count_macs
from core.measurement.predictions import Answers
from core.measurement.records import Accuracy, LayerStatistics, Measurement
from core.measurement.size import count_nonzeros, dense_bytes
from core.models.description import ModelDescription
from core.quantization.record import NOT_QUANTIZED, Quantization
from core.quantization.simulate import simulated
from core.quantization.stored import stored_tensors


def measure_model(
    module: nn.Module,
    description: ModelDescription,
    metadata: Mapping[str, str],
    device: torch.device,
    *,
    split: Split | None = None,
    task_title: str = "",
    on_batch: Callable[[int], None] | None = None,
    check: Callable[[], None] | None = None,
    quantization: Quantization = NOT_QUANTIZED,
    on_answers: Callable[[Answers], None] | None = None,
) -> tuple[Measurement, tuple[LayerStatistics, ...]]:
    """Everything but latency. Without `split` accuracy stays unmeasured; without an input shape MACs do.

    Args:
        module: on `device`; is left in evaluation mode.
        description: names the prunable layers.
        metadata: what the saved file would carry beside the tensors; counts towards its bytes.
        on_batch: called with the number of examples after each batch of the accuracy measurement.
        check: called between tensors while the packed file is counted; may raise to give up.
        quantization: what the weights are quantized to; accuracy is that of the simulated quantized model.
        on_answers: called with what the model answers to each example of the split.

    Raises:
        StudioError: if the model puts out NaN or infinity.
    """
    tensors = stored_tensors(module.state_dict(), quantization)
    nonzeros = count_nonzeros(tensors, (layer.weight_name for layer in description.layers))
    layers = tuple(
        LayerStatistics(
            layer.name,
            layer.kind,
            layer.shape,
            layer.weights,
            nonzeros[layer.weight_name],
            layer.macs,
            *_precision(layer.name, layer.weight_name, tensors, quantization),
        )
        for layer in description.layers
    )
    macs = None
    if description.input_shape is not None:
        macs = count_macs(module, description.input_shape, device)
    accuracy: Accuracy | None = None
    if split is not None:
        network = simulated(module, quantization)
        result = evaluate(network, split, device, on_batch, keep_answers=on_answers is not None)
        if not math.isfinite(result.loss):
            broken = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
            where = (
                f"the tensor {broken[0]} holds NaN or infinite values" if broken else "its outputs overflow"
            )
            raise StudioError(
                f"{description.source.title} has no accuracy, because {where}: use an earlier checkpoint."
            )
        accuracy = accuracy_record(result, split.name, task_title)
        if on_answers is not None and result.answers is not None:
            on_answers(result.answers)
    measurement = Measurement(
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        weights=sum(layer.weights for layer in layers),
        nonzero_weights=sum(layer.nonzero_weights for layer in layers),
        dense_bytes=dense_bytes(tensors, metadata),
        packed_bytes=packed_size(tensors, metadata, check, quantization),
        packing=PACKING,
        macs=macs,
        input_shape=description.input_shape,
        accuracy=accuracy,
    )
    return measurement, layers


def _precision(
    layer: str, weight_name: str, tensors: Mapping[str, torch.Tensor], quantization: Quantization
) -> tuple[int, int]:
    """The bits of a layer's weights and of its inputs."""
    plain = 8 * tensors[weight_name].element_size()
    weight = quantization.weights.get(weight_name)
    activations = quantization.activations.get(layer)
    inputs = None if activations is None else activations.input
    return plain if weight is None else weight.bits, plain if inputs is None else inputs.bits
