"""ThresholdController: counts, while a threshold is dragged over the histogram, what falls below it; prunes there."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from core.analysis.magnitudes import MagnitudeTable
from core.formatting import count, percent, significant
from core.models.description import Layer
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.views.removal import LayerRemoval
from studio.views.threshold_bar import ThresholdShown

if TYPE_CHECKING:
    from studio.controllers.inspect_work import WeightCache
    from studio.views.histogram_view import HistogramView

TOPIC = "inspector threshold"
MOST_LAYERS = 64
"""Selected layers that are counted at most: their magnitudes are kept in memory for the drag."""
_NAMED = 12


class ThresholdController(QObject):
    """The magnitudes of the selected layers are sorted once in the background; after that every threshold is answered
    at once."""

    prune_requested = Signal(object)  # Mapping[str, LayerRemoval]: give each layer this sparsity of its own
    failed = Signal(object)  # Problem

    def __init__(self, background: Background, view: "HistogramView", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._background = background
        self._view = view
        self._cache: WeightCache | None = None
        self._layers: tuple[Layer, ...] = ()
        self._tables: dict[str, MagnitudeTable] = {}
        self._awaited: frozenset[str] = frozenset()
        view.threshold_changed.connect(self._moved)
        view.prune_wanted.connect(self._prune)

    def set_layers(self, cache: "WeightCache | None", layers: tuple[Layer, ...]) -> None:
        """Count for these layers of this model from now on."""
        if cache is not self._cache:
            self.forget()
            self._tables = {}
        self._cache, self._layers = cache, layers[:MOST_LAYERS]
        if not self._awaited.issubset(layer.name for layer in self._layers):
            self.forget()
        self._moved(self._view.threshold)

    def forget(self) -> None:
        """Nobody looks at the histogram any more."""
        self._background.drop(TOPIC)
        self._awaited = frozenset()

    def _moved(self, threshold: float | None) -> None:
        cache = self._cache
        if threshold is None or cache is None or not self._layers:
            self.forget()
            return
        names = [layer.name for layer in self._layers]
        missing = [name for name in names if name not in self._tables]
        if not missing:
            self._tell(threshold)
            return
        if self._awaited.issuperset(missing):
            # The lines are being dragged while their answer is under way: asking again would never end.
            return
        self._awaited = frozenset(missing)
        from studio.controllers.inspect_work import tables_of

        def work(ticket: Ticket) -> dict[str, MagnitudeTable]:
            return tables_of(cache, missing, ticket.check)

        def done(found: dict[str, MagnitudeTable]) -> None:
            self._awaited = frozenset()
            self._tables = {name: table for name, table in self._tables.items() if name in names} | found
            self._moved(self._view.threshold)

        self._view.show_below(ThresholdShown("The magnitudes are being sorted …"))
        self._background.ask(TOPIC, work, done, self._failed)

    def _tell(self, threshold: float) -> None:
        self._view.show_below(
            told({layer.name: self._tables[layer.name] for layer in self._layers}, threshold)
        )

    def _prune(self, threshold: float) -> None:
        if self._layers and all(layer.name in self._tables for layer in self._layers):
            tables = {layer.name: self._tables[layer.name] for layer in self._layers}
            self.prune_requested.emit(
                {
                    name: LayerRemoval(threshold, table.up_to(threshold), table.up_to(0.0))
                    for name, table in tables.items()
                }
            )

    def _failed(self, problem: Problem) -> None:
        self._awaited = frozenset()
        self.failed.emit(problem)


def told(tables: Mapping[str, MagnitudeTable], threshold: float) -> ThresholdShown:
    """How many weights fall below a threshold, in words."""
    below = {name: table.up_to(threshold) for name, table in tables.items()}
    weights = sum(table.count for table in tables.values())
    total = sum(below.values())
    about = "" if all(table.exact for table in tables.values()) else "about "
    share = percent(total / weights, 1) if weights else ""
    text = f"{about}{count(total)} of {count(weights)} weights fall below → {share} zeros"
    lines = [f"{name}: {_share(below[name], table)}" for name, table in tables.items()]
    first = next(iter(tables))
    if len(tables) > 1:
        text += f" in the {len(tables)} layers ({first}: {_share(below[first], tables[first])})"
    tip = "\n".join(
        [f"|w| ≤ {significant(threshold, 4)}", *lines[:_NAMED], *(["…"] if len(lines) > _NAMED else [])]
    )
    emptied = [name for name, table in tables.items() if table.count and below[name] == table.count]
    if emptied:
        whose = f"Layer {emptied[0]}" + (f" (and {len(emptied) - 1} more)" if len(emptied) > 1 else "")
        return ThresholdShown(text, tip, f"{whose} would lose all weights: choose a smaller threshold.")
    return ThresholdShown(text, tip)


def _share(below: int, table: MagnitudeTable) -> str:
    return percent(below / table.count, 1) if table.count else "no weights"
