"""Networks are known again from names and shapes, near misses are explained, and the table says what torch says."""

import json
from pathlib import Path

import pytest

from core.models.description import TensorInfo
from core.models.guessing import guessed_layers
from core.models.modules import torchvision_names
from core.models.recognise import (
    SIGNATURES,
    Shape,
    _library,
    near_miss,
    packed_signatures,
    recognise,
    signature_from_json,
)
from core.models.signatures import known_architectures, signature_of
from core.models.zoo import ZOO
from resources import RESOURCES


def shapes_of(architecture: str) -> dict[str, Shape]:
    """The tensors of a known network."""
    return dict(_library().signature(architecture).tensors)


def test_every_known_network_is_recognised_as_itself() -> None:
    assert _library().architectures == known_architectures()
    for architecture in known_architectures():
        found = recognise(shapes_of(architecture))
        assert found is not None
        assert found.architecture == architecture
        assert all(layer.positions is not None for layer in found.layers)
        assert all(len(layer.shape) > 1 for layer in found.layers)


def test_the_table_is_small_and_covers_zoo_and_torchvision() -> None:
    assert (RESOURCES / SIGNATURES).stat().st_size < 200_000
    assert len(known_architectures()) == len(ZOO) + len(torchvision_names())


@pytest.mark.parametrize(
    "architecture",
    [
        "zoo:lenet-5",
        "zoo:resnet20",
        "torchvision:resnet18",
        "torchvision:squeezenet1_1",
        "torchvision:googlenet",
        "torchvision:regnet_y_400mf",
        "torchvision:swin_t",
        "torchvision:vit_b_32",
    ],
)
def test_the_table_says_what_the_networks_are(architecture: str) -> None:
    assert _library().signature(architecture) == signature_of(architecture)


def test_the_file_of_signatures_is_the_same_each_time_it_is_written(tmp_path: Path) -> None:
    signatures = [_library().signature(name) for name in _library().architectures]
    assert packed_signatures(signatures) == (RESOURCES / SIGNATURES).read_bytes()
    one = signatures[3]
    assert signature_from_json(one.architecture, json.loads(json.dumps(one.to_json()))) == one


def test_macs_of_torchvision_networks_are_the_published_ones() -> None:
    # torchvision's own figures (weights' metadata), which count what weights do; resnet18: 1.814 G.
    for name, published in (("resnet18", 1.814e9), ("mobilenet_v2", 0.301e9), ("vgg16", 15.47e9)):
        found = recognise(shapes_of(f"torchvision:{name}"))
        assert found is not None
        assert sum(layer.macs or 0 for layer in found.layers) == pytest.approx(published, rel=0.003)


def test_attention_layers_are_used_once_per_token() -> None:
    found = recognise(shapes_of("torchvision:vit_b_16"))
    assert found is not None
    by_name = {layer.name: layer for layer in found.layers}
    attention = by_name["encoder.layers.encoder_layer_0.self_attention"]
    assert (attention.kind, attention.positions, attention.shape) == ("attention", 197, (2304, 768))
    assert attention.bias_count == 2304
    assert by_name["encoder.layers.encoder_layer_0.self_attention.out_proj"].positions == 197


def test_another_number_of_classes_and_of_channels_is_understood() -> None:
    shapes = shapes_of("torchvision:resnet18")
    shapes |= {"fc.weight": (37, 512), "fc.bias": (37,), "conv1.weight": (64, 1, 7, 7)}
    found = recognise(shapes)
    assert found is not None
    assert (found.num_classes, found.input_shape) == (37, (1, 224, 224))
    assert found.layers[0].shape == (64, 1, 7, 7)
    assert recognise(shapes | {"fc.bias": (36,)}) is None
    convolutional_head = shapes_of("torchvision:squeezenet1_0")
    convolutional_head |= {"classifier.1.weight": (5, 512, 1, 1), "classifier.1.bias": (5,)}
    found = recognise(convolutional_head)
    assert found is not None
    assert found.num_classes == 5


def test_batch_counters_may_be_missing_and_auxiliary_outputs_be_there() -> None:
    shapes = {name: s for name, s in shapes_of("zoo:resnet20").items() if "num_batches" not in name}
    assert recognise(shapes) is not None
    inception = shapes_of("torchvision:inception_v3") | {"AuxLogits.fc.weight": (1000, 768)}
    found = recognise(inception)
    assert found is not None
    assert found.left_out == ("AuxLogits.fc.weight",)
    assert "left out" in found.notes[0]
    assert recognise(shapes | {"AuxLogits.fc.weight": (1000, 768)}) is None


def test_near_misses_say_what_is_different() -> None:
    shapes = shapes_of("zoo:resnet20")
    del shapes["linear.weight"], shapes["linear.bias"]
    shapes["fc.weight"] = (10, 64)
    assert recognise(shapes) is None
    text = near_miss(shapes) or ""
    assert "looks like CIFAR ResNet-20" in text
    assert "2 tensors are missing (linear.weight, linear.bias)" in text
    assert "1 tensor is not part of it (fc.weight)" in text
    wider = shapes_of("zoo:lenet-300-100") | {"fc1.weight": (400, 784), "fc1.bias": (400,)}
    assert "fc1.weight is 400×784, not 300×784" in (near_miss(wider) or "")
    assert near_miss({"a.weight": (3, 3), "b.weight": (1,)}) is None


def test_nothing_is_recognised_in_nothing() -> None:
    assert recognise({}) is None
    assert near_miss({}) is None


def test_layers_of_unknown_files_are_guessed_from_their_shapes() -> None:
    shapes: dict[str, Shape] = {
        "stem.weight": (8, 3, 3, 3),
        "stem.bias": (8,),
        "norm.weight": (8,),
        "line.weight": (8, 4, 5),
        "head.weight": (10, 8),
        "token_embedding.weight": (100, 8),
        "attention.in_proj_weight": (24, 8),
        "attention.in_proj_bias": (24,),
        "rnn.weight_hh_l0": (32, 8),
        "rnn.bias_hh_l0": (32,),
        "position": (1, 9, 8),
    }
    layers = guessed_layers({name: TensorInfo(name, shape, "F16", 0) for name, shape in shapes.items()})
    assert [(layer.name, layer.kind, layer.bias_count) for layer in layers] == [
        ("stem", "conv2d?", 8),
        ("line", "conv1d?", 0),
        ("head", "linear?", 0),
        ("token_embedding", "embedding?", 0),
        ("attention", "attention?", 24),
        ("rnn.weight_hh_l0", "linear?", 32),
    ]
    assert all(layer.dtype == "F16" and layer.positions is None for layer in layers)
    unnamed = guessed_layers({"0": TensorInfo("0", (4, 4), "F32", 64), "1": TensorInfo("1", (4,), "F32", 16)})
    assert [layer.name for layer in unnamed] == ["0"]
