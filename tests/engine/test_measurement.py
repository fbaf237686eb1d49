"""Measurements against independent computations: real files, scikit-learn's and scipy's figures, hand counts."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from core.data.split import Split
from core.errors import StudioError
from core.export.packed_file import PACKING, save_packed
from core.measurement.accuracy import evaluate, wilson_interval
from core.measurement.cost import count_macs
from core.measurement.latency import LEAST_REPETITIONS, WARMUP, measure_latency
from core.measurement.measure import _precision, measure_model
from core.measurement.records import (
    Accuracy,
    Latency,
    Measurement,
    measurement_from_json,
    measurement_to_json,
)
from core.measurement.size import count_nonzeros, dense_bytes
from core.models.opening import load_module
from core.models.source import ModelSource
from core.quantization.record import ActivationRange, LayerActivations, Quantization, QuantizedWeight

CPU = torch.device("cpu")


@pytest.mark.parametrize("metadata", [{}, {"format": "compression-studio", "ünïcode": 'quote " and \n'}])
def test_dense_bytes_are_those_of_the_real_file(tmp_path: Path, metadata: dict[str, str]) -> None:
    tensors = {
        "b": torch.zeros(3, 5),
        "a": torch.zeros(7, dtype=torch.float16),
        "count": torch.tensor(3),
        "flags": torch.zeros(11, dtype=torch.bool),
        "empty": torch.zeros(0, 4),
        "big": torch.zeros(1000, 20, dtype=torch.bfloat16),
    }
    save_file(tensors, tmp_path / "file.safetensors", metadata=metadata or None)
    assert dense_bytes(tensors, metadata) == (tmp_path / "file.safetensors").stat().st_size
    assert count_nonzeros({"w": torch.tensor([0.0, -0.0, 1.0, float("nan")])}, ("w",)) == {"w": 2}


def test_packed_bytes_are_those_of_the_real_file(tmp_path: Path) -> None:
    source = ModelSource("zoo", "lenet-5")
    loaded = load_module(source)
    with torch.no_grad():
        loaded.module.fc1.weight[:, ::2] = 0
    measurement, _ = measure_model(loaded.module, loaded.description, {"a": "b"}, CPU)
    save_packed(loaded.module.state_dict(), tmp_path / "file.packed", {"a": "b"})
    assert measurement.packed_bytes == (tmp_path / "file.packed").stat().st_size
    assert measurement.packing == PACKING
    assert measurement.packed_bytes < 0.6 * measurement.dense_bytes


@pytest.mark.parametrize(("correct", "count"), [(0, 10), (10, 10), (8103, 10000), (437, 450), (1, 3)])
def test_wilson_interval_equals_scipy(correct: int, count: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(correct, count).proportion_ci(0.95, method="wilson")
    assert wilson_interval(correct, count) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_evaluate_equals_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, log_loss

    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 4))
    images, labels = torch.rand(301, 3, 2, 2), torch.randint(0, 4, (301,))
    split = Split("test", images, labels, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    seen: list[int] = []
    result = evaluate(module.train(), split, CPU, seen.append, batch_size=100)
    assert seen == [100, 100, 100, 1]
    x, _ = split.batch(torch.arange(301))
    probabilities = module.eval()(x).softmax(1).detach().numpy()
    assert result.correct / result.count == accuracy_score(labels, probabilities.argmax(1))
    assert result.loss == pytest.approx(log_loss(labels, probabilities), rel=1e-5)
    with pytest.raises(StudioError, match="empty"):
        evaluate(module, Split("test", images[:0], labels[:0], split.mean, split.std), CPU)


def test_macs_by_hand() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, groups=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 5)
    )
    assert count_macs(module.train(), (3, 4, 4), CPU) == 3 * 8 * 9 * 16 + 8 * 16 * 5
    assert module.training


def test_macs_of_attention_are_counted_in_evaluation_mode() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(16, 4, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            flat = x.flatten(2)
            return self.attention(flat, flat, flat)[0]  # type: ignore[no-any-return]

    projections, products = 10 * 16 * 16 * 4, 2 * 10 * 10 * 16
    assert count_macs(Attends(), (10, 4, 4), CPU) == projections + products


def test_latency_has_its_protocol() -> None:
    modules = [nn.Linear(4, 4), nn.Sequential(*(nn.Linear(400, 400) for _ in range(10)))]
    modules[1].insert(0, nn.Linear(4, 400))
    fast, slow = measure_latency(modules, (4,), CPU, lambda: None, batch_size=2)
    for latency in (fast, slow):
        assert latency.repetitions >= LEAST_REPETITIONS
        assert latency.warmup == WARMUP
        assert latency.batch_size == 2
        assert (
            0
            < latency.minimum_ms
            <= latency.lower_quartile_ms
            <= latency.median_ms
            <= latency.upper_quartile_ms
        )
        assert "eager" in latency.runtime
    assert not any(module.training for module in modules)


def test_measurements_survive_json() -> None:
    accuracy = Accuracy(8, 10, 0.5, 0.9, 0.3, "test", "Digits")
    latency = Latency(1.0, 0.9, 1.2, 0.8, 1, 2, 5, 31, "torch", "cpu")
    measurement = Measurement(100, 90, 30, 400, 200, "packed", 1000, (1, 8, 8), accuracy, latency)
    for value in (measurement, Measurement(1, 1, 1, 1, 1, "p")):
        assert measurement_from_json(json.loads(json.dumps(measurement_to_json(value)))) == value
    assert measurement.sparsity == pytest.approx(2 / 3)
    assert Measurement(1, 0, 0, 1, 1, "p").sparsity == 0


def test_layers_tell_their_precision() -> None:
    loaded = load_module(ModelSource("zoo", "digits-cnn"))
    quantization = Quantization(
        {"conv1.weight": QuantizedWeight("affine", 4), "fc1.weight": QuantizedWeight("codebook", 3)},
        {"conv1": LayerActivations(input=ActivationRange(0.0, 1.0, 8, False))},
    )
    found = {
        layer.name: _precision(layer.name, layer.weight_name, loaded.module.state_dict(), quantization)
        for layer in loaded.description.layers
    }
    assert (found["conv1"], found["fc1"]) == ((4, 8), (3, 32))
    _, plain = measure_model(loaded.module, loaded.description, {}, CPU)
    assert {(layer.weight_bits, layer.activation_bits) for layer in plain} == {(32, 32)}
