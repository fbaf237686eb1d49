"""Batches: complete, normalised, reproducible, and augmented as promised."""

import pytest
import torch

from core.data.batches import augmented, evaluation_batches, training_batches
from core.data.split import Split

MEAN, STD = (0.5, 0.25, 0.1), (0.5, 0.2, 0.3)


def make_split(count: int = 50, budget: int | None = None, channels: int = 3, size: int = 16) -> Split:
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (count, channels, size, size), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count)
    extra = {} if budget is None else {"budget": budget}
    return Split("train", images, labels, MEAN[:channels], STD[:channels], **extra)


def expected(split: Split) -> torch.Tensor:
    mean, std = torch.tensor(split.mean).view(-1, 1, 1), torch.tensor(split.std).view(-1, 1, 1)
    return (split.images.float() / 255 - mean) / std


@pytest.mark.parametrize("budget", [None, 0], ids=["preloaded", "over the budget"])
def test_normalisation_is_torchvisions_to_the_bit(budget):
    from torchvision.transforms.functional import normalize

    split = make_split(budget=budget)
    reference = torch.stack([normalize(image.float() / 255, MEAN, STD) for image in split.images])
    x, y = split.batch(torch.arange(len(split)))
    assert torch.equal(x, reference)
    assert y.tolist() == list(range(50))
    assert (split.normalised() is None) == (budget == 0)


@pytest.mark.parametrize("budget", [None, 0])
def test_evaluation_meets_every_example_once_in_order(budget):
    split = make_split(budget=budget)
    batches = list(evaluation_batches(split, 16))
    assert [len(y) for _, y in batches] == [16, 16, 16, 2]
    assert torch.equal(torch.cat([y for _, y in batches]), split.labels)
    assert torch.equal(torch.cat([x for x, _ in batches]), expected(split))


def test_an_epoch_meets_every_example_once_in_the_generators_order():
    split = make_split()
    generator = torch.Generator().manual_seed(11)
    batches = list(training_batches(split, 16, generator))
    order = torch.randperm(50, generator=torch.Generator().manual_seed(11))
    assert [len(y) for _, y in batches] == [16, 16, 16, 2]
    assert torch.equal(torch.cat([y for _, y in batches]), order)
    assert torch.equal(torch.cat([x for x, _ in batches]), expected(split)[order])


@pytest.mark.parametrize("augmentation", ["none", "shift", "shift-and-flip"])
@pytest.mark.parametrize("budget", [None, 0])
def test_the_generator_alone_decides(augmentation, budget):
    def epochs(seed: int) -> list[torch.Tensor]:
        split = make_split(budget=budget)
        generator = torch.Generator().manual_seed(seed)
        return [x for _ in range(2) for x, _ in training_batches(split, 16, generator, augmentation)]

    torch.manual_seed(1)
    first = epochs(5)
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(first, epochs(5), strict=True))
    assert not torch.equal(first[0], epochs(6)[0])
    assert not torch.equal(first[0], first[4])


def test_batches_leave_the_split_as_it_was():
    split = make_split()
    before = expected(split)
    for x, _ in training_batches(split, 16, torch.Generator().manual_seed(0), "shift-and-flip"):
        x.zero_()
    normalised = split.normalised()
    assert normalised is not None
    assert torch.equal(normalised, before)


def test_augmentation_is_a_shift_and_a_mirror_of_each_image_and_nothing_else():
    split = make_split(40)
    black = split.black()
    x, _ = split.batch(torch.arange(40))
    made = augmented(x, black, torch.Generator().manual_seed(4), flip=True)
    reach = 2
    padded = black.expand(40, 3, 20, 20).clone()
    padded[:, :, reach:-reach, reach:-reach] = x
    seen = set()
    for index in range(40):
        matches = _matches(made[index], padded[index])
        assert len(matches) == 1
        seen.update(matches)
    assert len({(top, left) for top, left, _ in seen}) > 10
    assert {flip for _, _, flip in seen} == {False, True}


def _matches(image: torch.Tensor, padded: torch.Tensor) -> list[tuple[int, int, bool]]:
    found = []
    for top in range(5):
        for left in range(5):
            window = padded[:, top : top + 16, left : left + 16]
            for flip in (False, True):
                if torch.equal(image, window.flip(-1) if flip else window):
                    found.append((top, left, flip))
    return found


def test_what_a_shift_uncovers_is_black():
    split = make_split(1)
    assert torch.allclose(split.black().flatten(), -torch.tensor(MEAN) / torch.tensor(STD))
    zero = Split("train", torch.zeros(1, 3, 16, 16, dtype=torch.uint8), torch.zeros(1).long(), MEAN, STD)
    x, _ = zero.batch(torch.tensor([0]))
    assert torch.allclose(x[0], zero.black().expand(3, 16, 16))


@pytest.mark.parametrize("size", [1, 5, 8])
def test_tiny_images_can_be_augmented(size):
    split = make_split(7, channels=1, size=size)
    batches = list(training_batches(split, 4, torch.Generator().manual_seed(0), "shift-and-flip"))
    assert [tuple(x.shape) for x, _ in batches] == [(4, 1, size, size), (3, 1, size, size)]


def test_float_images_are_taken_as_they_are():
    images = torch.rand(3, 1, 4, 4)
    split = Split("test", images, torch.zeros(3, dtype=torch.int64), (0.0,), (1.0,))
    assert torch.equal(split.batch(torch.arange(3))[0], images)


def test_mistakes_of_the_caller_are_bugs():
    with pytest.raises(ValueError, match="augmentation"):
        next(training_batches(make_split(), 4, torch.Generator(), "mixup"))
    with pytest.raises(ValueError, match="do not fit"):
        Split("test", torch.zeros(3, 1, 4, 4), torch.zeros(2, dtype=torch.int64), (0.0,), (1.0,))
    with pytest.raises(ValueError, match="channels"):
        Split("test", torch.zeros(3, 1, 4, 4), torch.zeros(3, dtype=torch.int64), MEAN, STD)
