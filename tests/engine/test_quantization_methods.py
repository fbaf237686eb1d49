"""What makes quantization better: folding, equalising, corrected biases, learned rounding, ranges, sensitivity."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import StudioError
from core.events import Finding, Notice
from core.findings import Lines, Table, read_finding
from core.quantization.calibration import Calibration
from core.quantization.correction import inputs_of, learned_rounding, mean_shift
from core.quantization.folding import equalise, fold_batch_norms, is_folded
from core.quantization.grid import find_grid, on_grid
from core.quantization.ranges import Observer
from core.quantization.ranking import KIND, Ranking, ranking_for, rankings, worst_kept
from core.quantization.sensitivity import find_sensitivity, sensitivities, worst_layers
from core.quantization.settings import QuantizeSettings, SensitivitySettings
from core.quantization.step import quantize_model
from core.quantization.training import QuantizedTraining
from core.steps import FineTuneSettings
from core.training.step import fine_tune

from .toys import Watcher, toy_network, toy_state


def network_with_norms() -> nn.Module:
    torch.manual_seed(7)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24, 3),
    )
    network.train()
    for _ in range(20):
        network(torch.randn(16, 1, 6, 6) * 2 + 1)
    with torch.no_grad():
        for norm in (network[1], network[4]):
            norm.weight.uniform_(0.2, 3)
            norm.bias.uniform_(-1, 1)
    return network.eval()


IMAGES = torch.randn(32, 1, 6, 6, generator=torch.Generator().manual_seed(3)) * 2 + 1


def test_folding_and_equalising_change_no_output():
    network = network_with_norms()
    wanted = network(IMAGES)
    assert fold_batch_norms(network) == 2
    assert torch.allclose(network(IMAGES), wanted, atol=1e-4)
    assert is_folded(network[1])
    spread = network[0].weight.abs().amax((1, 2, 3))
    assert equalise(network) == 2
    assert torch.allclose(network(IMAGES), wanted, atol=1e-4)
    rows = network[0].weight.detach().abs().amax((1, 2, 3))
    columns = network[3].weight.detach().abs().amax((0, 2, 3))
    # Nagel et al. 2019, equation 11: both sides of a channel then have the same range (up to the pairs after it).
    assert torch.allclose(rows, columns, rtol=0.35)
    assert not torch.allclose(rows, spread)


def test_folded_norms_stay_folded_while_training():
    state = toy_state(QuantizeSettings(), module=network_with_norms())
    fold_batch_norms(state.module)
    training = QuantizedTraining(state.module, state.quantization)
    training.train()
    assert state.module[1].training
    state.quantization = state.quantization.with_weights(
        {"0.weight": find_grid(state.module.get_parameter("0.weight"), 8)}
    )
    training = QuantizedTraining(state.module, state.quantization)
    training.train()
    assert not state.module[1].training
    assert state.module[3].training


def test_pruned_weights_survive_folding():
    network = network_with_norms()
    with torch.no_grad():
        network[3].weight[:, 1] = 0
    fold_batch_norms(network)
    zeros = network[3].weight[:, 1]
    assert not zeros.any()
    assert not torch.signbit(zeros).any()


def observed(values: torch.Tensor) -> Observer:
    observer = Observer()
    observer.see_ends(values)
    observer.see_values(values)
    return observer


VALUES = torch.randn(200_000, generator=torch.Generator().manual_seed(2)).relu()


def test_ranges_of_percentiles_are_those_of_numpy():
    side = observed(VALUES).range("percentile", 8, False, 99.0)
    assert side.low == 0.0
    assert side.high == pytest.approx(float(np.percentile(VALUES.numpy(), 99.0)), rel=5e-3)


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_ranges_of_least_squares_are_near_brute_force(bits: int):
    side = observed(VALUES).range("mse", bits, False, 100)
    array = VALUES.numpy().astype(np.float64)

    def error(limit: float) -> float:
        scale = limit / (2**bits - 1)
        return float(((np.clip(np.round(array / scale), 0, 2**bits - 1) * scale - array) ** 2).mean())

    assert error(side.high) <= 1.03 * min(error(limit) for limit in np.linspace(0.3, 5, 150))


def test_ranges_of_entropy_clip_outliers_but_not_the_rest():
    values = VALUES.clone()
    values[:3] = 60.0
    whole = observed(values).range("min-max", 8, False, 100)
    clipped = observed(values).range("entropy", 8, False, 100)
    assert whole.high == 60.0
    assert float(np.percentile(VALUES.numpy(), 99)) < clipped.high < 30


@pytest.mark.parametrize("how", ["min-max", "percentile", "entropy", "mse"])
def test_constant_activations_have_a_range(how: str):
    assert observed(torch.zeros(10)).range(how, 8, False, 99).scale == 1.0
    side = observed(torch.full((10,), 3.0)).range(how, 8, False, 99)
    assert side.low == 0.0
    assert 2.9 < side.high <= 3.0


def test_corrected_biases_keep_the_mean():
    layer = nn.Linear(20, 6)
    inputs = torch.rand(500, 20)
    rounded = on_grid(layer.weight, find_grid(layer.weight, 2))
    shift = mean_shift(layer, rounded, [inputs])
    outputs = nn.functional.linear(inputs, rounded, layer.bias - shift)
    assert torch.allclose(outputs.mean(0), layer(inputs).mean(0), atol=1e-5)


def test_learned_rounding_keeps_outputs_better_than_the_nearest():
    torch.manual_seed(1)
    layer = nn.Linear(40, 8)
    with torch.no_grad():
        layer.weight[:, ::4] = 0
    mixing = torch.randn(6, 40)
    inputs = torch.randn(400, 6) @ mixing + 0.3
    record = find_grid(layer.weight, 3, axis=0)
    found = learned_rounding(
        layer, record, [inputs], [inputs], 600, torch.Generator().manual_seed(0), lambda: None
    )
    assert torch.equal(on_grid(found, record), found)
    assert not found[:, ::4].any()
    assert record.scale is not None
    assert ((found - layer.weight).abs() <= record.scale * 1.001).all()

    def error(weight: torch.Tensor) -> float:
        return float((inputs @ (weight - layer.weight).T).detach().square().mean())

    assert error(found) < 0.7 * error(on_grid(layer.weight, record))


def test_inputs_of_a_layer_are_what_reaches_it():
    network = toy_network()
    found = inputs_of(network, network[3], [IMAGES[:5], IMAGES[5:9]])
    assert torch.allclose(torch.cat(found), network[:3](IMAGES[:9]))


@pytest.mark.parametrize(
    "options", [{"rounding": "learned", "rounding_iterations": 20}, {"bias_correction": True}]
)
def test_every_method_ends_on_the_grid(tmp_path: Path, options: dict[str, object]):
    settings = QuantizeSettings(bits=3, examples=40, equalise=True, **options)
    state = toy_state(settings, module=network_with_norms())
    quantize_model(settings, state, Watcher(tmp_path))
    for name, record in state.quantization.weights.items():
        weight = state.module.get_parameter(name).detach()
        assert torch.equal(on_grid(weight, record), weight)


def trained(tmp_path: Path, *steps: object):
    state = toy_state(*steps)
    fine_tune(FineTuneSettings(epochs=6, learning_rate=0.01), state, Watcher(tmp_path))
    return state


def test_sensitivity_finds_the_layer_that_was_made_fragile(tmp_path: Path):
    settings = SensitivitySettings(bits=(8, 2))
    state = trained(tmp_path, settings)
    with torch.no_grad():
        # One huge weight without an effect: a scale for the whole layer then leaves nothing of the others.
        state.module.get_parameter("3.weight")[:, 0] = 0
        state.module.get_parameter("3.weight")[0, 0] = 50.0
        state.module.get_parameter("0.weight")[0] = 0
        state.module.get_parameter("0.bias")[0] = -1
    before = {name: tensor.clone() for name, tensor in state.module.state_dict().items()}
    found = sensitivities(
        QuantizeSettings(granularity="tensor"), (8, 2), state, Watcher(tmp_path), measured=True, examples=50
    )
    assert worst_layers(found, 8, 1) == ("3",)
    for name, tensor in state.module.state_dict().items():
        assert torch.equal(tensor, before[name])
    proxy = sensitivities(
        QuantizeSettings(granularity="tensor"), (8,), state, Watcher(tmp_path), measured=False, examples=50
    )
    assert worst_layers(proxy, 8, 1) == ("3",)
    assert proxy[0].only.correct is None


@pytest.mark.parametrize("mode", ["measured", "fast-proxy"])
def test_sensitivity_is_told_as_table_and_curves(tmp_path: Path, mode: str):
    settings = SensitivitySettings(bits=(8, 2), mode=mode, examples=40)
    state = trained(tmp_path, settings)
    watcher = Watcher(tmp_path)
    find_sensitivity(settings, state, watcher)
    table, curves = (read_finding(each.data) for each in watcher.events if isinstance(each, Finding))
    assert isinstance(table, Table)
    assert isinstance(curves, Lines)
    assert len(table.rows) == 6
    assert ("measured" in table.note) == (mode == "measured")
    assert {each.kind for each in watcher.events if isinstance(each, Finding)} == {KIND, f"{KIND}-curves"}
    known = rankings(table)
    assert [each.bits for each in known] == [2, 8]
    assert {each.measured for each in known} == {mode == "measured"}
    at_two = [row[0] for row in table.rows if row[1] == 2]
    assert list(known[0].layers) == at_two
    assert set(at_two) == {layer.name for layer in state.description.layers}
    for row in table.rows:
        if mode == "measured":
            assert row[3] <= row[2] <= row[4]  # type: ignore[operator]
        else:
            assert row[2] is None
            assert row[5] is not None


def test_a_ranking_becomes_a_precision_map():
    rows = (("b", 2, None), ("a", 2, None), ("a", 8, 97.5), ("b", 8, 98.0), ("no bits", None, 1.0))
    known = rankings(Table((("Layer", ""), ("Bits", ""), ("Accuracy", "%")), rows))
    assert known == (Ranking(2, ("b", "a"), True), Ranking(8, ("a", "b"), True))
    assert ranking_for(known, 8) == known[1]
    assert ranking_for(known, 5) == known[0]  # as near as 8: the one that asks more of the layers
    assert ranking_for((), 4) is None
    assert worst_kept(known[0], 1, 16) == {"b": 16, "a": None}
    assert worst_kept(known[0], 0, 16) == {"b": None, "a": None}


def test_the_worst_layers_stay_in_sixteen_bits(tmp_path: Path):
    settings = QuantizeSettings(what="weights", bits=2, keep_worst=1)
    state = trained(tmp_path, settings)
    watcher = Watcher(tmp_path)
    quantize_model(settings, state, watcher)
    schemes = sorted(record.scheme for record in state.quantization.weights.values())
    assert schemes == ["affine", "affine", "float16"]
    assert any("in 16 bits" in each.text for each in watcher.events if isinstance(each, Notice))


def test_calibration_never_sees_the_test_split(tmp_path: Path):
    state = toy_state(QuantizeSettings())
    task = state.task
    assert task is not None
    assert task.test is not None

    def refuse(*_: object) -> None:
        raise AssertionError("the test split was looked at")

    task.test.batch = refuse  # type: ignore[method-assign, assignment]
    task.test.normalised = refuse  # type: ignore[method-assign, assignment]
    quantize_model(QuantizeSettings(keep_worst=1, bias_correction=True), state, Watcher(tmp_path))
    without = toy_state(QuantizeSettings())
    assert without.task is not None
    object.__setattr__(without.task, "train", None)
    object.__setattr__(without.task, "validation", None)
    with pytest.raises(StudioError, match="neither training nor validation"):
        Calibration(10, without, Watcher(tmp_path), "Quantize")
