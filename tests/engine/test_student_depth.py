"""Shallower students: the nearest relative of a family, its weights, and what has no relatives."""

from pathlib import Path

import pytest
import torch

from core.distillation.depth import FAMILIES, layers_of, shallower
from core.distillation.settings import StudentSettings
from core.distillation.student import take_student
from core.errors import StudioError
from core.models.modules import architecture_of
from core.models.opening import load_module
from core.models.source import SAMPLE, parse_source
from core.recipe import Recipe
from core.request import RunRequest
from core.run_state import RunState

from .toys import Watcher


def state_of(source: str, settings: StudentSettings) -> RunState:
    loaded = load_module(parse_source(source))
    request = RunRequest(Recipe(steps=(settings,)), parse_source(source), None)
    return RunState(request, loaded.module.eval(), loaded.description, None, torch.device("cpu"))


def test_all_members_exist_and_stand_in_order() -> None:
    for family in FAMILIES:
        depths = [layers_of(member) for member in family]
        assert depths == sorted(set(depths))
        for member in family:
            assert architecture_of(member).title


@pytest.mark.parametrize(
    ("architecture", "depth", "expected"),
    [
        ("zoo:resnet56", 0.5, "zoo:resnet32"),
        ("zoo:resnet56", 0.3, "zoo:resnet20"),
        ("zoo:resnet110", 0.9, "zoo:resnet56"),
        ("torchvision:resnet34", 0.5, "torchvision:resnet18"),
        ("torchvision:vgg16_bn@DEFAULT", 0.8, "torchvision:vgg13_bn"),
    ],
)
def test_the_nearest_relative_is_taken(architecture: str, depth: float, expected: str) -> None:
    assert shallower(architecture, depth) == expected


@pytest.mark.parametrize("architecture", ["zoo:resnet20", "zoo:lenet-5", ""])
def test_networks_without_relatives_are_told(architecture: str) -> None:
    with pytest.raises(StudioError, match="no shallower network"):
        shallower(architecture, 0.5)


def test_a_shallow_copy_keeps_the_blocks_of_the_same_names(tmp_path: Path) -> None:
    settings = StudentSettings(depth=0.6, width=1.0, weights="inherited")
    state = state_of("zoo:resnet32", settings)
    before = {name: tensor.clone() for name, tensor in state.module.state_dict().items()}
    take_student(settings, state, Watcher(tmp_path))
    assert state.description.architecture == "zoo:resnet20"
    assert len(state.description.layers) == 20
    for name, tensor in state.module.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_depth_and_width_go_together(tmp_path: Path) -> None:
    settings = StudentSettings(depth=0.6, width=0.5)
    state = state_of("zoo:resnet32", settings)
    whole = state.description.parameters
    take_student(settings, state, Watcher(tmp_path))
    assert state.description.channels_removed
    assert state.description.parameters < whole / 3
    assert state.module(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_a_sample_without_relatives_is_refused(tmp_path: Path) -> None:
    settings = StudentSettings(depth=0.5)
    loaded = load_module(SAMPLE)
    request = RunRequest(Recipe(steps=(settings,)), SAMPLE, None)
    state = RunState(request, loaded.module.eval(), loaded.description, None, torch.device("cpu"))
    with pytest.raises(StudioError, match="no shallower network"):
        take_student(settings, state, Watcher(tmp_path))
