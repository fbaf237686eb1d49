"""One split of a data set in memory: raw pixels, labels, and the normalised copy that training reads."""

import hashlib
import threading
from collections.abc import Callable

import torch
from torch import Tensor

NORMALISED_BUDGET = 1 << 30
"""Bytes that one split's normalised copy may take on a device; above it, batches are made one by one."""

FINGERPRINT_CHUNK = 4096


class Split:
    """Examples with their labels. Never changed after construction, so any number of threads may read it.

    Args:
        name: "train", "validation", "test", or "all" (every image of a folder that has no test part).
        images: [N, C, H, W], uint8 (0 to 255) or float32 (0 to 1), on the CPU.
        labels: class indices, int64 [N].
        mean, std: one value per channel, subtracted from and divided into pixels in [0, 1].
        budget: bytes that the normalised copy may take per device.

    Raises:
        ValueError: if the shapes do not fit together.
    """

    def __init__(
        self,
        name: str,
        images: Tensor,
        labels: Tensor,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        budget: int = NORMALISED_BUDGET,
    ) -> None:
        if images.ndim != 4 or labels.shape != images.shape[:1]:
            raise ValueError(f"images {tuple(images.shape)} and labels {tuple(labels.shape)} do not fit")
        if not len(mean) == len(std) == images.shape[1]:
            raise ValueError(f"{images.shape[1]} channels, but mean {mean} and std {std}")
        self.name = name
        self.images = images
        self.labels = labels
        self.mean = mean
        self.std = std
        self._budget = budget
        self._lock = threading.Lock()
        self._fingerprint = ""
        self._normalised: dict[torch.device, Tensor] = {}
        self._labels: dict[torch.device, Tensor] = {torch.device("cpu"): labels}

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one example."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def fingerprint(self, check: Callable[[], None] | None = None) -> str:
        """SHA-256 of labels and pixels: equal for the same examples in the same order, however they are normalised.

        Computed on the first call (30 MB of CIFAR-10 take some hundredths of a second) and kept.

        Args:
            check: called now and then; may raise to give up.
        """
        if not self._fingerprint:
            digest = hashlib.sha256(f"{tuple(self.images.shape)} {self.images.dtype}".encode())
            digest.update(self.labels.contiguous().numpy().data)
            for chunk in torch.split(self.images, FINGERPRINT_CHUNK):
                if check is not None:
                    check()
                digest.update(chunk.contiguous().numpy().data)
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def normalised(self, device: torch.device | str = "cpu") -> Tensor | None:
        """All images as a model sees them, float32 [N, C, H, W] on `device`; None if over the budget.

        Made on the first call and kept per device.
        """
        if self.images.numel() * 4 > self._budget:
            return None
        device = torch.device(device)
        with self._lock:
            if device not in self._normalised:
                self._normalised[device] = self._normalise(self.images.to(device))
            return self._normalised[device]

    def labels_on(self, device: torch.device | str) -> Tensor:
        """All labels, int64 [N] on `device`; kept per device."""
        device = torch.device(device)
        with self._lock:
            if device not in self._labels:
                self._labels[device] = self.labels.to(device)
            return self._labels[device]

    def batch(self, indices: Tensor, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """The examples at `indices` (int64 [B], on the CPU or on `device`), ready for a model.

        Returns:
            x: normalised pixels, float32 [B, C, H, W] on `device`; a copy that the caller may change.
            y: labels, int64 [B] on `device`.
        """
        device = torch.device(device)
        everything = self.normalised(device)
        if everything is not None:
            here = indices.to(device)
            return everything.index_select(0, here), self.labels_on(device).index_select(0, here)
        on_cpu = indices.cpu()
        return (
            self._normalise(self.images.index_select(0, on_cpu).to(device)),
            self.labels.index_select(0, on_cpu).to(device),
        )

    def black(self, device: torch.device | str = "cpu") -> Tensor:
        """What a pixel of value 0 becomes, float32 [C, 1, 1]; images are padded with it."""
        mean = torch.tensor(self.mean, dtype=torch.float32, device=device)
        std = torch.tensor(self.std, dtype=torch.float32, device=device)
        return (-mean / std).view(-1, 1, 1)

    def _normalise(self, pixels: Tensor) -> Tensor:
        # One buffer, changed in place, in the order in which torchvision's ToTensor and Normalize compute.
        result = torch.empty(pixels.shape, dtype=torch.float32, device=pixels.device)
        result.copy_(pixels)
        if pixels.dtype == torch.uint8:
            result.div_(255)
        mean = torch.tensor(self.mean, dtype=torch.float32, device=pixels.device).view(-1, 1, 1)
        std = torch.tensor(self.std, dtype=torch.float32, device=pixels.device).view(-1, 1, 1)
        return result.sub_(mean).div_(std)
