"""InspectController: has the selected layers counted and painted, and shows the answers in the inspector."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QMenu

from core.analysis.magnitudes import MagnitudeTable
from core.formatting import count, percent
from core.models.description import Layer
from core.models.opened import OpenedModel
from studio.controllers.activations import ActivationsController
from studio.controllers.channels import ChannelsController
from studio.controllers.comparison import Candidate, ComparisonController
from studio.controllers.difference import DifferenceController
from studio.controllers.heatmap import HeatmapController
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.state import AppState
from studio.tables.layer_columns import short_shape
from studio.views.inspector import HEATMAP, HISTOGRAM, Inspector

if TYPE_CHECKING:
    from studio.controllers.grid import GridController
    from studio.controllers.inspect_threshold import ThresholdController
    from studio.controllers.inspect_work import WeightCache

HISTOGRAM_TOPIC = "inspector histogram"
PREVIEW_TOPIC = "inspector preview"
BELOW_TOPIC = "inspector share below"
PERCENTILES_TOPIC = "inspector percentiles"
_TABLES_KEPT = 32


class InspectController(QObject):
    """Connects the state and the inspector. Of two requests of a kind, only the later is answered."""

    comparing = Signal()  # the comparison is to be seen
    bits_requested = Signal(object)  # Mapping[str, int]: give each layer so many bits of its own
    prune_requested = Signal(object)  # Mapping[str, LayerRemoval]: give each layer this sparsity of its own

    def __init__(
        self, state: AppState, background: Background, inspector: Inspector, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._background = background
        self._inspector = inspector
        self._cache: WeightCache | None = None
        self._tables: dict[str, MagnitudeTable] = {}
        self._models = QMenu(inspector)
        self._models.setObjectName("compareMenu")
        self._models.setToolTipsVisible(True)
        self.comparison = ComparisonController(state, background, self)
        self.comparison.changed.connect(self.refresh)
        # What listens to the theme goes with its view: told later, it would have nothing left to paint.
        self.heatmap = HeatmapController(state, background, inspector, inspector)
        self.heatmap.asked.connect(self._ask_removal)
        self.channels = ChannelsController(state, background, inspector, inspector)
        self.channels.channel_chosen.connect(self.show_channel)
        self.activations = ActivationsController(state, background, inspector, self)
        self.difference = DifferenceController(state, background, inspector, self)
        self.difference.menu_wanted.connect(self.comparison.fill_menu)
        self.difference.heatmap_wanted.connect(self.show_difference_of)
        self.difference.histogram_wanted.connect(self.show_histogram_of)
        self.heatmap.compare_requested.connect(self.offer_models)
        self.comparison.changed.connect(self._share_comparison)
        self._threshold: ThresholdController | None = None
        self._grid: GridController | None = None
        state.model_changed.connect(self._model_changed)
        state.layer_selection_changed.connect(self._selection_changed)
        inspector.ready.connect(self._views_ready)
        inspector.tab_changed.connect(self.refresh)
        inspector.preview_changed.connect(self._preview_changed)
        inspector.problem.connect(state.problem)
        inspector.notice.retry.connect(self.refresh)
        if inspector.histogram is not None:
            self._views_ready()
        self._model_changed(state.model)

    def show_histogram(self) -> None:
        """Bring the histogram to the front."""
        self._inspector.show_tab(HISTOGRAM)

    def show_heatmap(self) -> None:
        """Bring the heatmap to the front."""
        self._inspector.show_tab(HEATMAP)

    def show_channels(self) -> None:
        """Bring the channels to the front."""
        self._inspector.show_view(self._inspector.channels)

    def show_all_layers(self) -> None:
        """Bring the histograms of all layers to the front."""
        self._inspector.show_view(self._inspector.wall)

    def show_activations(self) -> None:
        """Bring the activations to the front."""
        self._inspector.show_view(self._inspector.activations)

    def show_difference(self) -> None:
        """Bring the comparison with another model to the front."""
        self._inspector.show_view(self._inspector.difference)

    def compare_model(self) -> None:
        """Compare the open model with another one: bring the comparison to the front and offer models."""
        self.show_difference()
        self.comparing.emit()
        self.difference.show_menu()

    def offer_models(self) -> None:
        """Offer models to compare with, at the mouse."""
        self.comparison.fill_menu(self._models)
        self._models.popup(QCursor.pos())

    def show_difference_of(self, layer: str) -> None:
        """Show what changed in one layer, weight by weight, in the heatmap."""
        self._state.set_layers((layer,))
        self.show_heatmap()
        if self._inspector.heatmap is not None:
            self._inspector.heatmap.controls.choose("difference", "element")

    def show_histogram_of(self, layer: str) -> None:
        """Show one layer in the histogram, with the other models as outlines."""
        self._state.set_layers((layer,))
        self.show_histogram()

    def compare_with(self, candidate: Candidate) -> None:
        """Draw another model's layers as outlines, and what changed against it."""
        self.comparison.compare_with(candidate)

    def show_channel(self, layer: str, axis: int, index: int) -> None:
        """Show one channel of a selected layer in the heatmap; `axis` is the weight's."""
        self.show_heatmap()
        if self._inspector.heatmap is not None:
            self._inspector.heatmap.choose_layer(layer)
            self._inspector.heatmap.show_channel(axis, index)

    def refresh(self) -> None:
        """Look at the selected layers again, in the tab on show; say what to do where there are none."""
        inspector = self._inspector
        layers = self._selected()
        if self._state.model is not None and inspector.current is inspector.wall:
            # All layers are on show, whatever is selected.
            self._background.drop(HISTOGRAM_TOPIC)
            description = self._state.model.description
            inspector.set_heading(_several(len(description.layers), description.weights))
            inspector.notice.clear()
            self._ask_removal()
            return
        if not self._say_what(layers) or inspector.histogram is None or inspector.heatmap is None:
            return
        inspector.notice.clear()
        if inspector.tab == HISTOGRAM:
            self._ask_histogram(layers)
        else:
            self._background.drop(HISTOGRAM_TOPIC)
        if inspector.tab == HEATMAP:
            self.heatmap.show_layers([layer for _, layer in layers])
        self._ask_removal()

    # -- what happened --------------------------------------------------------------------------------------

    def _views_ready(self) -> None:
        histogram, heatmap = self._inspector.histogram, self._inspector.heatmap
        if histogram is not None and heatmap is not None:
            from studio.controllers.grid import GridController
            from studio.controllers.inspect_threshold import ThresholdController

            histogram.bins_changed.connect(self.refresh)
            histogram.percentile_moved.connect(self._percentile_moved)
            histogram.percentiles_toggled.connect(self._ask_percentiles)
            self._threshold = ThresholdController(self._background, histogram, self)
            self._threshold.prune_requested.connect(self.prune_requested)
            self._threshold.failed.connect(self._failed)
            self._grid = GridController(self._background, histogram, self)
            self._grid.bits_wanted.connect(self.bits_requested)
            self._grid.failed.connect(self._failed)
            self.comparison.set_view(histogram)
            self.refresh()

    def _model_changed(self, model: OpenedModel | None) -> None:
        for topic in (HISTOGRAM_TOPIC, PREVIEW_TOPIC, PERCENTILES_TOPIC, BELOW_TOPIC):
            self._background.drop(topic)
        self._tables = {}
        if model is None:
            self._cache = None
        else:
            from studio.controllers.inspect_work import WeightCache

            self._cache = WeightCache(model)
        self.heatmap.set_cache(self._cache)
        self.channels.set_cache(self._cache)
        self._share_comparison()
        self.refresh()

    def _share_comparison(self) -> None:
        """The model chosen last is what heatmap and table compare with."""
        chosen = self.comparison.references
        self._state.set_comparison(chosen[-1][1].model if chosen else None)

    def _selection_changed(self, _names: tuple[str, ...]) -> None:
        self.refresh()

    def _preview_changed(self, _thresholds: Mapping[str, float]) -> None:
        # The heatmap asks for itself, because the picture changes too.
        if self._inspector.tab != HEATMAP:
            self._ask_removal()

    def _selected(self) -> list[tuple[int, Layer]]:
        """The selected layers with their index in the model, in the order of the model."""
        model = self._state.model
        if model is None:
            return []
        wanted = set(self._state.layers)
        return [(n, layer) for n, layer in enumerate(model.description.layers) if layer.name in wanted]

    def _say_what(self, layers: list[tuple[int, Layer]]) -> bool:
        """Name what is looked at; if there is nothing, say what to do and return False."""
        inspector = self._inspector
        if self._state.model is None:
            inspector.notice.show_empty(
                "Open a model to see how its weights are distributed and where they are zero.",
                "Open a model…",
            )
        elif not layers:
            inspector.notice.show_empty("Select one or more layers in the table to look at their weights.")
        elif len(layers) == 1:
            inspector.set_heading(f"{layers[0][1].name} · {short_shape(layers[0][1])}")
        else:
            weights = sum(layer.weights for _, layer in layers)
            inspector.set_heading(_several(len(layers), weights))
        return bool(layers)

    # -- histogram ------------------------------------------------------------------------------------------

    def _ask_histogram(self, layers: list[tuple[int, Layer]]) -> None:
        from studio.controllers.inspect_work import Distributions, look_at_distributions
        from studio.views.histogram_view import MOST_DRAWN

        view, cache = self._inspector.histogram, self._cache
        if view is None or cache is None:
            return
        drawn, bins, selected = layers[:MOST_DRAWN], view.bins, len(layers)
        own_axes = view.own_axes.isChecked()
        others = self.comparison.references

        def work(ticket: Ticket) -> Distributions:
            return look_at_distributions(cache, drawn, bins, others, ticket.check, own_axes=own_axes)

        def done(found: Distributions) -> None:
            self._inspector.notice.clear()
            view.show_layers(found.layers, selected, found.references, own_axes=found.own_axes)

        self._inspector.notice.show_busy()
        self._background.ask(HISTOGRAM_TOPIC, work, done, self._failed)
        self._ask_percentiles()
        if self._threshold is not None:
            self._threshold.set_layers(cache, tuple(layer for _, layer in layers))
        if self._grid is not None:
            self._grid.set_layers(cache, tuple(layer for _, layer in layers))

    def _ask_percentiles(self, _on: object = None) -> None:
        from studio.controllers.inspect_work import look_at_percentiles
        from studio.views.histogram_view import MOST_WITH_PERCENTILES

        view, cache = self._inspector.histogram, self._cache
        layers = [layer.name for _, layer in self._selected()]
        self._background.drop(PERCENTILES_TOPIC)
        if view is None or cache is None:
            return
        if not view.percentiles.isChecked() or len(layers) > MOST_WITH_PERCENTILES:
            view.set_percentiles({})
            return

        def work(ticket: Ticket) -> dict[str, tuple[float, ...]]:
            return look_at_percentiles(cache, layers, ticket.check)

        self._background.ask(PERCENTILES_TOPIC, work, view.set_percentiles, self._failed)

    def _percentile_moved(self, moved: tuple[str, int, float]) -> None:
        """Count what lies below the place to which a percentile's line was dragged."""
        from studio.controllers.inspect_work import share_below

        view, cache = self._inspector.histogram, self._cache
        name, place, value = moved
        if view is None or cache is None:
            return

        def work(ticket: Ticket) -> float:
            return share_below(cache, name, value, ticket.check)

        def done(share: float) -> None:
            view.plot.tell_percentile(place, value, share)

        self._background.ask(BELOW_TOPIC, work, done, self._failed)

    # -- preview --------------------------------------------------------------------------------------------

    def _ask_removal(self) -> None:
        """Say how many weights of the layers on show the preview would take."""
        thresholds, cache = self._inspector.preview, self._cache
        layers = self._on_show()
        shown = [layer.name for _, layer in layers]
        if cache is None or not any(name in thresholds for name in shown):
            self._background.drop(PREVIEW_TOPIC)
            self._inspector.set_preview_text("")
            return
        if removals := self._inspector.removals:
            self._background.drop(PREVIEW_TOPIC)
            going = [removals[name] for name in shown if name in removals]
            weights = sum(layer.weights for _, layer in layers)
            already = sum(one.already_zero for one in going)
            self._tell_removal(sum(one.removed for one in going), already, weights)
            return
        missing = [name for name in shown if name not in self._tables]
        if not missing:
            self._count_removal(shown)
            return
        from studio.controllers.inspect_work import tables_of

        def work(ticket: Ticket) -> dict[str, MagnitudeTable]:
            return tables_of(cache, missing, ticket.check)

        def done(found: dict[str, MagnitudeTable]) -> None:
            if len(self._tables) > _TABLES_KEPT:
                self._tables = {name: table for name, table in self._tables.items() if name in shown}
            self._tables |= found
            self._count_removal(shown)

        self._background.ask(PREVIEW_TOPIC, work, done, self._failed)

    def _on_show(self) -> list[tuple[int, Layer]]:
        heatmap = self._inspector.heatmap
        layers = self._selected()
        if self._inspector.tab == HEATMAP and heatmap is not None and heatmap.layer is not None:
            return [(n, layer) for n, layer in layers if layer is heatmap.layer]
        return layers[:_TABLES_KEPT]

    def _count_removal(self, layers: list[str]) -> None:
        from studio.controllers.inspect_work import removal

        found = removal({name: self._tables[name] for name in layers}, self._inspector.preview)
        self._tell_removal(found.removed, found.already_zero, found.weights, "" if found.exact else "about ")

    def _tell_removal(self, removed: int, already_zero: int, weights: int, about: str = "") -> None:
        already = f", {count(already_zero)} are zero already" if already_zero else ""
        share = percent(removed / weights, 1) if weights else ""
        self._inspector.set_preview_text(
            f"would remove {about}{count(removed)} of {count(weights)} weights ({share}{already})"
        )

    def _failed(self, problem: Problem) -> None:
        self._inspector.notice.show_problem(problem, retry=True)


def _several(layers: int, weights: int) -> str:
    return f"{count(layers)} {'layer' if layers == 1 else 'layers'} · {count(weights)} weights"
