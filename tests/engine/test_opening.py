"""A source opens alike for inspection and for running, from wherever it comes."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import StudioError
from core.models.layers import describe_module, prunable_modules, weight_positions
from core.models.modules import build_module, load_module
from core.models.opening import open_model
from core.models.source import SAMPLE, ModelSource

from .checkpoint_files import save


def file_source(path: Path, architecture: str | None = None) -> ModelSource:
    """A file as a source."""
    return ModelSource("file", str(path), architecture=architecture)


def state_of(architecture: str, seed: int = 1) -> dict[str, Tensor]:
    """The tensors of a freshly initialised network."""
    return build_module(architecture, seed=seed).state_dict()


@pytest.mark.parametrize(
    "source",
    [
        SAMPLE,
        ModelSource("zoo", "conv-2", num_classes=3),
        ModelSource("zoo", "resnet20"),
        ModelSource("torchvision", "squeezenet1_1"),
        ModelSource("torchvision", "shufflenet_v2_x0_5", num_classes=5),
    ],
    ids=lambda source: source.to_text(),
)
def test_inspection_and_running_see_the_same_model(source: ModelSource) -> None:
    opened = open_model(source)
    loaded = load_module(source)
    assert opened.description.layers == loaded.description.layers
    assert opened.description.parameters == loaded.description.parameters
    assert opened.description.parameters == sum(p.numel() for p in loaded.module.parameters())
    assert list(prunable_modules(loaded.module)) == [layer.name for layer in opened.description.layers]
    for layer in opened.description.layers:
        weight = opened.weight(layer.name)
        assert weight.shape == layer.shape
        assert not weight.flags.writeable
        np.testing.assert_array_equal(weight, loaded.module.get_parameter(layer.weight_name).detach().numpy())
    scores = loaded.module(torch.zeros(1, *(loaded.description.input_shape or ())))
    assert scores.shape == (1, loaded.description.num_classes)


@pytest.mark.parametrize("architecture", ["zoo:resnet20", "zoo:lenet-5", "torchvision:mnasnet0_5"])
@pytest.mark.parametrize("file_format", ["safetensors", "zip", "legacy"])
def test_a_saved_network_reopens_recognised(tmp_path: Path, architecture: str, file_format: str) -> None:
    state = state_of(architecture)
    path = save(tmp_path / "m", dict(state), file_format)
    loaded = load_module(file_source(path))
    assert loaded.description.architecture == architecture
    assert loaded.description.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.description.file_bytes == path.stat().st_size
    assert not loaded.module.training
    assert all(torch.equal(value, state[name]) for name, value in loaded.module.state_dict().items())
    assert open_model(file_source(path)).description.layers == loaded.description.layers


def test_half_precision_becomes_float32_and_missing_counters_zero(tmp_path: Path) -> None:
    state = {
        name: value.half()
        for name, value in state_of("zoo:resnet20").items()
        if not name.endswith("num_batches_tracked")
    }
    path = save(tmp_path / "half.pt", state, "zip")
    assert {layer.dtype for layer in open_model(file_source(path)).description.layers} == {"F16"}
    loaded = load_module(file_source(path))
    assert {layer.dtype for layer in loaded.description.layers} == {"F32"}
    assert torch.equal(loaded.module.get_parameter("conv1.weight"), state["conv1.weight"].float())
    assert loaded.module.get_buffer("bn1.num_batches_tracked").item() == 0
    assert loaded.module.get_parameter("conv1.weight").requires_grad


def test_other_channels_and_classes_are_built(tmp_path: Path) -> None:
    state = build_module("torchvision:resnet18", 4, in_channels=1).state_dict()
    loaded = load_module(file_source(save(tmp_path / "m", dict(state), "zip")))
    assert loaded.description.input_shape == (1, 224, 224)
    assert loaded.module(torch.zeros(1, 1, 64, 64)).shape == (1, 4)


def test_values_that_are_not_finite_are_a_note_not_an_error(tmp_path: Path) -> None:
    state = dict(state_of("zoo:lenet-5"))
    state["fc1.weight"][0, 0] = float("nan")
    state["fc2.bias"][1] = float("inf")
    path = save(tmp_path / "m.safetensors", state, "safetensors")
    assert np.isnan(open_model(file_source(path)).weight("fc1")).sum() == 1
    notes = load_module(file_source(path)).description.notes
    assert any("2 tensors hold values that are not finite" in note for note in notes)


def test_an_unknown_network_opens_for_inspection_and_says_why_it_cannot_run(tmp_path: Path) -> None:
    state = dict(state_of("zoo:resnet20"))
    state["fc.weight"] = state.pop("linear.weight")
    path = save(tmp_path / "other.pth", state, "zip")
    opened = open_model(file_source(path))
    assert opened.description.architecture is None
    assert any("looks like CIFAR ResNet-20" in note for note in opened.description.notes)
    assert opened.weight("layer1.0.conv1").shape == (16, 16, 3, 3)
    with pytest.raises(StudioError, match=r"other\.pth can be inspected but not run"):
        load_module(file_source(path))


def test_a_chosen_architecture_must_fit(tmp_path: Path) -> None:
    path = save(tmp_path / "m.pt", dict(state_of("zoo:lenet-5")), "zip")
    assert open_model(file_source(path, "zoo:lenet-5")).description.architecture == "zoo:lenet-5"
    with pytest.raises(StudioError, match=r"m\.pt does not fit LeNet-300-100.*missing"):
        open_model(file_source(path, "zoo:lenet-300-100"))
    with pytest.raises(StudioError, match="no architecture “zoo:lenet-7”"):
        load_module(file_source(path, "zoo:lenet-7"))


def test_what_a_file_says_of_itself_is_only_a_hint(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "m.safetensors"
    save_file(dict(state_of("zoo:lenet-5")), path, metadata={"architecture": "zoo:resnet20"})
    assert open_model(file_source(path)).description.architecture == "zoo:lenet-5"


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ("zoo:resnet21", "did you mean .*resnet20"),
        ("torchvision:resnet-18", "did you mean resnet18"),
        ("torchvision:maskrcnn_resnet50_fpn", "no torchvision classification model"),
        ("zoo:!", "choose one of"),
        ("resnet18", "zoo:NAME"),
    ],
)
def test_unknown_names_get_the_nearest_ones(architecture: str, expected: str) -> None:
    with pytest.raises(StudioError, match=expected):
        build_module(architecture)


def test_published_weights_that_cannot_be_had_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> Mapping[str, object]:
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    with pytest.raises(StudioError, match="resnet18 could not be downloaded"):
        load_module(ModelSource("torchvision", "resnet18", weights="DEFAULT"))
    with pytest.raises(StudioError, match="use IMAGENET1K_V1, DEFAULT"):
        build_module("torchvision:resnet18", weights="IMAGENET99")
    with pytest.raises(StudioError, match="1000 classes apart, not 10"):
        build_module("torchvision:resnet18", 10, "DEFAULT")
    with pytest.raises(StudioError, match="no published weights"):
        build_module("zoo:lenet-5", weights="DEFAULT")


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_with_auxiliary_outputs_give_one_output(name: str) -> None:
    module = build_module(f"torchvision:{name}", 3, initial_values=False)
    with torch.device("meta"):
        example = torch.zeros(2, 3, 299, 299)
    state = {key: value.to("meta") for key, value in module.state_dict().items()}
    module.train()
    assert torch.func.functional_call(module, state, (example,)).shape == (2, 3)


def test_torchvision_weights_depend_on_the_seed_alone() -> None:
    before = torch.get_rng_state()
    torch.manual_seed(99)
    one = state_of("torchvision:mobilenet_v3_small", seed=1)
    torch.manual_seed(5)
    same = state_of("torchvision:mobilenet_v3_small", seed=1)
    other = state_of("torchvision:mobilenet_v3_small", seed=2)
    torch.set_rng_state(before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["classifier.3.weight"], other["classifier.3.weight"])


def test_giving_up_is_possible_while_a_file_is_read(tmp_path: Path) -> None:
    class GivenUpError(Exception):
        pass

    def check() -> None:
        raise GivenUpError

    path = save(tmp_path / "m.pt", dict(state_of("zoo:lenet-5")), "zip")
    with pytest.raises(GivenUpError):
        open_model(file_source(path), check)
    with pytest.raises(GivenUpError):
        load_module(file_source(path), check=check)


def test_positions_count_every_use_of_a_weight_and_leave_the_module_alone() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            self.up = nn.ConvTranspose2d(3, 2, 2, stride=2)
            self.unused = nn.Linear(2, 2)
            self.tied = nn.Linear(32 * 32, 4)
            self.tied_again = nn.Linear(32 * 32, 4)
            self.tied_again.weight = self.tied.weight

        def forward(self, x: Tensor) -> Tensor:
            x = self.up(self.conv(self.conv(x))).flatten(2)
            return self.tied(x) + self.tied_again(x)

    module = Twice().train()
    module.conv.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert weight_positions(module, (3, 16, 16)) == {"conv": 2 * 256, "up": 256, "tied": 4}
    assert module.training
    assert not module.conv.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    description = describe_module(
        module, SAMPLE, architecture=None, architecture_title="", input_shape=(3, 16, 16)
    )
    assert [layer.name for layer in description.layers] == ["conv", "up", "unused", "tied"]
    assert description.layer("unused").positions is None
    assert weight_positions(module, (5, 16, 16)) == {}


def test_the_real_checkpoint_is_recognised(real_data: Path) -> None:
    source = file_source(real_data / "checkpoints" / "resnet20-12fca82f.th")
    description = open_model(source).description
    assert (description.architecture, description.architecture_title) == ("zoo:resnet20", "CIFAR ResNet-20")
    assert (description.num_classes, description.input_shape) == (10, (3, 32, 32))
    assert (description.parameters, description.weights) == (269_722, 268_336)
    assert (description.sha256 or "").startswith("12fca82f")
    loaded = load_module(source)
    assert loaded.description.layers == description.layers
    assert sum(layer.macs or 0 for layer in loaded.description.layers) == 40_551_040
    expected = torch.load(source.name, map_location="cpu", weights_only=True)["state_dict"]
    for name, tensor in expected.items():
        assert torch.equal(loaded.module.state_dict()[name.removeprefix("module.")], tensor)
