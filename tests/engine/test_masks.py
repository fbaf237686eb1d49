"""Holding removed weights at zero, by the compiled loop and without it."""

import copy

import pytest
import torch
from torch import nn

from core.analysis import acceleration
from core.pruning.masks import MaskHolder, Masks


@pytest.fixture(params=["compiled", "torch"])
def way(request: pytest.FixtureRequest) -> str:
    if request.param == "compiled" and not acceleration.load():
        pytest.skip("numba is not there")
    return str(request.param)


def _holder(way: str, module: nn.Module, masks: Masks) -> MaskHolder:
    if way == "compiled":
        return MaskHolder(module, masks)
    with acceleration.numpy_only(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(acceleration, "load_compiled", lambda: False)
        return MaskHolder(module, masks)


def _network() -> tuple[nn.Module, Masks]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(30, 17), nn.ReLU(), nn.Linear(17, 5))
    # Kept in another order in memory, as channels-last networks are.
    module.add_module("odd", nn.Linear(5, 5))
    module.odd.weight = nn.Parameter(torch.randn(5, 5).t())
    names = ("0.weight", "2.weight", "odd.weight")
    return module, Masks({name: torch.rand_like(module.get_parameter(name)) > 0.7 for name in names})


def test_removed_weights_are_zero_and_the_others_untouched(way: str) -> None:
    module, masks = _network()
    before = copy.deepcopy(module.state_dict())
    _holder(way, module, masks).hold()
    for name, tensor in module.state_dict().items():
        mask = masks[name] if name in masks else torch.ones_like(tensor, dtype=torch.bool)
        assert torch.equal(tensor, torch.where(mask, before[name], 0.0)), name


def test_updates_of_an_optimizer_are_seen_and_undone(way: str) -> None:
    module, masks = _network()
    masks.zero_removed(module)
    holder = _holder(way, module, masks)
    optimizer = torch.optim.Adam(module.parameters(), 0.1)
    for _ in range(5):
        optimizer.zero_grad()
        module(torch.randn(8, 30)).square().mean().backward()
        optimizer.step()
        holder.hold()
        for name in masks:
            weight = module.get_parameter(name)
            assert torch.count_nonzero(weight[~masks[name]]) == 0
            assert torch.count_nonzero(weight[masks[name]]) == masks[name].sum()


def test_a_removed_weight_that_became_nan_is_zero_again() -> None:
    if not acceleration.load():
        pytest.skip("numba is not there")
    module, masks = _network()
    with torch.no_grad():
        module.get_parameter("0.weight").fill_(torch.nan)
    _holder("compiled", module, masks).hold()
    weight = module.get_parameter("0.weight")
    assert (weight[~masks["0.weight"]] == 0).all()
    assert weight[masks["0.weight"]].isnan().all()
