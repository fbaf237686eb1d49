"""Ranking channels with data: gates' derivatives are those of channels scaled by hand; the step then does as ranked."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from core.events import Failed, Measured
from core.models.modules import architecture_of, build_module
from core.models.source import SAMPLE, parse_source
from core.pruning.channel_gates import input_gates
from core.pruning.channel_graph import ChannelGraph
from core.pruning.channel_plan import plan_channels
from core.pruning.structured_settings import PruneChannelsSettings

from .test_channels import Session

TAYLOR = PruneChannelsSettings(importance="taylor", examples=256)


class Branches(nn.Module):
    """Channels that are concatenated (the second branch's come after three others), grouped and flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(2, 3, 3, padding=1)
        self.right = nn.Conv2d(2, 5, 3, padding=1)
        self.both = nn.Conv2d(8, 6, 3, padding=1)
        self.grouped = nn.Conv2d(6, 4, 3, padding=1, groups=2)
        self.out = nn.Linear(4 * 9, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat((self.left(x).relu(), self.right(x).relu()), 1)
        x = self.grouped(self.both(x).relu()).relu()
        return self.out(functional.max_pool2d(x, 2).flatten(1))  # type: ignore[no-any-return]


def networks() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    torch.manual_seed(3)
    named = {
        name: (build_module(name), architecture_of(name).input_shape)
        for name in ("zoo:lenet-5", "zoo:conv-2")
    }
    return named | {"branches": (Branches(), (2, 6, 6))}


@pytest.mark.parametrize("name", ["zoo:lenet-5", "zoo:conv-2", "branches"])
def test_scores_are_the_derivatives_of_the_loss_by_channels_that_are_scaled(name: str) -> None:
    """ReLU passes a scale on, so that scaling what makes a channel is scaling the channel."""
    module, shape = networks()[name]
    module = module.double().eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, *shape, generator=generator, dtype=torch.float64)
    labels = torch.arange(4) % 3
    gates = input_gates(module, [(images, labels)], "cross-entropy")
    graph = ChannelGraph(module.float(), shape, (), gates)
    module.double()
    assert graph.groups
    checked = 0
    for group in graph.groups:
        if name == "branches" and group.root == "both":
            continue  # Feeds a grouped layer, whose stretches go together.
        root = module.get_submodule(group.root)
        for channel in range(min(group.width, 4)):
            losses = []
            for scale in (1 + 1e-5, 1 - 1e-5):
                with torch.no_grad():
                    root.weight[channel] *= scale
                    root.bias[channel] *= scale
                    losses.append(functional.cross_entropy(module(images), labels).item())
                    root.weight[channel] /= scale
                    root.bias[channel] /= scale
            slope = (losses[0] - losses[1]) / 2e-5
            assert group.scores[channel] == pytest.approx(slope**2, rel=1e-3, abs=1e-10)
            checked += slope != 0
    assert checked > 5


def test_inputs_of_grouped_layers_are_those_of_their_group() -> None:
    module, shape = networks()["branches"]
    images, labels = torch.randn(4, *shape), torch.arange(4) % 3
    gates = input_gates(module, [(images, labels), (images, labels)], "cross-entropy")
    assert {name: tuple(rows.shape) for name, rows in gates.items()} == {
        "left": (2, 2), "right": (2, 2), "both": (2, 8), "grouped": (2, 6), "out": (2, 36),
    }  # fmt: skip
    gate = torch.ones(1, 6, 1, 1, requires_grad=True)
    grouped = module.get_submodule("grouped")
    handle = grouped.register_forward_pre_hook(lambda _, inputs: (inputs[0] * gate,))
    functional.cross_entropy(module(images), labels).backward()
    handle.remove()
    assert gate.grad is not None
    np.testing.assert_allclose(gates["grouped"][0], gate.grad.flatten(), rtol=1e-4, atol=1e-7)


def test_what_is_frozen_stays_so_and_nothing_is_changed() -> None:
    module = build_module("zoo:lenet-300-100").requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    gates = input_gates(module, [(torch.randn(2, 1, 28, 28), torch.tensor([1, 2]))], "cross-entropy")
    assert gates["fc1"].abs().sum() > 0
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in module.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def accuracy_of(session: Session) -> float:
    (after,) = [
        event.measurement
        for event in session.events
        if isinstance(event, Measured) and event.stage == "after"
    ]
    assert after.accuracy is not None
    return after.accuracy.correct / after.accuracy.count


def test_without_training_more_is_left_than_by_norms(tmp_path: Path) -> None:
    found = {}
    for importance in ("taylor", "l2", "random"):
        settings = PruneChannelsSettings(importance=importance, scope="global", amount=0.4)  # type: ignore[arg-type]
        found[importance] = accuracy_of(Session(tmp_path / importance).run(settings))
    assert found["taylor"] > found["l2"]
    assert found["taylor"] > found["random"]


def test_without_data_one_sentence_says_so(tmp_path: Path) -> None:
    session = Session(tmp_path).run(TAYLOR, task=None)
    (failed,) = [event for event in session.events if isinstance(event, Failed)]
    assert failed.message == (
        "Step 1 ranks by the importance “taylor”, which needs data: choose a task, such as “digits”, or the importance "
        "“l2”."
    )


def test_the_plan_says_what_only_data_can_tell() -> None:
    source = parse_source("zoo:resnet20")
    uniform = plan_channels(source, TAYLOR)
    assert uniform.problem == ""
    assert uniform.going == plan_channels(source, PruneChannelsSettings()).going
    anywhere = plan_channels(SAMPLE, PruneChannelsSettings(importance="taylor", scope="global"))
    assert "once the step has seen data" in anywhere.problem
