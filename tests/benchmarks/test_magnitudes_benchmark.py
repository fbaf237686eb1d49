"""Exact global magnitude masks for resnet50, beside torch's own, and another plan while the slider is dragged."""

import copy
from collections.abc import Callable

import numpy as np
import torch
import torchvision
from torch.nn.utils import prune

from core.pruning.magnitudes import MagnitudeIndex, mask_of, plan_magnitude
from core.steps import PruneSettings


def test_global_masks_of_resnet50(against: Callable[..., float]) -> None:
    model = torchvision.models.resnet50()
    prunable = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    }
    layers = [(name, module.weight.detach().numpy()) for name, module in prunable.items()]
    ours: dict[str, np.ndarray] = {}
    theirs: dict[str, np.ndarray] = {}

    def our_masks() -> None:
        plan = plan_magnitude(PruneSettings(sparsity=0.8), layers)
        ours.update((name, mask_of(weights, plan, name)) for name, weights in layers)

    def their_masks() -> None:
        fresh = copy.deepcopy(model)
        pairs = [(fresh.get_submodule(name), "weight") for name in prunable]
        prune.global_unstructured(pairs, prune.L1Unstructured, amount=0.8)
        theirs.update((name, fresh.get_submodule(name).weight_mask.numpy() != 0) for name in prunable)

    ratio = against("global masks, resnet50, 80 %", our_masks, "global_unstructured", their_masks, rounds=3)
    assert all(np.array_equal(ours[name], theirs[name]) for name in prunable)
    assert ratio < 1 / 20


def test_another_plan_of_resnet50_while_dragging(against: Callable[..., float]) -> None:
    model = torchvision.models.resnet50()
    weights = {
        name: module.weight.detach().numpy()
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    }
    index = MagnitudeIndex(list(weights), weights.__getitem__)
    places = iter(np.linspace(0.3, 0.9, 100))
    everything = [torch.from_numpy(array).view(-1) for array in weights.values()]

    def drag() -> None:
        index.plan(PruneSettings(sparsity=float(next(places))))

    def select_anew() -> None:
        magnitudes = torch.cat(everything).abs()
        torch.kthvalue(magnitudes, round(0.8 * magnitudes.numel()))

    against("another sparsity, resnet50", drag, "cat and kthvalue", select_anew, rounds=5)
