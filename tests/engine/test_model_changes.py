"""Masks and weights of two runs' models, layer by layer, against numpy."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.history.alignment import compare_layers
from core.history.model_changes import LayerChange, with_changes
from core.measurement.records import LayerStatistics
from core.models.opened import OpenedModel
from core.models.opening import open_model
from core.models.source import ModelSource

RANDOM = np.random.default_rng(4)


def model(folder: Path, name: str, zeros: float) -> tuple[str, dict[str, np.ndarray]]:
    tensors = {
        key: np.where(RANDOM.random(shape) < zeros, 0, RANDOM.normal(size=shape)).astype(np.float32)
        for key, shape in (("a.weight", (30, 20)), ("b.weight", (8, 4, 3, 3)))
    }
    path = folder / f"{name}.safetensors"
    save_file(tensors, path)
    return str(path), tensors


def opened(path: str) -> OpenedModel:
    return open_model(ModelSource("file", path))


def statistics(tensors: dict[str, np.ndarray]) -> tuple[LayerStatistics, ...]:
    return tuple(
        LayerStatistics(
            name.removesuffix(".weight"), "linear", values.shape, values.size, int((values != 0).sum()), None
        )
        for name, values in tensors.items()
    )


def test_overlap_chance_and_change_are_numpys(tmp_path: Path) -> None:
    first, second = model(tmp_path, "first", 0.5), model(tmp_path, "second", 0.7)
    rows = compare_layers([statistics(first[1]), statistics(second[1])])
    found = with_changes(rows, [opened(first[0]), opened(second[0])], 0)
    for row in found:
        same, other = row.layers
        assert isinstance(same, LayerChange)
        assert isinstance(other, LayerChange)
        assert (same.overlap, same.moved) == (1.0, 0.0)
        a, b = first[1][f"{row.name}.weight"], second[1][f"{row.name}.weight"]
        assert other.overlap == pytest.approx(((a != 0) & (b != 0)).sum() / ((a != 0) | (b != 0)).sum())
        assert other.moved == pytest.approx(
            np.linalg.norm((b.astype(float) - a).ravel()) / np.linalg.norm(a.astype(float).ravel()), rel=1e-6
        )
        assert other.chance is not None
        assert other.overlap == pytest.approx(other.chance, abs=0.12)  # they are independent
        assert other.nonzero_weights == (b != 0).sum()


def test_what_is_missing_stays_unknown(tmp_path: Path) -> None:
    path, tensors = model(tmp_path, "first", 0.5)
    rows = compare_layers([statistics(tensors), statistics(tensors), statistics(tensors)])
    found = with_changes(rows, [opened(path), None, None], 0)
    for row in found:
        for missing in row.layers[1:]:
            assert isinstance(missing, LayerChange)
            assert (missing.overlap, missing.moved) == (None, None)
