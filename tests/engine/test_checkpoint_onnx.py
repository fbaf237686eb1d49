"""ONNX files give the tensors that were put into them, of every type and wherever they lie, and nothing else."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import StudioError
from core.models.checkpoint import open_checkpoint
from core.models.opening import open_model
from core.models.source import ModelSource

from .checkpoint_files import read_all
from .mutations import changed, changes, read_or_refuse, some
from .onnx_files import beside, constant, field, message, model, node, pair, raw, tensor, varint, write

RNG = np.random.default_rng(0)
CONV = RNG.normal(size=(4, 3, 3, 3)).astype("f4")
FC = RNG.normal(size=(5, 6)).astype("f4")


def packed(values: Any) -> bytes:
    """Whole numbers in one run."""
    return b"".join(varint(int(value)) for value in values)


def test_raw_initialisers_and_their_layers(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx",
        model(
            [
                raw("conv", CONV),
                raw("bias", CONV[:, 0, 0, 0]),
                raw("fc", FC),
                raw("table", FC),
                raw("other", FC),
            ],
            [
                node("Conv", ["x", "conv", "bias"], ["a"]),
                node("Gemm", ["a", "fc", ""], ["b"], message((1, "transB"), (3, 1))),
                node("Gather", ["table", "ids"], ["c"]),
            ],
        ),
    )
    opened = open_model(ModelSource("file", str(path)))
    assert [(layer.name, layer.kind) for layer in opened.description.layers] == [
        ("conv", "conv2d"),
        ("fc", "linear"),
        ("table", "embedding"),
    ]
    np.testing.assert_array_equal(opened.weight("conv"), CONV)
    np.testing.assert_array_equal(opened.tensor("other"), FC)
    assert not any("inputs × outputs" in note for note in opened.description.notes)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.format == "ONNX"
        assert checkpoint.metadata == {"epoch": "3"}
        assert checkpoint.place("conv").strides is None


def test_weights_are_followed_through_dequantisation(tmp_path: Path) -> None:
    quantised = tensor("w", (4, 3, 3, 3), 3, (9, bytes(range(108))))
    path = write(
        tmp_path / "m.onnx",
        model(
            [quantised, raw("m", FC)],
            [
                node("DequantizeLinear", ["w", "scale"], ["wf"]),
                node("Identity", ["wf"], ["same"]),
                node("ConvTranspose", ["x", "same"], ["y"]),
                node("MatMul", ["y", "m"], ["z"]),
                node("Identity", ["loop"], ["loop"]),
                node("MatMul", ["loop", "loop"], ["u"]),
            ],
        ),
    )
    opened = open_model(ModelSource("file", str(path)))
    kinds = {layer.name: (layer.kind, layer.dtype) for layer in opened.description.layers}
    assert kinds == {"w": ("conv_transpose2d", "I8"), "m": ("linear", "F32")}
    assert any("inputs × outputs" in note for note in opened.description.notes)


def test_constants_are_weights_too(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx",
        model(
            [],
            [
                constant("w", raw("", FC)),
                constant("shape", tensor("", (2,), 7, (7, packed([1, -1])))),
                node("MatMul", ["x", "w"], ["y"]),
            ],
        ),
    )
    with open_checkpoint(path) as checkpoint:
        assert list(checkpoint.tensors) == ["w"]
        np.testing.assert_array_equal(checkpoint.read("w"), FC)


FLOATS = np.array([1.5, -2, 0, 3e9], "<f4")
TYPED: dict[str, tuple[bytes, Any]] = {
    "floats": (tensor("w", (4,), 1, (4, FLOATS.tobytes())), FLOATS),
    "floats in two runs": (
        tensor("w", (4,), 1, (4, FLOATS[:1].tobytes()), (4, FLOATS[1:].tobytes())),
        FLOATS,
    ),
    "doubles": (tensor("w", (4,), 11, (10, FLOATS.astype("<f8").tobytes())), FLOATS.astype("f8")),
    "complex": (tensor("w", (2,), 14, (4, FLOATS.tobytes())), FLOATS.view("c8")),
    "int8": (tensor("w", (3,), 3, (5, packed([-128, 0, 127]))), np.array([-128, 0, 127], "i1")),
    "uint8": (tensor("w", (2,), 2, (5, packed([0, 255]))), np.array([0, 255], "u1")),
    "int16": (tensor("w", (2,), 5, (5, packed([-3, 300]))), np.array([-3, 300], "i2")),
    "int32": (tensor("w", (2,), 6, (5, packed([-3, 70_000]))), np.array([-3, 70_000], "i4")),
    "int64": (tensor("w", (3,), 7, (7, packed([-1, 0, 1 << 62]))), np.array([-1, 0, 1 << 62], "i8")),
    "uint64": (tensor("w", (2,), 13, (11, packed([1, (1 << 64) - 1]))), np.array([1, (1 << 64) - 1], "u8")),
    "uint32": (tensor("w", (1,), 12, (11, packed([1 << 31]))), np.array([1 << 31], "u4")),
    "one by one": (tensor("w", (2,), 7, (7, 5), (7, -6)), np.array([5, -6], "i8")),
    "bool": (tensor("w", (3,), 9, (5, packed([1, 0, 1]))), np.array([True, False, True])),
    "half": (tensor("w", (2,), 10, (5, packed([0x3C00, 0xC000]))), np.array([1, -2], "f2")),
    "bfloat16": (tensor("w", (2,), 16, (5, packed([0x3F80, 0xC000]))), np.array([1, -2], "f4")),
    "float8": (tensor("w", (2,), 17, (5, packed([0x38, 0xC0]))), np.array([1, -2], "f4")),
    "float8, raw": (tensor("w", (3,), 19, (9, b"\x3c\xc0\x7c")), np.array([1, -2, np.inf], "f4")),
    "int4": (tensor("w", (3,), 22, (5, packed([0x8F, 0x07]))), np.array([-1, -8, 7], "i1")),
    "int4, raw": (tensor("w", (3,), 22, (9, b"\x8f\x07")), np.array([-1, -8, 7], "i1")),
    "uint4, raw": (tensor("w", (2, 2), 21, (9, b"\x8f\x07")), np.array([[15, 8], [7, 0]], "u1")),
    "int2, raw": (tensor("w", (5,), 26, (9, b"\xe4\x02")), np.array([0, 1, -2, -1, -2], "i1")),
    "float4, raw": (tensor("w", (3,), 23, (9, b"\x71\x0f")), np.array([0.5, 6, -6], "f4")),
    "nothing": (tensor("w", (0, 3), 1), np.zeros((0, 3), "f4")),
    "single": (tensor("w", (), 1, (9, FLOATS[:1].tobytes())), FLOATS[0]),
}


@pytest.mark.parametrize("kind", list(TYPED))
def test_every_type_and_field(tmp_path: Path, kind: str) -> None:
    written, expected = TYPED[kind]
    with open_checkpoint(write(tmp_path / "m.onnx", model([written]))) as checkpoint:
        found = checkpoint.read("w")
    assert found.dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(found, expected)


FLOATING = ["FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "COMPLEX64", "COMPLEX128"]
SMALL = ["FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "INT4", "UINT4", "FLOAT4E2M1"]
WHOLE = ["INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64", "BOOL"]


@pytest.mark.parametrize("name", FLOATING + SMALL + WHOLE)
@pytest.mark.parametrize("as_raw", [False, True])
def test_the_onnx_package_agrees(tmp_path: Path, name: str, as_raw: bool) -> None:
    onnx = pytest.importorskip("onnx")
    numpy_helper = pytest.importorskip("onnx.numpy_helper")
    number = getattr(onnx.TensorProto, name)
    kind = onnx.helper.tensor_dtype_to_np_dtype(number)
    values = np.array([[0, 1, 3], [5, 6, 2]]).astype(kind)
    if as_raw:
        written = numpy_helper.from_array(values, "w")
    else:
        written = onnx.helper.make_tensor("w", number, (2, 3), values.flatten())
    graph = onnx.helper.make_graph([], "g", [], [], [written])
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    expected = numpy_helper.to_array(written)
    with open_checkpoint(path) as checkpoint:
        np.testing.assert_array_equal(checkpoint.read("w"), expected.astype(checkpoint.read("w").dtype))


def test_the_weights_may_lie_beside(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "a.bin").write_bytes(b"xxxx" + FC.tobytes())
    where = (("location", "weights/a.bin"), ("offset", "4"), ("length", str(FC.nbytes)), ("checksum", "?"))
    path = write(tmp_path / "m.onnx", model([beside("w", FC.shape, *where)]))
    with open_checkpoint(path) as checkpoint:
        np.testing.assert_array_equal(checkpoint.read("w"), FC)
        assert checkpoint.place("w").path == tmp_path / "weights" / "a.bin"
        assert len(checkpoint.files) == 2


def test_what_is_not_read_is_told(tmp_path: Path) -> None:
    sparse = message((1, tensor("s", (1,), 1, (9, bytes(4)))), (3, varint(9)))
    text = tensor("t", (1,), 8, (6, b"hello"))
    odd = tensor("o", (1,), 99, (9, bytes(4)))
    path = write(tmp_path / "m.onnx", model([raw("w", FC), text, odd], sparse=[sparse]))
    with open_checkpoint(path) as checkpoint:
        assert list(checkpoint.tensors) == ["w"]
        notes = " ".join(checkpoint.notes)
    for told in ("sparse were left out: s", "text were left out: t", "unknown type were left out: o"):
        assert told in notes


LONG = b"\xff" * 9
BAD: dict[str, tuple[bytes, str]] = {
    "no graph": (message((1, 8), (2, "x")), "not a model file"),
    "two graphs": (model([raw("w", FC)]) + message((7, b"")), "no graph, or several"),
    "cut": (model([raw("w", FC)])[:-60], "cut off"),
    "graph too long": (message((1, 8)) + b"\x3a" + LONG + b"\x01", "cut off"),
    "twice": (model([raw("w", FC), raw("w", FC)]), "occurs twice"),
    "no name": (model([raw("", FC)]), "no name"),
    "no UTF-8": (model([tensor("w", (1,), 1, (9, bytes(4))).replace(b"\x01w", b"\x01\xff")]), "UTF-8"),
    "too short": (model([tensor("w", (3,), 1, (9, bytes(8)))]), "another size"),
    "too short, typed": (model([tensor("w", (3,), 1, (4, bytes(8)))]), "another size"),
    "no data": (model([tensor("w", (3,), 1)]), "another size"),
    "too few numbers": (model([tensor("w", (3,), 7, (7, packed([1 << 40])))]), "cannot be read"),
    "endless number": (model([tensor("w", (1,), 7, (7, b"\xff" * 9 + b"\xff\x01"))]), "another size"),
    "negative shape": (model([tensor("w", (-1,), 1, (9, bytes(4)))]), "impossible"),
    "overflow": (model([tensor("w", (1 << 40, 1 << 40), 1, (9, bytes(4)))]), "impossible"),
    "hidden overflow": (model([tensor("w", (0, 1 << 62, 9), 1, (9, b""))]), "impossible"),
    "many axes": (model([tensor("w", (1,) * 99, 1, (9, bytes(4)))]), "too many sizes"),
    "tensor is no message": (model(extra=field(5, 3)), "no message"),
    "field beyond": (model(extra=b"\x6a\x02\x0a"), "beyond its message"),
    "unknown wire": (model(extra=b"\x2f"), "unknown sort"),
    "number zero": (model(extra=b"\x02\x00"), "without a number"),
    "endless tag": (model(extra=b"\xff" * 20), "does not end"),
    "only text": (model([tensor("t", (1,), 8, (6, b"hello"))]), "no tensors"),
    "missing part": (
        model([beside("w", (1,), ("location", "nowhere.bin"))]),
        "nowhere.bin, which is missing",
    ),
    "part outside": (model([beside("w", (1,), ("location", "../x.bin"))]), "should not be trusted"),
    "absolute part": (model([beside("w", (1,), ("location", "/etc/passwd"))]), "should not be trusted"),
    "part is a folder": (model([beside("w", (1,), ("location", "."))]), "folder"),
    "no location": (model([beside("w", (1,), ("offset", "0"))]), "not named"),
    "cut part": (model([beside("w", (9,), ("location", "part.bin"))]), "is cut off"),
    "odd offset": (model([beside("w", (1,), ("location", "part.bin"), ("offset", "-4"))]), "another size"),
    "far offset": (
        model([beside("w", (1,), ("location", "part.bin"), ("offset", str(1 << 62)))]),
        "is cut off",
    ),
    "odd length": (model([beside("w", (1,), ("location", "part.bin"), ("length", "9"))]), "another size"),
    "pipe": (model([beside("w", (1,), ("location", "pipe"))]), "a device or a pipe"),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_bad_files_are_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    data, expected = BAD[kind]
    (tmp_path / "part.bin").write_bytes(bytes(8))
    os.mkfifo(tmp_path / "pipe")
    refusal = read_or_refuse(tmp_path / "model.onnx", data)
    assert refusal is not None
    assert expected in refusal
    assert len(refusal) < 300


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(8))
    (folder / "a.bin").symlink_to(tmp_path / "secret")
    path = write(folder / "m.onnx", model([beside("w", (1,), ("location", "a.bin"))]))
    with pytest.raises(StudioError, match="link out of its folder"):
        open_checkpoint(path)


def test_other_messages_are_not_taken_for_onnx(tmp_path: Path) -> None:
    # TensorFlow's saved models begin alike, but hold no graph in that place.
    assert "not a model file" in str(read_or_refuse(tmp_path / "m.pb", message((1, 1), (2, b"graphs"))))


def test_a_file_of_a_million_fields_ends(tmp_path: Path) -> None:
    from core.models import wire

    most = wire.MOST_FIELDS
    wire.MOST_FIELDS = 10_000
    try:
        refusal = read_or_refuse(tmp_path / "m.onnx", model(extra=field(13, b"") * 20_000))
    finally:
        wire.MOST_FIELDS = most
    assert refusal is not None
    assert "too many fields" in refusal


@pytest.fixture(scope="module")
def original() -> bytes:
    """A file with something of everything."""
    tensors = [raw("conv", CONV), *(TYPED[kind][0].replace(b"\x42\x01w", b"\x42\x01" + bytes([97 + place]))
                                    for place, kind in enumerate(("int8", "int64", "int4", "doubles")))]  # fmt: skip
    nodes = [
        node("Conv", ["x", "conv"], ["y"]),
        constant("k", raw("", FC[:2])),
        node("MatMul", ["y", "k"], ["z"]),
    ]
    return model([*tensors, beside("out", (1,), ("location", "part.bin"))], nodes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the file that the model needs."""
    (tmp_path / "part.bin").write_bytes(bytes(8))
    return tmp_path


