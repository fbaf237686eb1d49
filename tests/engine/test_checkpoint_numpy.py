"""numpy's files give the arrays that numpy gives, without ever loading a pickle or unpacking a bomb."""

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import StudioError
from core.models.checkpoint import open_checkpoint
from core.models.opening import open_model
from core.models.source import ModelSource

from .checkpoint_files import Bomb, read_all, zip_of
from .mutations import changed, changes, read_or_refuse, some

TYPES = (
    "f2",
    "f4",
    "f8",
    "i1",
    "i2",
    "i4",
    "i8",
    "u1",
    "u2",
    "u4",
    "u8",
    "?",
    "c8",
    "c16",
    ">f4",
    ">i8",
    ">c8",
)


def arrays() -> dict[str, np.ndarray[Any, Any]]:
    """One array of each type, with some shapes that are unusual."""
    rng = np.random.default_rng(0)
    made = {code.replace("?", "bool"): (rng.normal(size=(3, 4)) * 20).astype(code) for code in TYPES}
    made["fortran"] = np.asfortranarray(rng.normal(size=(4, 3, 2)).astype("f4"))
    made["fortran big"] = np.asfortranarray(rng.normal(size=(4, 3)).astype(">f4"))
    made["single"] = np.float32(3.5) * np.ones(())
    made["nothing"] = np.zeros((0, 5), dtype="f4")
    made["blocks/0/kernel"] = rng.normal(size=(5, 5)).astype("f4")
    return made


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    """A `.npy` file with any header."""
    text = header.encode("latin-1")
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def header(descr: str = "'<f4'", shape: str = "(2,)", order: str = "False") -> str:
    """As numpy writes it."""
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_type_comes_back(tmp_path: Path, save: Callable[..., None]) -> None:
    made = arrays()
    path = tmp_path / "m.npz"
    save(path, **made)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.format == "numpy archive"
        found = read_all(checkpoint)
    assert found.keys() == made.keys()
    for name, array in made.items():
        assert found[name].dtype == array.dtype.newbyteorder("<")
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_bfloat16_is_known_by_its_size(tmp_path: Path, save: Callable[..., None]) -> None:
    values = np.array([[1.5, -2.0], [np.inf, 0.0]], dtype="f4")
    # As ml_dtypes has numpy save them.
    save(tmp_path / "m.npz", w=(values.view("u4") >> 16).astype("u2").view("V2"))
    with open_checkpoint(tmp_path / "m.npz") as checkpoint:
        assert checkpoint.tensors["w"].dtype == "BF16"
        np.testing.assert_array_equal(checkpoint.read("w"), values)
        assert any("bfloat16" in note for note in checkpoint.notes)


def test_one_array_is_called_like_its_file(tmp_path: Path) -> None:
    values = np.arange(6, dtype="f4").reshape(2, 3)
    np.save(tmp_path / "kernel.npy", values)
    opened = open_model(ModelSource("file", str(tmp_path / "kernel.npy")))
    assert [layer.name for layer in opened.description.layers] == ["kernel"]
    np.testing.assert_array_equal(opened.weight("kernel"), values)


def test_what_are_no_numbers_is_left_out_and_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", w=np.ones((2, 2)), names=np.array(["a", "b"]), o=np.array([{}, None]))
    with open_checkpoint(tmp_path / "m.npz") as checkpoint:
        assert list(checkpoint.tensors) == ["w"]
        assert "text were left out: names" in " ".join(checkpoint.notes)
        assert "Python objects were left out: o" in " ".join(checkpoint.notes)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    bomb = np.array([Bomb(tmp_path / "trace")], dtype=object)
    np.save(tmp_path / "m.npy", bomb, allow_pickle=True)
    np.savez(tmp_path / "m.npz", a=bomb)
    for name in ("m.npy", "m.npz"):
        with pytest.raises(StudioError, match=f"{name} holds only arrays that are made of Python objects"):
            open_checkpoint(tmp_path / name)
    assert not (tmp_path / "trace").exists()


