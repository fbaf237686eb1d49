"""Removing channels: the smaller network computes what is left, costs what was asked for, reopens, and says why not."""

import copy
import json
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from core import pipeline
from core.data.spec import TaskSpec
from core.errors import StudioError
from core.events import Failed, Finished, Interrupted, Measured, Notice, Progress, StepStarted
from core.export.packed_file import save_packed
from core.export.safetensors_file import metadata_of, save_tensors
from core.job import JobContext
from core.measurement.cost import count_macs
from core.models.layers import weight_positions
from core.models.modules import architecture_of, build_module
from core.models.opening import load_module, open_model
from core.models.resizing import resize_module
from core.models.source import SAMPLE, ModelSource
from core.pruning.channel_graph import ChannelGraph, unprunable_reasons
from core.pruning.channel_selection import ChannelGroup, choose_channels, smallest_ratio
from core.pruning.structured import choose, cut_module
from core.pruning.structured_settings import PruneChannelsSettings
from core.recipe import Recipe, recipe_from_json
from core.request import RunRequest
from core.steps import FineTuneSettings, PruneSettings, StepSettings
from core.steps_flow import RewindSettings

CPU = torch.device("cpu")
HALF = PruneChannelsSettings()

# -- choosing


def group_of(scores: list[float], repeats: int = 1) -> ChannelGroup:
    return ChannelGroup("root", ("root",), np.array(scores, np.float64), repeats, ())


def test_uniform_takes_the_lowest_of_each_group_and_global_the_lowest_of_all() -> None:
    groups = [group_of([4, 1, 3, 2]), group_of([10, 20, 30, 40])]
    assert [list(gone) for gone in choose_channels(groups, 0.5, "uniform", 1)] == [[1, 3], [0, 1]]
    assert [list(gone) for gone in choose_channels(groups, 0.5, "global", 1)] == [[1, 2, 3], []]


def test_stretches_lose_the_same_positions() -> None:
    (gone,) = choose_channels([group_of([1, 5, 9, 2, 9, 1], repeats=2)], 0.4, "uniform", 1)
    assert list(gone) == [0, 2, 3, 5]
    (gone,) = choose_channels([group_of([1, 5, 9, 2, 9, 1], repeats=2)], 0.2, "uniform", 1)
    assert list(gone) == [0, 3]


@given(
    widths=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    ratio=st.floats(0, 1),
    round_to=st.integers(1, 16),
    scope=st.sampled_from(("uniform", "global")),
)
def test_something_always_stays_in_multiples_where_there_is_room(
    widths: list[int], ratio: float, round_to: int, scope: str
) -> None:
    groups = [group_of(list(np.random.default_rng(w).random(w))) for w in widths]
    for group, gone in zip(groups, choose_channels(groups, ratio, scope, round_to)):  # type: ignore[arg-type]
        kept = group.width - gone.size
        assert kept >= 1
        assert kept == group.width or kept % round_to == 0
        assert len(set(gone.tolist())) == gone.size


def test_the_smallest_ratio_is_found() -> None:
    assert smallest_ratio(lambda ratio: ratio >= 0.3) == pytest.approx(0.3)
    assert smallest_ratio(lambda ratio: False) is None
    assert smallest_ratio(lambda ratio: True) == pytest.approx(0)


# -- cutting


def pruned(module: nn.Module, shape: tuple[int, ...], settings: PruneChannelsSettings = HALF) -> nn.Module:
    graph = ChannelGraph(module, shape, settings.exclude, settings.importance)
    gone = choose(graph, settings, weight_positions(module, shape))
    return cut_module(module, graph.cut(gone), "model")


