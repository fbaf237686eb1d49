"""GridController: measures, while its ends are dragged over the histogram, what a quantization grid does to a layer."""

import math
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from core.formatting import count, percent, significant
from core.models.description import Layer
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.views.grid_bar import OWN

if TYPE_CHECKING:
    from core.quantization.grid_preview import GridPreview
    from studio.controllers.inspect_work import WeightCache
    from studio.views.histogram_view import HistogramView

TOPIC = "inspector grid"


class GridController(QObject):
    """Draws the grid of the one layer on show. While the ends are dragged, only the newest place is measured."""

    bits_wanted = Signal(object)  # dict[str, int]: bits of their own for these layers
    failed = Signal(object)  # Problem

    def __init__(self, background: Background, view: "HistogramView", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._background = background
        self._view = view
        self._cache: WeightCache | None = None
        self._layers: tuple[Layer, ...] = ()
        self._going = False
        self._again = False
        view.grid_changed.connect(self._changed)
        view.grid_bar.use_wanted.connect(self._use)

    def set_layers(self, cache: "WeightCache | None", layers: tuple[Layer, ...]) -> None:
        """Look at these layers of this model from now on."""
        if cache is not self._cache or layers != self._layers:
            self._view.grid_bar.forget_dragged()
            self.forget()
        self._cache, self._layers = cache, layers
        self._changed()

    def forget(self) -> None:
        """Nobody looks at the histogram any more."""
        self._background.drop(TOPIC)
        self._going = self._again = False

    def _changed(self) -> None:
        view, cache = self._view, self._cache
        if not view.grid_box.isChecked() or cache is None or not self._layers:
            self.forget()
            view.show_grid(None)
            return
        if len(self._layers) > 1 or view.own_axes.isChecked():
            self.forget()
            view.show_grid(None)
            why = "one layer" if len(self._layers) > 1 else "common axes"
            view.grid_bar.show_told(f"A grid is drawn over {why}: each layer has its own.")
            return
        if self._going:
            # The ends are being dragged while an answer is under way: measured again as soon as it is there.
            self._again = True
            return
        self._going = True
        name = self._layers[0].name
        bits, symmetric, method = (
            view.grid_bar.bits.value(),
            view.grid_bar.symmetric.isChecked(),
            view.grid_bar.method,
        )
        ends = view.grid_ends if method == OWN else None

        def work(ticket: Ticket) -> "GridPreview":
            import torch

            from core.quantization.grid_preview import GridChoice, preview_grid

            weight = torch.from_numpy(cache.get(name).astype("float32", copy=True))
            ranges: Any = "min-max" if method == OWN else method
            return preview_grid(weight, GridChoice(bits, symmetric, ranges, ends), ticket.check)

        self._background.ask(TOPIC, work, self._found, self._failed)

    def _found(self, found: "GridPreview") -> None:
        again, self._going, self._again = self._again, False, False
        self._view.show_grid(found)
        text, tip = told(found)
        self._view.grid_bar.show_told(text, tip)
        if again:
            self._changed()

    def _failed(self, problem: Problem) -> None:
        self._going = self._again = False
        self.failed.emit(problem)

    def _use(self, bits: int) -> None:
        if self._layers:
            self.bits_wanted.emit({layer.name: bits for layer in self._layers})


def told(found: "GridPreview") -> tuple[str, str]:
    """What a grid does to a layer, in words, and more of them for the tip."""
    clipped = (
        f"{count(found.clipped)} of {count(found.count)} clipped ({percent(found.clipped / found.count)})"
        if found.clipped
        else "nothing clipped"
    )
    parts = [
        f"SQNR {decibels(found.sqnr)}",
        clipped,
        f"{found.used} of {len(found.levels)} levels used",
        f"step {significant(found.scale)}",
    ]
    if not found.choice.symmetric:
        parts.append(f"zero at {found.zero_point}")
    if found.by_channel is not None:
        parts.append(f"a scale for each channel: {decibels(found.by_channel)}")
    tip = (
        f"Grid from {significant(found.low, 4)} to {significant(found.high, 4)} in {found.choice.bits} bits, one scale "
        "for the whole layer. SQNR: power of the weights over that of what rounding and clipping change; each bit is "
        "worth about 6 dB. The quantize step has a scale for each output channel unless it is told otherwise."
    )
    return " · ".join(parts), tip


def decibels(value: float) -> str:
    """`21.3 dB`, or that nothing is lost."""
    return "∞ (nothing lost)" if math.isinf(value) and value > 0 else f"{value:.1f} dB".replace("-", "−")
