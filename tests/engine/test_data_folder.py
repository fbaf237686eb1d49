"""Image folders: layouts, formats, sizes, and one clear sentence for each thing that can be wrong."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.data import images as images_module
from core.data.catalog import load_task
from core.data.spec import TaskSpec
from core.data.task import TEST, check_fits
from core.errors import StudioError


def write_images(folder: Path, count: int, size: tuple[int, int] = (6, 5), value: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        pixels = np.full((size[0], size[1], 3), (value + n) % 256, np.uint8)
        Image.fromarray(pixels).save(folder / f"{n:03}.png")


def spec_of(folder: Path, **fields) -> TaskSpec:
    return TaskSpec("folder", folder=str(folder), **fields)


@pytest.fixture
def flat(tmp_path) -> Path:
    for index, name in enumerate(("ant", "bee")):
        write_images(tmp_path / name, 20, value=100 * index)
    return tmp_path


def test_a_flat_folder_is_divided_by_the_seed(flat):
    task = load_task(spec_of(flat))
    assert (len(task.train), len(task.validation), len(task.test)) == (32, 4, 4)
    assert task.class_names == ("ant", "bee")
    assert task.test.labels.bincount().tolist() == [2, 2]
    assert (task.test.images[:, 0, 0, 0] >= 100).long().tolist() == task.test.labels.tolist()
    assert "held out" in task.notes[0]
    again, other = load_task(spec_of(flat)), load_task(spec_of(flat, split_seed=1))
    assert torch.equal(task.test.images, again.test.images)
    assert not torch.equal(task.test.images, other.test.images)
    everything = torch.cat([task.train.images, task.validation.images, task.test.images])
    assert everything[:, 0, 0, 0].sort().values.tolist() == [*range(20), *range(100, 120)]


def test_test_alone_is_the_same_test(flat):
    whole, part = load_task(spec_of(flat)), load_task(spec_of(flat), parts=frozenset({TEST}))
    assert torch.equal(whole.test.images, part.test.images)
    assert part.train is None


def test_all_images_can_be_judged(flat):
    task = load_task(spec_of(flat, evaluate_all=True))
    assert task.train is None
    assert task.test is not None
    assert len(task.test) == 40
    assert task.test.name == "all"


@pytest.mark.parametrize("validation", ["val", "valid", "validation", None])
def test_parts_are_taken_as_they_are(tmp_path, validation):
    for part, count in (("train", 20), ("test", 3), *(((validation, 2),) if validation else ())):
        for name in ("a", "b"):
            write_images(tmp_path / part / name, count)
    task = load_task(spec_of(tmp_path, evaluate_all=True))
    expected = (40, 4, 6) if validation else (36, 4, 6)
    assert (len(task.train), len(task.validation), len(task.test)) == expected
    assert task.test.name == "test"


def test_a_validation_part_is_the_test_where_there_is_no_other(tmp_path):
    for part, count in (("train", 20), ("val", 3)):
        for name in ("a", "b"):
            write_images(tmp_path / part / name, count)
    task = load_task(spec_of(tmp_path))
    assert (len(task.train), len(task.validation), len(task.test)) == (36, 4, 6)
    assert any("validation part" in note for note in task.notes)


def test_a_lone_test_part_and_a_lone_train_part(tmp_path):
    for name in ("a", "b"):
        write_images(tmp_path / "one" / "test" / name, 4)
        write_images(tmp_path / "two" / "train" / name, 10)
    only_test = load_task(spec_of(tmp_path / "one"))
    assert only_test.train is None
    assert only_test.test is not None
    assert len(only_test.test) == 8
    only_train = load_task(spec_of(tmp_path / "two"))
    assert (len(only_train.train), len(only_train.test)) == (16, 2)


def test_a_class_may_be_called_train(tmp_path):
    for name in ("train", "plane"):
        write_images(tmp_path / name, 10)
    assert load_task(spec_of(tmp_path)).class_names == ("plane", "train")


def test_formats_and_modes_become_red_green_blue(tmp_path):
    grey = np.arange(30, dtype=np.uint8).reshape(6, 5)
    folder = tmp_path / "a"
    folder.mkdir()
    Image.fromarray(grey).save(folder / "0-grey.png")
    Image.fromarray((grey.astype(np.uint16) << 8) + 7).save(folder / "1-sixteen.png")
    rgb = np.stack([grey, grey + 50, grey + 100], axis=2)
    Image.fromarray(np.dstack([rgb, np.full((6, 5), 9, np.uint8)])).save(folder / "2-alpha.png")
    for suffix in ("bmp", "ppm", "webp"):
        Image.fromarray(rgb).save(folder / f"3-{suffix}.{suffix}", lossless=True)
    palette = Image.fromarray(rgb).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(folder / "4-palette.png", transparency=bytes([0, 255]))
    Image.fromarray(grey > 12).save(folder / "5-bit.png")
    write_images(tmp_path / "b", 1)
    (tmp_path / "notes.txt").write_text("not an image")
    (folder / "Thumbs.db").write_text("not an image")
    task = load_task(spec_of(tmp_path, evaluate_all=True))
    assert task.test is not None
    got = task.test.images
    assert got.shape == (9, 3, 6, 5)
    expected_grey = torch.from_numpy(np.stack([grey] * 3))
    expected = torch.from_numpy(rgb.transpose(2, 0, 1))
    assert torch.equal(got[0], expected_grey)
    assert torch.equal(got[1], expected_grey)
    for n in (2, 3, 4, 5):
        assert torch.equal(got[n], expected)
    assert set(got[7].unique().tolist()) == {0, 255}


def test_a_mean_of_one_value_means_grey(flat):
    task = load_task(spec_of(flat, mean=(0.1,), std=(0.3,)))
    assert task.input_shape == (1, 6, 5)


def test_images_are_read_as_torchvision_reads_them(tmp_path):
    from torchvision.datasets import ImageFolder

    generator = np.random.default_rng(0)
    for name in ("x", "Y", "z"):
        (tmp_path / name).mkdir()
        for n in range(3):
            noise = generator.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / name / f"{n}.jpg", quality=75)
    reference = ImageFolder(str(tmp_path))
    task = load_task(spec_of(tmp_path, evaluate_all=True))
    assert task.test is not None
    assert list(task.class_names) == reference.classes
    for n, (image, label) in enumerate(reference):
        assert np.array_equal(task.test.images[n].permute(1, 2, 0).numpy(), np.asarray(image))
        assert task.test.labels[n] == label


@pytest.mark.parametrize("small", [0, 10**9], ids=["threads", "one thread"])
def test_sizes_must_agree_or_be_given(tmp_path, monkeypatch, small):
    monkeypatch.setattr(images_module, "SMALL", small)
    write_images(tmp_path / "a", 3, (8, 8))
    write_images(tmp_path / "b", 3, (8, 9))
    with pytest.raises(StudioError, match="give an image size") as caught:
        load_task(spec_of(tmp_path, evaluate_all=True))
    assert "b" in caught.value.message
    task = load_task(spec_of(tmp_path, evaluate_all=True, image_size=(4, 6)))
    assert task.input_shape == (3, 4, 6)


def test_sizes_must_agree_between_parts(tmp_path):
    for name in ("a", "b"):
        write_images(tmp_path / "train" / name, 10, (8, 8))
        write_images(tmp_path / "test" / name, 3, (9, 9))
    with pytest.raises(StudioError, match="give an image size"):
        load_task(spec_of(tmp_path))


@pytest.mark.parametrize("content", [b"", b"<html></html>", "cut"], ids=["empty", "html", "truncated"])
@pytest.mark.parametrize("position", [0, 7])
def test_one_broken_image_is_named(flat, content, position):
    path = flat / "bee" / f"{position:03}.png"
    path.write_bytes(path.read_bytes()[:45] if isinstance(content, str) else content)
    with pytest.raises(StudioError, match="not an image that can be read") as caught:
        load_task(spec_of(flat))
    assert str(path) in caught.value.message


def test_folders_without_classes_of_images(tmp_path):
    with pytest.raises(StudioError, match="has no images"):
        load_task(spec_of(tmp_path))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing to see")
    with pytest.raises(StudioError, match="has no images"):
        load_task(spec_of(tmp_path))
    write_images(tmp_path / "only", 5)
    with pytest.raises(StudioError, match="only one class"):
        load_task(spec_of(tmp_path))
    with pytest.raises(StudioError, match="is not a folder"):
        load_task(spec_of(tmp_path / "missing"))


def test_a_part_with_a_class_that_training_lacks(tmp_path):
    for name in ("a", "b"):
        write_images(tmp_path / "train" / name, 5)
    for name in ("a", "c"):
        write_images(tmp_path / "test" / name, 5)
    with pytest.raises(StudioError, match="class “c”"):
        load_task(spec_of(tmp_path))


def test_too_few_images_to_hold_some_out(tmp_path):
    for name in ("a", "b"):
        write_images(tmp_path / name, 1)
    with pytest.raises(StudioError, match="too few images"):
        load_task(spec_of(tmp_path))


def test_too_large_for_memory(flat, monkeypatch):
    monkeypatch.setattr(images_module, "available_memory", lambda: 100)
    with pytest.raises(StudioError, match="memory"):
        load_task(spec_of(flat))


def test_progress_rises_to_one_and_reading_can_be_given_up(flat, monkeypatch):
    monkeypatch.setattr(images_module, "CHUNK", 4)
    seen: list[float] = []
    load_task(spec_of(flat), progress=lambda activity, fraction: seen.append(fraction or 0.0))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    class GivenUp(BaseException):
        pass

    def give_up(activity: str, fraction: float | None) -> None:
        raise GivenUp

    with pytest.raises(GivenUp):
        load_task(spec_of(flat), progress=give_up)


def test_memory_of_this_machine_is_known_or_unknown():
    available = images_module.available_memory()
    assert available is None or available > 1 << 20


# -- tasks and models


def test_a_model_must_fit(flat):
    task = load_task(spec_of(flat))
    check_fits(task, (3, 6, 5), 2)
    check_fits(task, None, None)
    check_fits(task, (3, 32, 32), 2, any_size=True)
    with pytest.raises(StudioError, match="3 channels, but model X expects 1"):
        check_fits(task, (1, 6, 5), 2, model="model X")
    with pytest.raises(StudioError, match="image size to 32x32"):
        check_fits(task, (3, 32, 32), 2)
    with pytest.raises(StudioError, match="2 classes"):
        check_fits(task, (3, 6, 5), 10)


def test_mean_and_std_must_have_one_value_per_channel():
    with pytest.raises(StudioError, match=r"Digits .* has 1 channel, but its mean has 3 values"):
        load_task(TaskSpec("digits", mean=(0.1, 0.2, 0.3), std=(0.1, 0.2, 0.3)))
    with pytest.raises(StudioError, match="standard deviation has 2 values"):
        load_task(TaskSpec("digits", std=(0.1, 0.2)))
