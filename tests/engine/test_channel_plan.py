"""The plan of structured pruning is what the step then does, and says why layers stay."""

import pytest
import torch

from core.measurement.cost import count_macs
from core.models.layers import prunable_modules
from core.models.opening import load_module
from core.models.source import SAMPLE, parse_source
from core.pruning.channel_plan import plan_channels
from core.pruning.structured_settings import PruneChannelsSettings

from .test_channels import pruned


@pytest.mark.parametrize("scope", ["uniform", "global"])
def test_each_layer_then_has_what_the_plan_leaves_it(scope: str) -> None:
    settings = PruneChannelsSettings(scope=scope)  # type: ignore[arg-type]
    source = parse_source("zoo:resnet20")
    plan = plan_channels(source, settings)
    loaded = load_module(source)
    shape = loaded.description.input_shape
    assert shape is not None
    smaller = pruned(loaded.module, shape, settings)
    layers = prunable_modules(smaller)
    assert plan.problem == ""
    assert set(plan.going) | set(plan.reasons) == set(layers)
    assert sum(plan.going.values()) > 0
    for name, layer in layers.items():
        width = layer.out_channels if isinstance(layer, torch.nn.Conv2d) else layer.out_features
        assert width == plan.outputs[name] - plan.going.get(name, 0), name
    assert plan.macs_after == count_macs(smaller, shape, torch.device("cpu"))
    assert plan.macs_after <= plan.macs_before / 2
    assert "shortcuts" in plan.reasons["conv1"]
    assert "own" in plan.reasons["linear"]


def test_an_amount_out_of_reach_is_told_with_the_reasons() -> None:
    plan = plan_channels(SAMPLE, PruneChannelsSettings(amount=0.9999))
    assert "lower the amount" in plan.problem
    assert set(plan.going.values()) == {0}
    plan = plan_channels(SAMPLE, PruneChannelsSettings(exclude=("*",)))
    assert "No layer of this network can lose channels" in plan.problem
    assert set(plan.reasons) == set(plan.outputs)


def test_a_network_that_cannot_be_traced_is_told() -> None:
    plan = plan_channels(parse_source("torchvision:shufflenet_v2_x0_5"), PruneChannelsSettings())
    assert "shuffles" in plan.problem
    assert plan.outputs
