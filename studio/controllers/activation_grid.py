"""ActivationGridController: measures what a quantization grid does to the output on show in the Activations tab."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from core.formatting import count, percent, significant
from studio.controllers.grid import decibels
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.views.grid_bar import OWN

if TYPE_CHECKING:
    from core.quantization.activation_preview import ActivationPreview
    from studio.views.activations_view import ActivationsView

TOPIC = "activation grid"


class ActivationGridController(QObject):
    """Draws the grid of the output on show. While its ends are dragged, only the newest place is measured."""

    failed = Signal(object)  # Problem

    def __init__(
        self, background: Background, view: "ActivationsView", parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._background = background
        self._view = view
        self._shown: object = None  # the output that an answer is under way for
        self._going = self._again = False
        view.grid_changed.connect(self._changed)

    def _changed(self) -> None:
        view, row = self._view, self._view.table.row
        if row is not self._shown:
            # An answer for another output is of no use any more.
            self._forget()
            self._shown = row
            view.show_grid(None)
        if not view.grid_box.isChecked() or row is None:
            self._forget()
            view.show_grid(None)
            view.grid_bar.show_told("")
            return
        seen = row.seen
        if seen.minimum is None or seen.maximum is None:
            self._forget()
            view.show_grid(None)
            view.grid_bar.show_told("This output has no finite values.")
            return
        if self._going:
            # The ends are being dragged while an answer is under way: measured again as soon as it is there.
            self._again = True
            return
        self._going = True
        bar = view.grid_bar
        bits, symmetric, method = bar.bits.value(), bar.symmetric.isChecked(), bar.method
        ends = view.grid_ends if method == OWN else None
        histogram, low, high = seen.histogram, seen.minimum, seen.maximum

        def work(ticket: Ticket) -> "ActivationPreview":
            from core.quantization.activation_preview import ActivationChoice, preview_activations

            choice = ActivationChoice(bits, symmetric, "min-max" if method == OWN else method, ends)
            return preview_activations(histogram, low, high, choice, ticket.check)

        self._background.ask(TOPIC, work, self._found, self._failed)

    def _found(self, found: "ActivationPreview") -> None:
        again, self._going, self._again = self._again, False, False
        self._view.show_grid(found)
        self._view.grid_bar.show_told(*told(found))
        if again:
            self._changed()

    def _failed(self, problem: Problem) -> None:
        self._going = self._again = False
        self.failed.emit(problem)

    def _forget(self) -> None:
        self._background.drop(TOPIC)
        self._going = self._again = False


def told(found: "ActivationPreview") -> tuple[str, str]:
    """What a grid does to an output, in words, and more of them for the tip."""
    share = found.clipped / found.count if found.count else 0.0
    clipped = (
        f"about {count(round(found.clipped))} of {count(found.count)} clipped ({percent(share)})"
        if found.clipped >= 0.5
        else "nothing clipped"
    )
    parts = [
        f"SQNR about {decibels(found.sqnr)}",
        clipped,
        f"{found.used} of {len(found.levels)} levels used",
        f"step {significant(found.scale)}",
    ]
    if not found.choice.symmetric:
        parts.append(f"zero at {found.zero_point}")
    tip = (
        f"Grid from {significant(found.low, 4)} to {significant(found.high, 4)} in {found.choice.bits} bits. Estimated "
        "from the histogram, within a bin values are taken to lie evenly. SQNR: power of the values over that of what "
        "rounding and clipping change. The quantize step finds such a range for the inputs of every layer, on its own "
        "calibration examples."
    )
    return " · ".join(parts), tip
