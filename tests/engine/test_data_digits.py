"""The built-in digits and the way examples are held out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.catalog import load_task
from core.data.digits import LEVELS, PATH, write_digits
from core.data.partition import partition
from core.data.spec import TaskSpec
from core.data.task import TEST

DIGITS = TaskSpec("digits")


def test_the_shipped_file_holds_scikit_learns_digits():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    with np.load(PATH) as file:
        assert np.array_equal(file["images"], bunch.images)
        assert np.array_equal(file["labels"], bunch.target)
    assert bunch.images.max() == LEVELS


def test_the_shipped_file_is_made_by_its_command(tmp_path):
    write_digits(tmp_path / "digits.npz")
    with np.load(tmp_path / "digits.npz") as made, np.load(PATH) as shipped:
        assert all(np.array_equal(made[name], shipped[name]) for name in ("images", "labels"))


def test_splits_are_disjoint_stratified_and_complete():
    task = load_task(DIGITS)
    assert task.train is not None
    assert task.validation is not None
    assert task.test is not None
    assert (len(task.train), len(task.validation), len(task.test)) == (1197, 150, 450)
    together = torch.cat([task.train.images, task.validation.images, task.test.images])
    assert together.sum() == pytest.approx(np.load(PATH)["images"].sum() / LEVELS)
    for split in (task.train, task.validation, task.test):
        share = split.labels.bincount(minlength=10) / len(split)
        assert share.max() - share.min() < 0.01
    assert task.input_shape == (1, 8, 8)
    assert task.num_classes == 10


def test_the_usual_normalisation_is_that_of_the_training_images():
    task = load_task(DIGITS)
    assert task.train is not None
    assert task.mean == pytest.approx((task.train.images.mean().item(),), abs=5e-5)
    assert task.std == pytest.approx((task.train.images.std(correction=0).item(),), abs=5e-5)
    normalised = task.train.normalised()
    assert normalised is not None
    assert normalised.mean().item() == pytest.approx(0, abs=1e-3)


def test_the_split_seed_moves_validation_and_never_test():
    first, second = load_task(DIGITS), load_task(TaskSpec("digits", split_seed=1))
    again = load_task(DIGITS)
    assert torch.equal(first.test.images, second.test.images)
    assert not torch.equal(first.validation.images, second.validation.images)
    assert torch.equal(first.validation.images, again.validation.images)


def test_only_the_parts_asked_for_are_there():
    task = load_task(DIGITS, parts=frozenset({TEST}))
    assert task.train is None
    assert task.validation is None
    assert task.test is not None


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=80),
    wanted=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    seed=st.integers(0, 2**31),
)
def test_partition_is_exact_and_stratified(labels, wanted, seed):
    tensor = torch.tensor(labels)
    if sum(wanted) > len(labels):
        with pytest.raises(ValueError, match="asked for"):
            partition(tensor, wanted, seed)
        return
    groups = partition(tensor, wanted, seed)
    assert [len(group) for group in groups] == [*wanted, len(labels) - sum(wanted)]
    assert torch.equal(torch.cat(groups).sort().values, torch.arange(len(labels)))
    for group in groups:
        assert torch.equal(group, group.sort().values)
    counts = tensor.bincount(minlength=5)
    got = tensor[groups[0]].bincount(minlength=5)
    assert (got - counts * wanted[0] / len(labels)).abs().max() <= 2.5
