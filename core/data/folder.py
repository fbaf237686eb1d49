"""A folder of images as a task: one sub-folder for each class, divided into parts or not."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core.data.images import EXTENSIONS, read_images
from core.data.partition import partition
from core.data.spec import TaskSpec
from core.data.task import IMAGENET_MEAN, IMAGENET_STD, TEST, TRAIN, VALIDATION, RawData
from core.errors import StudioError

PART_FOLDERS = {
    TRAIN: ("train", "training"),
    VALIDATION: ("validation", "valid", "val"),
    TEST: ("test", "testing"),
}
HELD_OUT = 10
"""One image of this many is held out for each of validation and testing where the folder lacks the part."""
ALL = "all"


@dataclass(frozen=True)
class Listing:
    """The image files of one part. `labels` are indices into the folder's class names."""

    paths: tuple[Path, ...]
    labels: Tensor


def read_folder(
    spec: TaskSpec,
    parts: frozenset[str],
    check: Callable[[], None],
    progress: Callable[[str, float | None], None],
) -> RawData:
    """The images of `spec.folder`; only the parts asked for are decoded.

    A folder is laid out in one of these ways:
    - `train/CLASS/*` with `test/CLASS/*` and perhaps `val/CLASS/*` (or `valid`, `validation`): taken as they
      are; without a validation part, a tenth of the training images, fixed by `spec.split_seed`, takes its
      place.
    - `train/` and `val/` only: `val/` is held out as the test part, as is usual with ImageNet.
    - `CLASS/*` only (or `train/` only): 80 % train, 10 % validation, 10 % test, stratified and fixed by
      `spec.split_seed`; with `spec.evaluate_all` every image is test.

    Images are grey if the task's mean has one value, else red, green, blue.

    Raises:
        StudioError: if there are no images, fewer than two classes, a broken image, images of different sizes
            without `spec.image_size`, or too little memory.
    """
    assert spec.folder is not None
    root = Path(spec.folder)
    channels = _channels(spec)
    class_names, listings = list_folder(root, check)
    notes: list[str] = []
    arranged, names = _arrange(listings, spec, notes)
    wanted = {part: arranged[part] for part in arranged if part in parts and arranged[part].paths}
    examples = _decode(wanted, spec.image_size, channels, check, progress)
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else ((0.5,), (0.5,))
    return RawData(class_names, examples, mean, std, part_names=names, notes=tuple(notes))


def arranged_folder(
    spec: TaskSpec, part: str, check: Callable[[], None]
) -> tuple[tuple[str, ...], Listing, int]:
    """Class names, the files of one part in the order of its split, and how many channels they are read with.

    Raises:
        StudioError: as `read_folder`, or if the folder lacks the part.
    """
    assert spec.folder is not None
    class_names, listings = list_folder(Path(spec.folder), check)
    arranged, _ = _arrange(listings, spec, [])
    if part not in arranged:
        raise StudioError(f"{spec.folder} has no {part} part.")
    return class_names, arranged[part], _channels(spec)


def list_folder(
    root: Path, check: Callable[[], None] = lambda: None
) -> tuple[tuple[str, ...], dict[str, Listing]]:
    """Class names and the image files of each part ("all" where the folder is not divided).

    Raises:
        StudioError: if the folder is missing, or does not hold images of at least two classes.
    """
    if not root.is_dir():
        raise StudioError(
            f"{root} is not a folder: give a folder with one sub-folder of images for each class."
        )
    children = _subfolders(root)
    by_name = {child.name.lower(): child for child in children}
    part_roots: dict[str, Path] = {}
    for part, names in PART_FOLDERS.items():
        for name in names:
            # A class may be called “train” as well: a part has folders inside.
            if name in by_name and part not in part_roots and _subfolders(by_name[name]):
                part_roots[part] = by_name[name]
    if not part_roots:
        part_roots = {ALL: root}
    files: dict[str, dict[str, list[Path]]] = {}
    for part, part_root in part_roots.items():
        files[part] = {}
        for folder in _subfolders(part_root):
            check()
            found = _images_in(folder)
            if found:
                files[part][folder.name] = found
    files = {part: classes for part, classes in files.items() if classes}
    if not files:
        raise StudioError(
            f"{root} has no images: it needs one sub-folder for each class with image files "
            f"({', '.join(sorted(extension[1:] for extension in EXTENSIONS))}) inside."
        )
    class_names = tuple(sorted({name for classes in files.values() for name in classes}))
    if len(class_names) < 2:
        raise StudioError(
            f"{root} has images of only one class, “{class_names[0]}”: it needs a sub-folder for each of at "
            "least two classes."
        )
    if TRAIN in files:
        for part, classes in files.items():
            unknown = sorted(set(classes) - set(files[TRAIN]))
            if unknown:
                raise StudioError(
                    f"{part_roots[part]} has the class “{unknown[0]}”, which {part_roots[TRAIN].name}/ "
                    "lacks: remove that folder or add images of the class to the training part."
                )
    index = {name: n for n, name in enumerate(class_names)}
    listings = {
        part: Listing(
            tuple(path for name in sorted(classes) for path in classes[name]),
            torch.tensor([index[name] for name in sorted(classes) for _ in classes[name]], dtype=torch.int64),
        )
        for part, classes in files.items()
    }
    return class_names, listings


