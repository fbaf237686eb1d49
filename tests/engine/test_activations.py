"""Activations: counts, dead units and histograms are those of plain torch on the outputs that hooks return."""

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from core.data.spec import TaskSpec
from core.data.split import Split
from core.errors import StudioError
from core.measurement import activations
from core.measurement.activations import Activation, activations_of, measure_activations
from core.models.source import SAMPLE, ModelSource


class Net(nn.Module):
    """Functional and module activations, normalisation between, one dead and one always negative channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 36, 6)
        self.gelu = nn.GELU()
        self.out = nn.Linear(6, 3)
        with torch.no_grad():
            self.conv.weight[1] = 0
            self.conv.bias[1] = 0
            self.fc.weight[2] = 0
            self.fc.bias[2] = -1

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = functional.relu(self.norm(self.conv(images)))
        return self.out(self.gelu(self.fc(maps.flatten(1))))


@pytest.fixture
def split() -> Split:
    generator = torch.Generator().manual_seed(4)
    images = torch.rand((50, 1, 8, 8), generator=generator)
    return Split("train", images, torch.zeros(50, dtype=torch.int64), (0.5,), (0.5,))


@pytest.fixture
def net() -> Net:
    torch.manual_seed(9)
    return Net().eval()


def outputs(net: Net, split: Split, count: int) -> dict[str, torch.Tensor]:
    x, _ = split.batch(torch.arange(count))
    with torch.no_grad():
        conv = net.conv(x)
        relu = torch.relu(net.norm(conv))
        fc = net.fc(relu.flatten(1))
        gelu = functional.gelu(fc)
        return {"conv": conv, "conv → ReLU": relu, "fc": fc, "fc → GELU": gelu, "out": net.out(gelu)}


def test_every_figure_is_torchs(net: Net, split: Split) -> None:
    found = {one.title: one for one in measure_activations(net, split, 40, batch_size=16)}
    expected = outputs(net, split, 40)
    assert list(found) == list(expected)
    for title, values in expected.items():
        one, flat = found[title], values.double().flatten()
        assert one.values == values.numel()
        assert one.shape == tuple(values.shape[1:])
        assert one.units == values.shape[1]
        assert one.zeros == int((values == 0).sum())
        assert one.minimum == pytest.approx(float(flat.min()), rel=1e-5)
        assert one.maximum == pytest.approx(float(flat.max()), rel=1e-5)
        assert one.mean == pytest.approx(float(flat.mean()), abs=1e-6)
        assert one.std == pytest.approx(float(flat.std(correction=0)), rel=1e-5)
        by_unit = values.movedim(1, 0).flatten(1)
        assert one.always_zero.tolist() == torch.nonzero((by_unit == 0).all(1)).flatten().tolist()
        assert one.never_positive.tolist() == torch.nonzero((by_unit <= 0).all(1)).flatten().tolist()
        assert one.histogram.total == one.values
    assert found["conv"].always_zero.tolist() == [1]
    assert found["fc"].never_positive.tolist() == [2]
    assert found["conv → ReLU"].zero_fraction > 0.2


def test_histograms_are_numpys_however_the_range_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    batches = [
        (random.standard_normal(500) * scale).astype(np.float32) for scale in (1e-3, 0.5, 0.02, 40.0, 3.0)
    ]
    batches[2][:7] = 0
    batches[2][7:9] = [-1e-30, 1e-30]
    bins = activations._Bins()
    for batch in batches:
        bins.add(batch)
    everything = np.concatenate(batches)
    found = bins.histogram(7, 0)
    counts, _ = np.histogram(everything, found.edges)
    np.testing.assert_array_equal(found.counts, counts)
    assert found.counts.sum() == everything.size
    # Joined bins count what finer ones counted, so half of the bins at least carry the range.
    assert (found.edges[-1] - found.edges[0]) / (everything.max() - everything.min()) < 1.1


@pytest.mark.parametrize("values", [[0.0, 0.0], [5.0], [-1e-45], [3e38, -3e38], [1.0, -1.0]])
def test_odd_ranges(values: list[float]) -> None:
    bins = activations._Bins()
    bins.add(np.array(values, np.float32))
    found = bins.histogram(0, 0)
    assert found.counts.sum() == len(values)
    assert found.edges[0] <= min(values)
    assert found.edges[-1] >= max(values)


def test_what_is_not_finite_is_counted_apart(split: Split) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with torch.no_grad():
        net[1].weight[1] = torch.inf
        net[1].bias[2] = torch.nan
    (one,) = measure_activations(net, split, 10)
    assert one.not_finite >= 10
    assert one.histogram.nans == one.not_finite
    assert one.mean is not None


def test_nothing_of_the_module_changes_and_no_hook_stays(net: Net, split: Split) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()
    measure_activations(net, split, 8)
    assert not net.training
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
    assert not any(module._forward_hooks for module in net.modules())


def test_it_tells_its_progress_and_can_be_given_up(net: Net, split: Split) -> None:
    seen: list[tuple[int, int]] = []
    measure_activations(net, split, 1000, batch_size=20, progress=lambda *done: seen.append(done))
    assert seen == [(20, 50), (40, 50), (50, 50)]

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        measure_activations(net, split, 8, check=stop)
    assert not any(module._forward_hooks for module in net.modules())


def test_an_empty_split_is_told(net: Net) -> None:
    empty = Split("validation", torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.int64), (0.0,), (1.0,))
    with pytest.raises(StudioError, match="validation split has no examples"):
        measure_activations(net, empty)


def test_attention_and_sequences_have_units_last() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.mlp = nn.Linear(8, 12)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            sequence = images[:, 0]
            mixed, _ = self.attention(sequence, sequence, sequence)
            return functional.gelu(self.mlp(mixed))

    split = Split("train", torch.rand(5, 1, 8, 8), torch.zeros(5, dtype=torch.int64), (0.0,), (1.0,))
    found: dict[str, Activation] = {one.title: one for one in measure_activations(Block(), split)}
    assert found["mlp"].units == found["mlp → GELU"].units == 12
    assert found["mlp"].shape == (8, 12)


def test_the_sample_is_looked_at_on_its_own_task() -> None:
    report = activations_of(SAMPLE, TaskSpec("digits"), "validation", 64)
    assert (report.examples, report.part) == (64, "validation")
    titles = [one.title for one in report.rows]
    assert titles[:4] == ["conv1", "conv1 → ReLU", "conv2", "conv2 → ReLU"]
    assert report.rows[0].shape == (16, 8, 8)


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(StudioError, match="channel"):
        activations_of(ModelSource("zoo", "resnet20"), TaskSpec("digits"), "train", 8)
    with pytest.raises(ValueError, match="not measured on 'test'"):
        activations_of(SAMPLE, TaskSpec("digits"), "test")
