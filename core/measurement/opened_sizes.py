"""What the model that is open really weighs, in named encodings: counted from its tensors, to the byte."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.export.packed_file import PACKING, packed_size
from core.export.safetensors_file import header_bytes, metadata_of
from core.measurement.size import count_nonzeros, dense_bytes
from core.models.opened import OpenedModel

ZIPPING = "zip, deflate level 6"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class OpenedSizes:
    """Sizes of one model in bytes.

    Attributes:
        dense: the safetensors file that the studio writes for it.
        weights, nonzero_weights: of the prunable layers.
        packed: the packed file that the studio writes for it (`packing` says how).
        zipped: that safetensors file in a zip archive, by the method `zipping`.
        tensors: how many tensors; `other` elements are neither prunable weights nor in any layer (biases,
            normalisation, buffers).
    """

    dense: int
    weights: int
    nonzero_weights: int
    packed: int
    packing: str
    zipped: int
    zipping: str
    tensors: int
    other: int

    @property
    def sparsity(self) -> float:
        """The fraction of the prunable weights that is exactly zero."""
        return 1 - self.nonzero_weights / self.weights if self.weights else 0.0


class _Counter:
    """A file that only counts its bytes."""

    def __init__(self) -> None:
        self.written = 0

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.written += size
        return size

    def tell(self) -> int:
        return self.written

    def flush(self) -> None:
        return None


def opened_sizes(opened: OpenedModel, check: Callable[[], None]) -> OpenedSizes:
    """Count every size of an opened model; `check` is called now and then and may raise to give up.

    Raises:
        StudioError: if the file can no longer be read.
    """
    tensors: dict[str, Tensor] = {}
    for name in opened.tensor_names:
        check()
        array = opened.tensor(name)
        tensors[name] = torch.from_numpy(array if array.flags.writeable else array.copy())
    layers = opened.description.layers
    metadata = metadata_of(opened.description)
    weight_names = [layer.weight_name for layer in layers]
    nonzeros = count_nonzeros(tensors, weight_names)
    check()
    weights = opened.description.weights
    return OpenedSizes(
        dense=dense_bytes(tensors, metadata),
        weights=weights,
        nonzero_weights=sum(nonzeros.values()),
        packed=packed_size(tensors, metadata, check),
        packing=PACKING,
        zipped=_zipped_bytes(header_bytes(tensors, metadata), tensors, check),
        zipping=ZIPPING,
        tensors=len(tensors),
        other=sum(tensor.numel() for tensor in tensors.values()) - weights,
    )


def _zipped_bytes(header: bytes, tensors: dict[str, Tensor], check: Callable[[], None]) -> int:
    counter = _Counter()
    # The archive's own words for a file grow where it passes 2 GiB.
    large = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > 2_000_000_000
    archive = zipfile.ZipFile(counter, "w", zipfile.ZIP_DEFLATED, compresslevel=6)  # type: ignore[call-overload]
    with archive, archive.open("model.safetensors", "w", force_zip64=large) as member:
        member.write(header)
        for name in json.loads(header[8:]):
            if name == "__metadata__":
                continue
            data = tensors[name].reshape(-1).view(torch.uint8).numpy()
            for start in range(0, data.size, _CHUNK):
                check()
                member.write(data[start : start + _CHUNK].tobytes())
    return counter.written
