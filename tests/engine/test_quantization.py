"""Quantization: grids against torch's own fake quantization, zeros that stay, files that reopen, exact resume."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import StudioError
from core.export.packed_file import packed_size, save_packed
from core.export.safetensors_file import save_tensors
from core.job import JobInterrupted
from core.models.checkpoint import open_checkpoint
from core.quantization.grid import dequantize, find_grid, grouped, on_grid, quantize, ungrouped
from core.quantization.record import (
    METADATA,
    ActivationRange,
    LayerActivations,
    Quantization,
    QuantizedWeight,
    quantization_from_json,
)
from core.quantization.settings import QuantizeAwareSettings, QuantizeSettings
from core.quantization.simulate import Simulated, fake_quantize, straight_through
from core.quantization.step import quantize_and_train, quantize_model
from core.quantization.stored import read_quantization
from core.steps import FineTuneSettings, PruneSettings
from core.training.checkpoint import load_checkpoint
from core.training.step import fine_tune

from .toys import Watcher, toy_network, toy_state


def weights(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [8, 4, 2])
def test_grids_agree_with_torch(bits: int, symmetric: bool):
    weight = weights(6, 5, 3, 3)
    record = find_grid(weight, bits, symmetric=symmetric, axis=0)
    assert record.scale is not None
    assert record.zero_point is not None
    theirs = torch.fake_quantize_per_channel_affine(
        weight, record.scale[:, 0], record.zero_point[:, 0], 0, record.lowest, record.highest
    )
    assert torch.allclose(on_grid(weight, record), theirs, atol=1e-6)


def test_ranges_of_min_max_are_those_of_torchs_observers():
    weight = weights(6, 20) + 0.3
    observer = torch.ao.quantization.MinMaxObserver(dtype=torch.quint8, qscheme=torch.per_tensor_affine)
    observer(weight)
    scale, zero_point = observer.calculate_qparams()
    record = find_grid(weight, 8, symmetric=False)
    assert record.scale is not None
    assert record.zero_point is not None
    assert float(record.scale) == pytest.approx(float(scale), rel=1e-6)
    assert int(record.zero_point) == int(zero_point)


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("group_size", [0, 4, 7])
def test_groups_are_put_back(axis: int | None, group_size: int):
    weight = weights(4, 6, 3)
    groups = grouped(weight, axis, group_size)
    assert torch.equal(ungrouped(groups, weight.shape, axis), weight)
    rows = 1 if axis is None else weight.shape[axis]
    assert groups.shape[0] == rows


@pytest.mark.parametrize("ranges", ["min-max", "percentile", "mse"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_zero_stays_zero_and_the_grid_is_exact(ranges: str, symmetric: bool):
    weight = weights(8, 50)
    weight[weights(8, 50, seed=1) < 0.5] = 0
    weight[3] = 0
    weight[4] = weight[4].abs()
    record = find_grid(weight, 4, symmetric=symmetric, axis=0, group_size=16, ranges=ranges)
    rounded = on_grid(weight, record)
    assert torch.equal(rounded[weight == 0], torch.zeros(int((weight == 0).sum())))
    assert not torch.signbit(rounded[rounded == 0]).any()
    integers = quantize(rounded, record)
    assert torch.equal(dequantize(integers, record), rounded)
    assert torch.equal(on_grid(rounded, record), rounded)


def test_the_least_squares_range_is_near_brute_force():
    weight = weights(1, 4000)
    weight[0, 0] = 12.0
    record = find_grid(weight, 4, axis=0, ranges="mse")
    found = float((on_grid(weight, record) - weight).square().sum())
    array = weight.numpy().astype(np.float64)
    errors = []
    for limit in np.linspace(0.2, 12, 5000):
        scale = limit / 7
        errors.append(((np.clip(np.round(array / scale), -7, 7) * scale - array) ** 2).sum())
    assert found <= 1.01 * min(errors)
    plain = on_grid(weight, find_grid(weight, 4, axis=0))
    assert found < 0.5 * float((plain - weight).square().sum())


@pytest.mark.parametrize("scheme", ["float16", "bfloat16"])
def test_float_types_are_what_torch_rounds_to(scheme: str):
    weight = weights(30, 30)
    dtype = getattr(torch, scheme)
    assert torch.equal(on_grid(weight, QuantizedWeight(scheme, 16)), weight.to(dtype).float())


def test_gradients_go_straight_through_but_for_what_is_clipped():
    weight = weights(1, 100).requires_grad_()
    record = find_grid(weight, 3, ranges="percentile", percentile=90)
    straight_through(weight, record).sum().backward()
    assert record.scale is not None
    inside = weight.detach().abs() <= 3.5 * float(record.scale)
    assert weight.grad is not None
    assert torch.equal(weight.grad, inside.float())
    assert 0 < int(inside.sum()) < 100


def test_activation_ranges_hold_zero():
    side = ActivationRange(-0.31, 2.2)
    values = torch.tensor([0.0, 5.0, -9.0, 1.1])
    rounded = fake_quantize(values, side)
    assert rounded[0] == 0
    assert rounded[1] == pytest.approx(2.2, abs=side.scale)
    assert rounded[2] == pytest.approx(-0.31, abs=side.scale)
    assert ActivationRange(0.0, 0.0).scale == 1.0


def sample_quantization() -> tuple[dict[str, torch.Tensor], Quantization]:
    tensors = {"a": weights(12, 40), "b": weights(5, 6, 3, 3, seed=1), "c": weights(9, seed=2)}
    tensors["a"][weights(12, 40, seed=3) < 1] = 0
    records = {
        "a": find_grid(tensors["a"], 4, symmetric=False, axis=0, group_size=16),
        "b": find_grid(tensors["b"], 8, axis=1),
    }
    for name, record in records.items():
        tensors[name] = on_grid(tensors[name], record)
    ranges = LayerActivations(ActivationRange(0.0, 1.7), ActivationRange(-0.2, 0.1, 6, True))
    return tensors, Quantization(records, {"a": ranges})


def assert_same(first: Quantization, second: Quantization) -> None:
    assert first.activations == second.activations
    assert first.weights.keys() == second.weights.keys()
    for name, one in first.weights.items():
        other = second.weights[name]
        assert (one.scheme, one.bits, one.symmetric, one.axis, one.group_size) == (
            other.scheme,
            other.bits,
            other.symmetric,
            other.axis,
            other.group_size,
        )
        for mine, theirs in (
            (one.scale, other.scale),
            (one.zero_point, other.zero_point),
            (one.book, other.book),
        ):
            assert (mine is None) == (theirs is None)
            if mine is not None and theirs is not None:
                assert torch.equal(mine, theirs)


def test_records_survive_json_and_both_files(tmp_path: Path):
    tensors, quantization = sample_quantization()
    assert_same(quantization_from_json(quantization.to_json(), "it"), quantization)
    metadata = {METADATA: quantization.to_json()}
    save_tensors(tensors, tmp_path / "m.safetensors", metadata)
    save_packed(tensors, tmp_path / "m.packed", metadata, quantization=quantization)
    assert packed_size(tensors, metadata, quantization=quantization) == (tmp_path / "m.packed").stat().st_size
    for name in ("m.safetensors", "m.packed"):
        with open_checkpoint(tmp_path / name) as checkpoint:
            assert_same(read_quantization(checkpoint), quantization)
            for key, tensor in tensors.items():
                assert np.array_equal(checkpoint.read(key), tensor.numpy())


@pytest.mark.parametrize("text", ["{", "{}", '{"version":1,"weights":{"a":{"scheme":"x"}},"activations":{}}'])
def test_damaged_records_are_refused(text: str):
    with pytest.raises(StudioError, match="it is damaged"):
        quantization_from_json(text, "it")


def test_quantized_then_trained_stays_on_its_grid(tmp_path: Path):
    state = toy_state(QuantizeSettings(), FineTuneSettings(epochs=2))
    watcher = Watcher(tmp_path)
    quantize_model(QuantizeSettings(examples=50), state, watcher)
    before = state.module.get_parameter("0.weight").detach().clone()
    fine_tune(FineTuneSettings(epochs=2, learning_rate=0.01), state, watcher)
    for name, record in state.quantization.weights.items():
        weight = state.module.get_parameter(name)
        assert torch.equal(on_grid(weight, record), weight.detach())
    assert not torch.equal(before, state.module.get_parameter("0.weight"))
    assert set(state.quantization.activations) == {"0", "3", "5"}


@pytest.mark.parametrize("pruned_first", [True, False])
def test_pruning_and_quantization_go_in_either_order(tmp_path: Path, pruned_first: bool):
    from core.pruning.step import prune

    state = toy_state(PruneSettings(), QuantizeSettings())
    watcher = Watcher(tmp_path)
    steps = [
        lambda: prune(PruneSettings(sparsity=0.6), state, watcher),
        lambda: quantize_model(QuantizeSettings(bits=4, symmetric_weights=False), state, watcher),
    ]
    for step in steps if pruned_first else reversed(steps):
        step()
    fine_tune(FineTuneSettings(epochs=1), state, watcher)
    for name, record in state.quantization.weights.items():
        weight = state.module.get_parameter(name).detach()
        assert torch.equal(on_grid(weight, record), weight)
        assert not weight[~state.masks[name]].any()


def test_training_while_quantized_resumes_to_the_same_bits(tmp_path: Path):
    settings = QuantizeAwareSettings(bits=3, epochs=3, examples=40, learning_rate=0.01)
    state = toy_state(settings)
    quantize_and_train(settings, state, Watcher(tmp_path))
    again = toy_state(settings)
    with pytest.raises(JobInterrupted):
        quantize_and_train(settings, again, Watcher(tmp_path, at=12, act="interrupt"))
    third = toy_state(settings)
    saved = load_checkpoint(tmp_path)
    assert saved is not None
    third.take_up(saved)
    assert third.half_done is not None
    quantize_and_train(settings, third, Watcher(tmp_path))
    for name, tensor in state.module.state_dict().items():
        assert torch.equal(tensor, third.module.state_dict()[name])
    assert_same(state.quantization, third.quantization)


def test_training_while_quantized_beats_rounding_afterwards(tmp_path: Path):
    state = toy_state(FineTuneSettings())
    fine_tune(FineTuneSettings(epochs=8, learning_rate=0.01), state, Watcher(tmp_path))
    float_weights = {name: tensor.clone() for name, tensor in state.module.state_dict().items()}
    losses = []
    for settings in (
        QuantizeSettings(bits=2, examples=50),
        QuantizeAwareSettings(bits=2, examples=50, epochs=8, learning_rate=0.01),
    ):
        state.module.load_state_dict(float_weights)
        state.quantization = Quantization()
        if isinstance(settings, QuantizeAwareSettings):
            quantize_and_train(settings, state, Watcher(tmp_path))
        else:
            quantize_model(settings, state, Watcher(tmp_path))
        task = state.task
        assert task is not None
        assert task.validation is not None
        x, y = task.validation.batch(torch.arange(len(task.validation)))
        losses.append(
            float(nn.functional.cross_entropy(Simulated(state.module, state.quantization)(x), y).detach())
        )
    assert losses[1] < 0.8 * losses[0]


def test_simulation_of_weights_off_the_grid_is_that_of_rounded_ones():
    module = toy_network()
    record = find_grid(module.get_parameter("3.weight"), 3, axis=0)
    quantization = Quantization({"3.weight": record}, {"3": LayerActivations(ActivationRange(0.0, 2.0))})
    x = weights(7, 1, 6, 6)
    off = Simulated(module, quantization, weights=True)(x)
    with torch.no_grad():
        module.get_parameter("3.weight").copy_(on_grid(module.get_parameter("3.weight"), record))
    assert torch.equal(off, Simulated(module, quantization)(x))
    assert not torch.equal(off, module(x))


def test_bad_input_is_told_in_a_sentence(tmp_path: Path):
    watcher = Watcher(tmp_path)
    with pytest.raises(StudioError, match="needs calibration examples"):
        quantize_model(QuantizeSettings(), toy_state(QuantizeSettings(), task=False), watcher)
    with pytest.raises(StudioError, match="leaves every layer as it is"):
        quantize_model(QuantizeSettings(overrides={"*": 32}), toy_state(QuantizeSettings()), watcher)
    state = toy_state(QuantizeSettings())
    with torch.no_grad():
        state.module.get_parameter("3.weight")[0, 0] = float("nan")
    with pytest.raises(StudioError, match="“3” hold NaN"):
        quantize_model(QuantizeSettings(what="weights"), state, watcher)