def lively(module: nn.Module) -> nn.Module:
    """Give normalisation statistics that differ from channel to channel, so that mixed-up channels show."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for child in module.modules():
            if isinstance(child, nn.BatchNorm2d):
                for tensor in (child.weight, child.bias, child.running_var):
                    tensor.uniform_(0.5, 1.5, generator=generator)
                child.running_mean.normal_(generator=generator)
    return module.eval()


def silenced(module: nn.Module, kept: dict[str, torch.Tensor]) -> nn.Module:
    """The network with every weight that reads a removed channel set to zero: what the smaller one must compute."""
    quiet = copy.deepcopy(module)
    for name, child in quiet.named_modules():
        if isinstance(child, nn.Linear) or (isinstance(child, nn.Conv2d) and child.groups == 1):
            inputs = child.weight.shape[1]
            read = (kept[f"{name}.weight"].long() // child.weight[0, 0].numel()) % inputs
            silent = torch.ones(inputs, dtype=torch.bool)
            silent[read.unique()] = False
            with torch.no_grad():
                child.weight[:, silent] = 0
    return quiet


ARCHITECTURES = [
    "zoo:digits-cnn",
    "zoo:lenet-300-100",
    "zoo:lenet-5",
    "zoo:conv-2",
    "zoo:resnet20",
    "torchvision:resnet18",
    "torchvision:mobilenet_v2",
    "torchvision:squeezenet1_1",
    "torchvision:efficientnet_b0",
]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_half_of_the_macs_go_and_the_file_reopens_the_same(architecture: str, tmp_path: Path) -> None:
    """The smaller network equals the whole one whose removed channels are not read; its file rebuilds it."""
    shape = architecture_of(architecture).input_shape
    if architecture.startswith("torchvision"):
        shape = (3, 64, 64)
    classes = architecture_of(architecture).num_classes
    module = lively(build_module(architecture))
    graph = ChannelGraph(module, shape)
    positions = weight_positions(module, shape)
    gone = choose(graph, HALF, positions)
    planned = graph.macs(positions), graph.macs(positions, gone)
    kept = graph.cut(gone)
    smaller = cut_module(module, kept, "model")
    before, after = count_macs(module, shape, CPU), count_macs(smaller, shape, CPU)
    assert planned == (before, after)
    assert 0.44 * before < after <= 0.5 * before
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        outputs = smaller(images)
        torch.testing.assert_close(outputs, silenced(module, kept)(images), rtol=1e-3, atol=1e-4)

    path = tmp_path / "smaller.safetensors"
    description = load_module(ModelSource(*architecture.split(":"))).description
    metadata = metadata_of(replace(description, channels_removed=True))
    save_tensors(smaller.state_dict(), path, metadata)
    source = ModelSource("file", str(path))
    opened = open_model(source)
    assert opened.description.architecture == architecture
    assert opened.description.channels_removed
    assert opened.description.num_classes == classes
    assert metadata_of(opened.description) == metadata
    loaded = load_module(source)
    assert [layer.shape for layer in loaded.description.layers] == [
        tuple(smaller.get_submodule(layer.name).weight.shape) for layer in description.layers
    ]
    usual = description.input_shape
    assert usual is not None
    assert sum(layer.macs or 0 for layer in opened.description.layers) == count_macs(smaller, usual, CPU)
    with torch.inference_mode():
        assert torch.equal(loaded.module(images), outputs)


@pytest.mark.parametrize(
    "architecture",
    ["densenet121", "mobilenet_v3_small", "resnext50_32x4d", "regnet_y_400mf", "convnext_tiny"],
)
def test_other_torchvision_networks_lose_half_of_their_macs(architecture: str) -> None:
    module = build_module(f"torchvision:{architecture}")
    shape = (3, 64, 64)
    smaller = pruned(module, shape)
    assert count_macs(smaller, shape, CPU) <= 0.5 * count_macs(module, shape, CPU)
    names = {name: tuple(tensor.shape) for name, tensor in smaller.state_dict().items()}
    again = build_module(f"torchvision:{architecture}", initial_values=False)
    resize_module(again, names, "model")
    again.load_state_dict(smaller.state_dict(), assign=True)
    images = torch.randn(1, *shape)
    with torch.inference_mode():
        assert torch.equal(again.eval()(images), smaller.eval()(images))


def small_vit() -> nn.Module:
    from torchvision.models.vision_transformer import VisionTransformer

    torch.manual_seed(0)
    return VisionTransformer(32, 8, 2, 4, 48, 96, num_classes=10).eval()


def test_heads_of_attention_stay_equally_wide() -> None:
    module = small_vit()
    smaller = pruned(module, (3, 32, 32))
    macs = [count_macs(each, (3, 32, 32), CPU) for each in (smaller, module)]
    assert 0.4 < macs[0] / macs[1] <= 0.51
    attention = smaller.get_submodule("encoder.layers.encoder_layer_0.self_attention")
    assert isinstance(attention, nn.MultiheadAttention)
    assert attention.num_heads == 4
    assert attention.embed_dim % 4 == 0
    assert attention.embed_dim < 48


@pytest.mark.parametrize("architecture", ["zoo:conv-2", "torchvision:resnet18", "torchvision:mobilenet_v2"])
def test_as_many_macs_go_as_with_plain_torch_pruning(architecture: str) -> None:
    import torch_pruning as tp

    shape = (3, 32, 32)
    module = build_module(architecture)
    settings = PruneChannelsSettings(amount=0.5, of="channels")
    smaller = pruned(module, shape, settings)
    theirs = copy.deepcopy(module)
    last = [child for child in theirs.modules() if isinstance(child, nn.Linear)][-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tp.pruner.BasePruner(
            theirs,
            torch.zeros(1, *shape),
            importance=tp.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=0.5,
            ignored_layers=[last],
            in_channel_groups={},
            out_channel_groups={},
        ).step()
    assert count_macs(smaller, shape, CPU) == count_macs(theirs, shape, CPU)
    images = torch.randn(1, *shape)
    with torch.inference_mode():
        torch.testing.assert_close(smaller(images), theirs.eval()(images))


def test_round_to_excluded_layers_and_the_scope_are_heeded() -> None:
    module = build_module("zoo:conv-4")
    smaller = pruned(module, (3, 32, 32), PruneChannelsSettings(round_to=8, exclude=("conv2", "fc*")))
    widths = {name: child.weight.shape[0] for name, child in smaller.named_children()}
    assert widths["conv2"] == 64
    assert (widths["fc1"], widths["fc2"], widths["fc3"]) == (256, 256, 10)
    assert all(widths[f"conv{i}"] % 8 == 0 for i in (1, 3, 4))
    assert widths["conv3"] < 128
    with torch.no_grad():
        module.get_submodule("conv4").weight[::2] = 0
        module.get_submodule("fc1").weight.view(256, 128, 64)[:, ::2] = 0
    settings = PruneChannelsSettings(amount=64 / 896, of="channels", scope="global")
    smaller = pruned(module, (3, 32, 32), settings)
    widths = {name: child.weight.shape[0] for name, child in smaller.named_children()}
    assert widths == {"conv1": 64, "conv2": 64, "conv3": 128, "conv4": 64, "fc1": 256, "fc2": 256, "fc3": 10}


def test_random_is_fixed_by_its_seed() -> None:
    module = build_module("zoo:lenet-5")
    scores = [ChannelGraph(module, (1, 28, 28), (), "random", seed).groups[0].scores for seed in (1, 1, 2)]
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


# -- saying why not


def test_layers_say_why_they_cannot_lose_channels() -> None:
    reasons = unprunable_reasons(build_module("zoo:resnet20"), (3, 32, 32))
    assert reasons["linear"] == "its outputs are the network's own"
    assert "shortcuts that pad with zeros" in reasons["layer1.0.conv2"]
    assert "shortcuts" in reasons["conv1"]
    assert "layer1.0.conv1" not in reasons
    graph = ChannelGraph(build_module("torchvision:resnet18"), (3, 64, 64), ("layer2.0.conv2",))
    assert "layer2.0.conv2 is left alone" in graph.reasons["layer2.1.conv2"]


@pytest.mark.parametrize(
    ("architecture", "words"), [("swin_t", "shifted windows"), ("shufflenet_v2_x0_5", "shuffles")]
)
def test_networks_that_cannot_be_traced_are_refused_at_once(architecture: str, words: str) -> None:
    with pytest.raises(StudioError, match=words):
        unprunable_reasons(build_module(f"torchvision:{architecture}", initial_values=False), (3, 64, 64))


class Obstinate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.only(x.flatten(1))  # type: ignore[no-any-return]


def test_what_cannot_be_done_is_said_and_nothing_is_changed() -> None:
    module = Obstinate()
    graph = ChannelGraph(module, (1, 2, 2))
    with pytest.raises(StudioError, match=r"No layer .*only, its outputs are the network's own"):
        choose(graph, HALF, weight_positions(module, (1, 2, 2)))
    resnet = build_module("zoo:resnet20")
    with pytest.raises(StudioError, match=r"At most 9\d.* not 99\.90 %"):
        pruned(resnet, (3, 32, 32), PruneChannelsSettings(amount=0.999))
    with pytest.raises(StudioError, match="takes none away"):
        pruned(resnet, (3, 32, 32), PruneChannelsSettings(amount=0.01, of="channels", round_to=16))


@pytest.mark.parametrize("amount", [0, 1, 1.5, -0.1])
def test_amounts_outside_are_refused(amount: float) -> None:
    text = json.dumps({"steps": [{"step": "prune-channels", "amount": amount}]})
    with pytest.raises(StudioError, match=r"step 1.*amount"):
        recipe_from_json(text, "r.json")


# -- whole runs


class Session(JobContext):
    def __init__(self, folder: Path, *, on: type | None = None, resume: bool = False) -> None:
        self.events: list[object] = []
        self._on = on
        super().__init__("run", self._note, folder, resume=resume)

    def _note(self, event: object) -> None:
        self.events.append(event)
        if self._on is not None and isinstance(event, self._on):
            self.request_interrupt()

    def run(self, *steps: StepSettings, **more: object) -> "Session":
        request = RunRequest(
            Recipe(steps=steps), SAMPLE, TaskSpec("digits"), threads=1, device="cpu", measure_latency=False
        )
        pipeline.run(replace(request, **more), self)  # type: ignore[arg-type]
        return self


TUNE = FineTuneSettings(epochs=2)


def test_a_run_makes_the_sample_smaller_and_its_files_reopen(tmp_path: Path) -> None:
    session = Session(tmp_path).run(PruneSettings(sparsity=0.5), HALF, TUNE)
    assert isinstance(session.events[-1], Finished)
    before, after = (
        [e.measurement for e in session.events if isinstance(e, Measured) and e.stage == stage][-1]
        for stage in ("before", "after")
    )
    assert before.macs is not None
    assert after.macs is not None
    assert after.macs <= 0.5 * before.macs
    assert after.dense_bytes < before.dense_bytes
    assert after.parameters < before.parameters
    # Weights that were zero before stay zero in what is left.
    assert 0.3 < after.sparsity < 0.6
    assert any("removed" in e.text for e in session.events if isinstance(e, Notice))
    for name in ("model.safetensors", "model.packed"):
        source = ModelSource("file", str(tmp_path / name))
        assert open_model(source).description.channels_removed
        again = Session(tmp_path / name.replace(".", "-")).run(source=source)
        found = [e.measurement for e in again.events if isinstance(e, Measured)][-1]
        assert found.accuracy == after.accuracy
        assert found.macs == after.macs
    # What was cut once can be cut again.
    twice = Session(tmp_path / "twice").run(
        HALF, source=ModelSource("file", str(tmp_path / "model.safetensors"))
    )
    last = [e.measurement for e in twice.events if isinstance(e, Measured)][-1]
    assert last.macs is not None
    assert last.macs <= 0.5 * after.macs


def test_an_interrupted_run_goes_on_with_the_smaller_network(tmp_path: Path) -> None:
    steps = (PruneSettings(sparsity=0.3), HALF, TUNE, RewindSettings(to="initial"), TUNE)
    whole = Session(tmp_path / "whole").run(*steps)
    assert isinstance(whole.events[-1], Finished), whole.events[-1]
    for _ in range(60):
        session = Session(
            tmp_path / "parts", on=Progress, resume=(tmp_path / "parts" / "checkpoint.pt").exists()
        ).run(*steps)
        if isinstance(session.events[-1], Finished):
            break
        assert isinstance(session.events[-1], Interrupted), session.events[-1]
    else:
        Session(tmp_path / "parts", resume=True).run(*steps)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]


def test_a_failing_step_leaves_the_run_failed_and_no_file(tmp_path: Path) -> None:
    session = Session(tmp_path).run(PruneChannelsSettings(amount=0.9999))
    assert isinstance(session.events[-1], Failed)
    assert not session.events[-1].bug
    assert any(isinstance(e, StepStarted) for e in session.events)
    assert not (tmp_path / "model.safetensors").exists()


# -- files that lie


Cut = tuple[dict[str, torch.Tensor], dict[str, str]]


@cache
def _cut_sample() -> Cut:
    loaded = load_module(SAMPLE)
    smaller = pruned(loaded.module, (1, 8, 8))
    return smaller.state_dict(), metadata_of(replace(loaded.description, channels_removed=True))


def cut_sample() -> Cut:
    """The sample without some of its channels: tensors and metadata, for the caller to change."""
    tensors, metadata = _cut_sample()
    return dict(tensors), dict(metadata)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("conv2.weight", lambda t: t[:, :-1]),
        ("conv2.bias", lambda t: t[:-1]),
        ("fc1.weight", lambda t: t[:, :-4]),
        ("conv1.weight", lambda t: t[..., :2]),
        ("fc2.weight", lambda t: torch.cat([t, t], 1)),
        ("conv3.weight", lambda t: t[0]),
    ],
)
def test_widths_that_do_not_fit_each_other_are_refused(name: str, change: object, tmp_path: Path) -> None:
    tensors, metadata = cut_sample()
    tensors[name] = change(tensors[name])  # type: ignore[operator]
    path = tmp_path / "wrong.packed"
    save_packed(tensors, path, metadata)
    with pytest.raises(StudioError, match=r"wrong\.packed"):
        load_module(ModelSource("file", str(path)))
    # It can still be looked at.
    assert open_model(ModelSource("file", str(path))).tensor_names


def test_narrower_tensors_without_the_word_for_it_are_not_taken_for_the_network(tmp_path: Path) -> None:
    tensors, metadata = cut_sample()
    del metadata["channels"]
    path = tmp_path / "m.safetensors"
    save_tensors(tensors, path, metadata)
    assert open_model(ModelSource("file", str(path))).description.architecture is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 3), st.integers(0, 20)), min_size=1, max_size=3))
def test_any_widths_are_refused_or_run(tmp_path: Path, changes: list[tuple[int, int, int]]) -> None:
    # Not a fixture: hypothesis would print all of its tensors.
    tensors, metadata = cut_sample()
    names = sorted(tensors)
    for index, axis, size in changes:
        name = names[index % len(names)]
        shape = list(tensors[name].shape)
        shape[axis % len(shape)] = size
        tensors[name] = torch.zeros(shape)
    path = tmp_path / "fuzzed.packed"
    save_packed(tensors, path, metadata)
    refusal = ""
    try:
        loaded = load_module(ModelSource("file", str(path)))
        # A first layer of another width makes a network for other images, and the description says which.
        assert loaded.description.input_shape is not None
        example = torch.zeros(1, *loaded.description.input_shape)
        assert loaded.module(example).shape == (1, loaded.description.num_classes)
    except StudioError as error:
        refusal = error.message
    assert not refusal or "fuzzed.packed" in refusal
