"""The built-in networks are the papers' networks, and the same seed gives the same weights."""

import math

import pytest
import torch
from torch import nn

from core.models.layers import describe_module, prunable_modules
from core.models.modules import architecture_of, build_module
from core.models.source import ModelSource
from core.models.zoo import ZOO

# Parameters as computed by hand from the papers' descriptions, and as the papers round them.
PARAMETERS = {
    "lenet-1": (2_578, 2_578),
    "lenet-300-100": (266_610, 267e3),
    "lenet-5": (431_080, 431e3),
    "conv-2": (4_301_642, 4.3e6),
    "conv-4": (2_425_930, 2.4e6),
    # The lottery ticket paper prints 1.7 M; its own layer sizes (figure 2) give 2.26 M.
    "conv-6": (2_262_602, 2.26e6),
    "resnet20": (269_722, 0.27e6),
    "resnet32": (464_154, 0.46e6),
    "resnet44": (658_586, 0.66e6),
    "resnet56": (853_018, 0.85e6),
    "resnet110": (1_727_962, 1.7e6),
    "digits-cnn": (57_482, 57_482),
    # (784 + 1) · w + (w + 1) · w + (w + 1) · 10 for the width w; the distillation paper prints no number.
    "perceptron-800": (1_276_810, 1_276_810),
    "perceptron-1200": (2_395_210, 2_395_210),
}


@pytest.mark.parametrize("name", list(ZOO))
def test_parameters_are_those_of_the_papers(name: str) -> None:
    exact, published = PARAMETERS[name]
    module = build_module(f"zoo:{name}")
    assert sum(parameter.numel() for parameter in module.parameters()) == exact
    assert exact == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize("name", list(ZOO))
def test_networks_run_on_their_input_and_are_ready_for_use(name: str) -> None:
    entry = ZOO[name]
    module = build_module(f"zoo:{name}", num_classes=7, in_channels=2)
    assert not module.training
    scores = module(torch.randn(2, 2, *entry.input_shape[1:]))
    assert scores.shape == (2, 7)
    scores.sum().backward()
    assert all(parameter.dtype == torch.float32 for parameter in module.parameters())
    assert all(parameter.grad is not None for parameter in module.parameters())


@pytest.mark.parametrize(("name", "expected"), [("conv-2", 38e3), ("conv-4", 260e3), ("conv-6", 1.1e6)])
def test_convolution_weights_of_the_lottery_networks(name: str, expected: float) -> None:
    layers = prunable_modules(build_module(f"zoo:{name}"))
    weights = sum(layer.weight.numel() for layer in layers.values() if isinstance(layer, nn.Conv2d))
    assert weights == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("lenet-300-100", 266_200), ("lenet-5", 2_293_000), ("resnet20", 40_551_040), ("resnet56", 125_485_696)],
)
def test_multiply_accumulates_of_one_example(name: str, expected: int) -> None:
    # References: Caffe's LeNet 2.3 M; ResNet-20 41 M and ResNet-56 126 M (He et al. 2015, DepGraph).
    known = architecture_of(f"zoo:{name}")
    description = describe_module(
        build_module(f"zoo:{name}"),
        ModelSource("zoo", name),
        architecture=known.name,
        architecture_title=known.title,
        input_shape=known.input_shape,
    )
    assert sum(layer.macs or 0 for layer in description.layers) == expected


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    one = build_module("zoo:resnet20", seed=4).state_dict()
    same = build_module("zoo:resnet20", seed=4).state_dict()
    other = build_module("zoo:resnet20", seed=5).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["conv1.weight"], other["conv1.weight"])


def test_initial_weights_are_spread_as_the_papers_say() -> None:
    lenet = build_module("zoo:lenet-300-100")
    assert lenet.fc1.weight.std().item() == pytest.approx(math.sqrt(2 / (784 + 300)), rel=0.02)
    assert not lenet.fc1.bias.any()
    caffe = build_module("zoo:lenet-5")
    assert caffe.fc1.weight.abs().max().item() == pytest.approx(math.sqrt(3 / 800), rel=0.01)
    resnet = build_module("zoo:resnet56")
    weight = resnet.get_submodule("layer3.3.conv1").weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.02)
    assert bool((resnet.bn1.running_var == 1).all())


def test_shortcuts_of_option_a_have_no_parameters_and_pad_with_zeros() -> None:
    block = build_module("zoo:resnet20").layer2[0]
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    maps = torch.rand(1, 16, 8, 8)
    out = block(maps)
    assert out.shape == (1, 32, 4, 4)
    assert torch.equal(out[:, 8:24], maps[:, :, ::2, ::2])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()
