"""Weight sharing: few values for each layer, and training them (Han et al. 2016, sections 3.1 to 3.3).

Training them needs no loop of its own: see `core.quantization.training`.
"""

import numpy as np
import torch

from core.errors import StudioError
from core.events import Notice
from core.formatting import count
from core.job import JobContext
from core.quantization.grid import nearest_shared
from core.quantization.kmeans import cluster
from core.quantization.precision import book_bits_of
from core.quantization.record import QuantizedWeight
from core.quantization.settings import CodebookSettings
from core.run_state import RunState
from core.training.step import fine_tune, fine_tune_work


def share_weights_work(settings: CodebookSettings, state: RunState) -> float:
    """K-means costs next to nothing beside training."""
    return 1.0 + (fine_tune_work(settings, state) if settings.trains else 0.0)


def share_weights(settings: CodebookSettings, state: RunState, context: JobContext) -> None:
    """Give the layers of `state` codebooks and train these if asked for.

    Raises:
        StudioError: if every layer is left alone, or weights are NaN or infinite.
    """
    if state.half_done is None:
        _share(settings, state, context)
    if settings.trains:
        fine_tune(settings, state, context)
    context.advance(1.0, settings.title)


def _share(settings: CodebookSettings, state: RunState, context: JobContext) -> None:
    chosen = [(layer, bits) for layer in state.description.layers if (bits := book_bits_of(settings, layer))]
    if not chosen:
        raise StudioError(f"{state.place} leaves every layer alone: remove an entry from “Leave alone”.")
    records = {}
    for layer, bits in chosen:
        context.checkpoint()
        weight = state.module.get_parameter(layer.weight_name)
        values = weight.detach().cpu().numpy().reshape(-1)
        if not np.isfinite(values).all():
            raise StudioError(
                f"The weights of “{layer.name}” hold NaN or infinite values, so {state.place[:1].lower()}"
                f"{state.place[1:]} cannot share them: use an earlier checkpoint."
            )
        kept = values[values != 0]
        book = np.empty(0, np.float32)
        if kept.size:
            found = cluster(kept, 2**bits - 1, settings.start_values, state.step_seed())
            book = np.unique(found.astype(np.float32))
            # A shared value of exactly zero would be taken for a pruned weight, which nothing trains.
            book = book[book != 0]
        record = QuantizedWeight("codebook", bits, book=torch.from_numpy(book).to(weight.device))
        records[layer.weight_name] = record
        with torch.no_grad():
            assert record.book is not None
            weight.copy_(nearest_shared(weight, record.book))
    # What has ranges of activations keeps them.
    state.quantization = state.quantization.with_weights(records)
    values_left = sum(0 if record.book is None else record.book.numel() for record in records.values())
    context.emit(
        Notice(
            context.run_id,
            f"{state.place} left {count(values_left)} different values in {count(len(records))} layers.",
        )
    )
