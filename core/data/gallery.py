"""The images of a task's test split, read a few at a time to be looked at."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from core.data.catalog import load_task
from core.data.folder import arranged_folder
from core.data.images import read_images
from core.data.spec import FOLDER, TaskSpec
from core.data.task import TEST
from core.errors import StudioError

ONE_READ = 64
"""Images that are decoded between two looks at whether anybody still wants them."""


def _never() -> None:
    """Nobody gives up."""


class Gallery:
    """Hands out test images by their place in the split.

    An image folder is only listed, and each image decoded when it is asked for; the other tasks' images lie in memory.

    Args:
        labels: the true classes as they were when the split was judged, int [N].
        class_names: of that time.

    Raises:
        StudioError: if the data are gone, or are no longer those that were judged.
    """

    def __init__(
        self,
        spec: TaskSpec,
        labels: NDArray[np.integer],
        class_names: Sequence[str],
        check: Callable[[], None] = _never,
    ) -> None:
        self._spec = spec
        if spec.name == FOLDER:
            names, listing, self._channels = arranged_folder(spec, TEST, check)
            self._paths = listing.paths
            found = listing.labels
        else:
            task = load_task(spec, check=check, parts=frozenset({TEST}))
            if task.test is None:
                raise StudioError(f"{spec.title} has no test split, so there are no images to show.")
            names, found = task.class_names, task.test.labels
            self._images = task.test.images
            self._paths = ()
        if tuple(names) != tuple(class_names) or not np.array_equal(found.numpy(), labels):
            raise StudioError(
                f"The images of {spec.title} have changed since they were judged, so they cannot be shown: put the "
                "old ones back, or run the recipe again."
            )

    def images(self, places: Sequence[int], check: Callable[[], None] = _never) -> NDArray[np.uint8]:
        """Images as a model gets them before normalisation, uint8 [n, H, W, C] with C 1 or 3.

        Raises:
            StudioError: if one cannot be read.
        """
        if not places:
            return np.zeros((0, 1, 1, 3), np.uint8)
        if self._spec.name == FOLDER:
            wanted = [self._paths[place] for place in places]
            parts = [
                read_images(
                    wanted[start : start + ONE_READ],
                    self._spec.image_size,
                    self._channels,
                    check,
                    lambda _: None,
                )
                for start in range(0, len(wanted), ONE_READ)
            ]
            pixels = torch.cat(parts)
        else:
            pixels = self._images[torch.as_tensor(list(places))]
        if pixels.dtype != torch.uint8:
            pixels = (pixels * 255).round().clamp(0, 255).to(torch.uint8)
        found: NDArray[np.uint8] = pixels.permute(0, 2, 3, 1).contiguous().numpy()
        return found