def bomb_of_zeros(path: Path) -> None:
    """A member that says it has 8 GB in 8 MB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy(header(shape="(2147483648,)")) + bytes(1 << 20))
    data = path.read_bytes()
    info = zipfile.ZipFile(path).infolist()[0]
    path.write_bytes(data.replace(struct.pack("<I", info.file_size), struct.pack("<I", 0xFFFFFFF0)))


def encrypted(path: Path) -> None:
    """A member that says that it is encrypted."""
    zip_of(path, {"a.npy": npy(header(), bytes(8))})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(data))


def link(path: Path) -> None:
    """A symbolic link as a member."""
    member = zipfile.ZipInfo("a.npy")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "/etc/passwd")


def twice(path: Path) -> None:
    """Two members of one name."""
    zip_of(path, {"a.npy": npy(header(), bytes(8)), "b.npy": npy(header(), bytes(8))})
    path.write_bytes(path.read_bytes().replace(b"b.npy", b"a.npy"))


def wrong_sum(path: Path) -> None:
    """A compressed member whose bytes were changed."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.arange(2000.0))
    data = bytearray(buffer.getvalue())
    data[data.index(b"PK\x01\x02") + 16] ^= 1
    path.write_bytes(bytes(data))


def one(text: bytes) -> Callable[[Path], None]:
    """An archive with one member."""
    return lambda path: zip_of(path, {"a.npy": text}) and None


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "bomb": (bomb_of_zeros, "should not be trusted"),
    "encrypted": (encrypted, "encrypted"),
    "link": (link, "header of the array"),
    "twice": (twice, "twice"),
    "wrong sum": (wrong_sum, "damaged"),
    "bzip2": (
        lambda p: zip_of(p, {"a.npy": npy(header(), bytes(8))}, zipfile.ZIP_BZIP2),
        "compressed in a way",
    ),
    "no header": (one(b"\x93NUMPY"), "header"),
    "cut": (one(npy(header(), bytes(7))), "cut off"),
    "long header": (one(npy(" " * 60_000 + header(), bytes(8))), "header"),
    "overflow": (one(npy(header(shape="(4294967296, 4294967296)"))), "shape"),
    "hidden overflow": (one(npy(header(shape="(0, 4611686018427387904, 9)"))), "shape"),
    "many digits": (one(npy(header(shape=f"({'9' * 900},)"))), "shape"),
    "negative": (one(npy(header(shape="(-1,)"), bytes(8))), "header"),
    "code": (one(npy(header(descr="__import__('os').getcwd()"), bytes(8))), "header"),
    "odd type": (one(npy(header(descr="'<q9'"), bytes(8))), "of the type q9"),
    "records": (one(npy(header(descr="[('a', '<f4')]"), bytes(8))), "records"),
    "dates": (one(npy(header(descr="'<M8[s]'"), bytes(16))), "dates"),
    "extended": (one(npy(header(descr="'<f16'"), bytes(32))), "of the type f16"),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_bad_archives_are_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    make, expected = BAD[kind]
    path = tmp_path / "model.npz"
    make(path)
    refusal = read_or_refuse(path)
    assert refusal is not None
    assert expected in refusal
    assert "model.npz" in refusal


def test_a_compressed_member_that_goes_on_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    zip_of(path, {"a.npy": npy(header(), struct.pack("<2f", 1, 2)) + bytes(3 << 20)}, zipfile.ZIP_DEFLATED)
    with open_checkpoint(path) as checkpoint:
        np.testing.assert_array_equal(checkpoint.read("a"), [1, 2])


@pytest.fixture(scope="module", params=["npy", "npz", "compressed"])
def original(request: pytest.FixtureRequest) -> bytes:
    """The bytes of a good file of each sort."""
    buffer = io.BytesIO()
    few = {"a.weight": np.ones((3, 4), "f4"), "b": np.asfortranarray(np.arange(6.0).reshape(2, 3))}
    if request.param == "npy":
        np.save(buffer, few["b"])
    else:
        (np.savez if request.param == "npz" else np.savez_compressed)(buffer, **few)
    return buffer.getvalue()


@some
@given(keep=st.floats(0, 1, exclude_max=True))
def test_truncated_files_are_refused(original: bytes, tmp_path: Path, keep: float) -> None:
    assert read_or_refuse(tmp_path / "m", original[: int(keep * len(original))]) is not None


@some
@given(changes)
def test_changed_files_are_read_or_refused(
    original: bytes, tmp_path: Path, places: list[tuple[float, int]]
) -> None:
    read_or_refuse(tmp_path / "m", changed(original, places))


@settings(some, max_examples=60)
@given(st.text(max_size=80), st.binary(max_size=40))
def test_any_header_is_read_or_refused(tmp_path: Path, text: str, data: bytes) -> None:
    for written in (text, header(descr=repr(text)), header(shape=text), header(order=text)):
        latin = written.encode("latin-1", "replace").decode("latin-1")
        read_or_refuse(tmp_path / "m", npy(latin, data))