def _channels(spec: TaskSpec) -> int:
    return 1 if spec.mean is not None and len(spec.mean) == 1 else 3


def _arrange(
    listings: dict[str, Listing], spec: TaskSpec, notes: list[str]
) -> tuple[dict[str, Listing], tuple[tuple[str, str], ...]]:
    """Give each role its images; the second value names parts that are not called after their role."""
    there = dict(listings)
    if TEST not in there and VALIDATION in there:
        there[TEST] = there.pop(VALIDATION)
        notes.append(
            "The validation part is held out as the test split, because the folder has no test part."
        )
    if TEST in there:
        if TRAIN in there and VALIDATION not in there:
            held_out, rest = _taken(there[TRAIN], 1, spec.split_seed)
            there[VALIDATION], there[TRAIN] = held_out, rest
            notes.append(f"{len(held_out.paths):,} of the training images are held out for validation.")
        return there, ()
    (everything,) = there.values()
    if spec.evaluate_all:
        return {TEST: everything}, ((TEST, ALL),)
    test, validation, train = _taken(everything, 2, spec.split_seed)
    notes.append(
        f"{len(test.paths):,} images are held out for testing and {len(validation.paths):,} for validation, "
        "because the folder has no test part."
    )
    return {TRAIN: train, VALIDATION: validation, TEST: test}, ()


def _taken(listing: Listing, groups: int, seed: int) -> tuple[Listing, ...]:
    size = max(1, round(len(listing.paths) / HELD_OUT))
    if len(listing.paths) <= groups * size:
        raise StudioError(
            f"{listing.paths[0].parent.parent} has too few images ({len(listing.paths)}) to hold some out: "
            "add images."
        )
    return tuple(
        Listing(tuple(listing.paths[n] for n in indices.tolist()), listing.labels[indices])
        for indices in partition(listing.labels, (size,) * groups, seed)
    )


def _decode(
    wanted: dict[str, Listing],
    size: tuple[int, int] | None,
    channels: int,
    check: Callable[[], None],
    progress: Callable[[str, float | None], None],
) -> dict[str, tuple[Tensor, Tensor]]:
    total = sum(len(listing.paths) for listing in wanted.values())
    examples: dict[str, tuple[Tensor, Tensor]] = {}
    before = 0
    for part, listing in wanted.items():

        def report(count: int, before: int = before) -> None:
            progress("Reading images", (before + count) / total)

        images = read_images(listing.paths, size, channels, check, report)
        examples[part] = (images, listing.labels)
        before += len(listing.paths)
        if size is None:
            # What the first part established holds for the others.
            size_found = (int(images.shape[2]), int(images.shape[3]))
            _check_same_size(examples, part, listing, size_found)
    return examples


def _check_same_size(
    examples: dict[str, tuple[Tensor, Tensor]], part: str, listing: Listing, found: tuple[int, int]
) -> None:
    first_part, (first, _) = next(iter(examples.items()))
    expected = (int(first.shape[2]), int(first.shape[3]))
    if found != expected:
        raise StudioError(
            f"{listing.paths[0]} ({part}) has {found[0]} × {found[1]} pixels and images of the {first_part} "
            f"part have {expected[0]} × {expected[1]}: give an image size that all images are resized to."
        )


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    except OSError as error:
        raise StudioError(f"{folder} cannot be read ({error.strerror}).") from error
    return [folder / name for name in sorted(names)]


def _images_in(folder: Path) -> list[Path]:
    """All image files below `folder`, in a fixed order."""
    found: list[Path] = []
    for directory, subfolders, names in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        found += [
            Path(directory, name)
            for name in sorted(names)
            if os.path.splitext(name)[1].lower() in EXTENSIONS and not name.startswith(".")
        ]
    return found
