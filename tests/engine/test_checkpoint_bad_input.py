"""Whatever is opened as a model gives one clear sentence that names the file, and nothing in it is executed."""

import pickle
import struct
from pathlib import Path

import pytest
import torch

from core.errors import StudioError
from core.models.checkpoint import open_checkpoint

from .broken_files import BAD
from .checkpoint_files import zip_of


@pytest.mark.parametrize("kind", list(BAD))
def test_bad_input_is_one_sentence(tmp_path: Path, kind: str) -> None:
    make, expected = BAD[kind]
    path = tmp_path / "model.pt"
    make(path)
    with pytest.raises(StudioError, match=expected) as caught:
        open_checkpoint(path)
    message = caught.value.message
    assert "model.pt" in message
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 300
    assert not (tmp_path / "trace").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="does not exist"):
        open_checkpoint(tmp_path / "nothing.pt")
    with pytest.raises(StudioError, match="cannot be read"):
        open_checkpoint(Path("a\0b"))


# Pickles that are small and would be large, slow or endless if they were built naively.
HOSTILE = {
    "memo index": b"\x80\x02}r\xff\xff\xff\x7f.",
    "long bytes": b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b".",
    "long text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b".",
    "long integer": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "digits": b"\x80\x02I" + b"9" * 4000 + b"\n.",
    "endless line": b"\x80\x02c" + b"a" * 100_000,
    "itself": b"\x80\x02]q\x00h\x00a.",
    "doubling": b"\x80\x02]q\x00" + b"h\x00h\x00\x86q\x00" * 200 + b".",
    "doubling key": b"\x80\x02}K\x01q\x00" + b"h\x00h\x00\x86q\x00" * 200 + b"K\x01s.",
    "deep": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "too many operations": b"\x80\x02" + b"N0" * 1_200_000,
    "no stop": b"\x80\x02N",
    "no mark": b"\x80\x02t.",
    "underflow": b"\x80\x02\x87.",
    "surrogates": b"\x80\x02X\x03\x00\x00\x00\xed\xa0\x80.",
    "unknown operation": b"\x80\x02\xff.",
}


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_hostile_pickles_end_quickly_in_one_sentence(tmp_path: Path, kind: str) -> None:
    body = HOSTILE[kind]
    start = b"".join(
        pickle.dumps(value, protocol=2)
        for value in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True})
    )
    legacy = tmp_path / "legacy.pt"
    legacy.write_bytes(start + body + pickle.dumps([], protocol=2))
    zipped = zip_of(tmp_path / "zipped.pt", {"m/data.pkl": body, "m/version": b"3\n"})
    for path in (legacy, zipped):
        with pytest.raises(StudioError, match=path.name):
            open_checkpoint(path)


def test_settings_of_a_training_script_do_not_keep_its_weights_from_opening(tmp_path: Path) -> None:
    import argparse
    import datetime
    from collections import Counter, defaultdict

    extras = {
        "args": argparse.Namespace(lr=0.1, path=Path("somewhere")),
        "counts": Counter("abc"),
        "lists": defaultdict(list, a=[1]),
        "when": datetime.datetime(2026, 1, 1),
        "seen": {1, 2, 3},
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "shape": torch.Size([1, 2]),
        "complex": 1 + 2j,
    }
    path = tmp_path / "m.pt"
    torch.save({"state_dict": {"w": torch.ones(2, 2)}, **extras}, path)
    with open_checkpoint(path) as checkpoint:
        assert list(checkpoint.tensors) == ["w"]