def test_the_file_to_be_damaged_is_good(original: bytes, folder: Path) -> None:
    assert read_or_refuse(folder / "m.onnx", original) is None
    with open_checkpoint(folder / "m.onnx") as checkpoint:
        assert read_all(checkpoint).keys() == {"conv", "a", "b", "c", "d", "k", "out"}


@some
@given(keep=st.floats(0, 1, exclude_max=True))
def test_truncated_files_are_refused(original: bytes, folder: Path, keep: float) -> None:
    refusal = read_or_refuse(folder / "m.onnx", original[: int(keep * len(original))])
    # What comes after the graph is of no interest, and missing it is no damage.
    assert refusal is not None or keep > 0.9


@some
@given(changes)
def test_changed_files_are_read_or_refused(
    original: bytes, folder: Path, places: list[tuple[float, int]]
) -> None:
    read_or_refuse(folder / "m.onnx", changed(original, places))


@some
@given(st.binary(max_size=200))
def test_noise_in_a_graph_is_read_or_refused(folder: Path, noise: bytes) -> None:
    read_or_refuse(folder / "m.onnx", model(extra=noise))
    read_or_refuse(folder / "m.onnx", model([noise]))
    read_or_refuse(folder / "m.onnx", model(nodes=[noise, constant("k", noise)]))


def test_helpers_write_what_they_say() -> None:
    assert varint(300) == b"\xac\x02"
    assert message((1, 150), (2, "testing")) == bytes.fromhex("08960112077465737469 6e67".replace(" ", ""))
    assert pair("a", "b") == b"\x0a\x01a\x12\x01b"


def test_names_of_strangers_stay_in_one_line(tmp_path: Path) -> None:
    name = "a\nb\x1b[31m" + "x" * 500
    refusal = read_or_refuse(tmp_path / "m.onnx", model([tensor(name, (3,), 1, (9, bytes(8)))]))
    assert refusal is not None
    assert refusal.isprintable()
    assert len(refusal) < 300
