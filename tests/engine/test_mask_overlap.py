"""The overlap of masks against scikit-learn, and chance against masks that are drawn at random."""

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from core.analysis.mask_overlap import alive, jaccard, overlap_matrix


def drawn(seed: int, shares: tuple[float, float] = (0.1, 0.4)) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {"a": random.random((200, 300)) < shares[0], "b": random.random((50, 200)) < shares[1]}


def test_the_overlap_is_scikit_learns_and_chance_is_what_random_masks_have() -> None:
    first, second = drawn(1), drawn(2)
    found, chance = jaccard(first, second)
    flat = [np.concatenate([mask.ravel() for mask in masks.values()]) for masks in (first, second)]
    assert found == pytest.approx(jaccard_score(*flat))
    assert found == pytest.approx(chance, rel=0.05)


def test_the_matrix_is_symmetric_and_its_note_names_chance() -> None:
    matrix = overlap_matrix([drawn(1), drawn(1), drawn(3)], ("1", "2", "3"), "trial")
    assert matrix.values[0][1] == 100
    assert matrix.values[0][2] == matrix.values[2][0]
    assert "independently chosen masks" in matrix.note


def test_biases_do_not_count() -> None:
    assert list(alive({"w": np.array([[0.0, -1.0]]), "b": np.array([1.0])})) == ["w"]


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="different weights"):
        jaccard(drawn(1), {"a": np.ones((2, 2), dtype=bool)})
    with pytest.raises(ValueError, match="two networks"):
        overlap_matrix([drawn(1)], ("1",), "trial")


def test_masks_with_nothing_left_agree() -> None:
    nothing = {"a": np.zeros((2, 2), dtype=bool)}
    assert jaccard(nothing, nothing) == (1.0, 1.0)
