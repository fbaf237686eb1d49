"""Tensors of every element type are analysed with numpy's numbers; complex ones by their magnitude."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core.analysis import as_matrix, heatmap, histogram, statistics
from core.models.checkpoint import open_checkpoint
from core.models.opening import open_model
from core.models.source import ModelSource
from core.models.tensor_types import TENSOR_TYPES

from .onnx_files import model, tensor, write

TORCH_TYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
    torch.uint16, torch.uint32, torch.uint64, torch.bool, torch.complex64, torch.complex128,
)  # fmt: skip


def values(kind: torch.dtype) -> torch.Tensor:
    """Some numbers that every type can hold, exactly or nearly; a third of them zero."""
    numbers = torch.arange(24, dtype=torch.float32).reshape(4, 6) % 3
    if kind.is_complex:
        return torch.complex(numbers, -numbers).to(kind)
    return (-numbers if kind.is_signed and kind.is_floating_point else numbers).to(kind)


def check_analysis(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> None:
    """Histogram, statistics and heatmap agree with numpy."""
    plain = np.abs(array) if array.dtype.kind == "c" else array.astype(np.float64)
    counted = histogram(array, 7)
    assert int(counted.counts.sum()) == array.size
    found = statistics(array)
    assert found.zeros == int(np.count_nonzero(plain == 0))
    assert found.mean == pytest.approx(float(plain.mean()))
    assert found.maximum == pytest.approx(float(plain.max()))
    tile = heatmap(as_matrix(array), (0, 4), (0, 6), 4, 6, "magnitude")
    np.testing.assert_allclose(tile.values, np.abs(plain), rtol=1e-6)


@pytest.mark.parametrize("file_format", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("kind", TORCH_TYPES, ids=str)
def test_every_type_of_torch_is_analysed(tmp_path: Path, kind: torch.dtype, file_format: str) -> None:
    path = tmp_path / "m"
    if file_format == "safetensors":
        if kind == torch.complex128:
            pytest.skip("safetensors has no such type")
        save_file({"fc.weight": values(kind)}, path)
    else:
        torch.save({"fc.weight": values(kind)}, path, _use_new_zipfile_serialization=file_format == "zip")
    opened = open_model(ModelSource("file", str(path)))
    array = opened.weight("fc")
    expected = values(kind)
    wide = expected.to(torch.complex128 if kind.is_complex else torch.float64).numpy()
    np.testing.assert_array_equal(array.astype(wide.dtype), wide)
    check_analysis(array)


@pytest.mark.parametrize(("number", "word"), [(22, "I4"), (21, "U4"), (23, "F4"), (26, "I2")])
def test_types_below_a_byte_are_analysed(tmp_path: Path, number: int, word: str) -> None:
    bits = 2 if word == "I2" else 4
    data = bytes([0b00100001] * (24 * bits // 8))
    path = write(tmp_path / "m.onnx", model([tensor("fc.weight", (4, 6), number, (9, data))]))
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.tensors["fc.weight"].dtype == word
        assert checkpoint.tensors["fc.weight"].nbytes == len(data)
        check_analysis(checkpoint.read("fc.weight"))


PATTERNS = {
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
    "float4_e2m1fn": "F4",
    "int4": "I4",
}


@pytest.mark.parametrize("name", list(PATTERNS))
def test_every_pattern_means_what_the_types_library_says(name: str) -> None:
    kind = getattr(pytest.importorskip("ml_dtypes"), name)
    ours = TENSOR_TYPES[PATTERNS[name]]
    patterns = np.arange(256, dtype=np.uint8)
    if ours.unpack is not None:
        low = np.arange(16, dtype=np.uint8)
        np.testing.assert_array_equal(ours.unpack(low)[::2].astype("f4"), low.view(kind).astype("f4"))
    else:
        np.testing.assert_array_equal(ours.to_array(patterns), patterns.view(kind).astype("f4"))
