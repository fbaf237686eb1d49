"""HeatmapController: has the matrix on show painted, level by level, and its broken patterns counted."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from core.analysis.chunks import Array
from core.analysis.colormaps import HeatmapColors, heatmap_colors
from core.analysis.patterns import Pattern, PatternCount
from core.models.description import Layer
from core.models.opened import OpenedModel
from studio import theme
from studio.controllers.saliency import SaliencyController
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.state import AppState
from studio.views.inspector import HEATMAP, Inspector

if TYPE_CHECKING:
    from studio.controllers.inspect_work import WeightCache
    from studio.views.heatmap_request import PaintedTile, TileRequest

HEATMAP_TOPIC = "inspector heatmap"
PATTERN_TOPIC = "inspector pattern"


class HeatmapController(QObject):
    """Answers the heatmap's wishes. Of two wishes, only the later is answered."""

    asked = Signal()  # another layer or part may be on show
    compare_requested = Signal()

    def __init__(
        self, state: AppState, background: Background, inspector: Inspector, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._background = background
        self._inspector = inspector
        self._cache: WeightCache | None = None
        self._other: WeightCache | None = None
        self._last: TileRequest | None = None
        self._counted: tuple[str, Pattern] | None = None
        self._patterns: PatternCount | None = None
        self._rounded: tuple[tuple[WeightCache, str, int, bool], Array] | None = None
        self.saliency = SaliencyController(state, background, inspector, self)
        self.saliency.changed.connect(self._saliency_changed)
        self.saliency.failed.connect(self._saliency_failed)
        state.comparison_changed.connect(self._comparison_changed)
        inspector.preview_changed.connect(self.repeat)
        inspector.ready.connect(self._views_ready)
        theme.events.changed.connect(self.repeat)
        self._comparison_changed(state.comparison)
        if inspector.heatmap is not None:
            self._views_ready()

    def set_cache(self, cache: "WeightCache | None") -> None:
        """Another model is open, or none."""
        for topic in (HEATMAP_TOPIC, PATTERN_TOPIC):
            self._background.drop(topic)
        self._cache, self._last, self._counted, self._rounded = cache, None, None, None
        if self._inspector.heatmap is not None:
            self._inspector.heatmap.show_layers(())

    def show_layers(self, layers: list[Layer]) -> None:
        """Offer these layers and paint the one on show."""
        if self._inspector.heatmap is not None:
            self._inspector.heatmap.show_layers(layers)
            self._inspector.heatmap.ask()

    def repeat(self, _: object = None) -> None:
        """Paint again what is on show: its colours or what would go have changed."""
        # Pixels are painted in the worker, in the colours of the scheme.
        if self._inspector.tab == HEATMAP and self._last is not None:
            self._ask_tile(self._last)

    # -- inside ---------------------------------------------------------------------------------------------

    def _views_ready(self) -> None:
        if self._inspector.heatmap is not None:
            self._inspector.heatmap.tile_wanted.connect(self._ask_tile)
            self._inspector.heatmap.remedy_requested.connect(self._remedy)
            self._inspector.heatmap.notice.retry.connect(self.saliency.measure)

    def _remedy(self) -> None:
        view = self._inspector.heatmap
        if view is not None and view.look.salient:
            self.saliency.act()
        else:
            self.compare_requested.emit()

    def _saliency_changed(self) -> None:
        if self._last is not None and self._last.look.salient:
            self.repeat()

    def _saliency_failed(self, problem: Problem) -> None:
        view = self._inspector.heatmap
        if view is not None and view.look.salient:
            view.notice.show_problem(problem, retry=True)
        else:
            self._state.problem.emit(problem)

    def _comparison_changed(self, model: OpenedModel | None) -> None:
        self._other = None
        if model is not None:
            from studio.controllers.inspect_work import WeightCache

            self._other = WeightCache(model)
        if self._last is not None and self._last.look.compares and not self._last.look.rounds:
            self.repeat()

    def _ask_tile(self, request: "TileRequest") -> None:
        from studio.controllers.heatmap_work import PREVIEW_FROM, weights_on_show

        self._last = request
        if self._inspector.tab != HEATMAP:
            return
        if request.look.compares and not request.look.rounds and not self._comparable(request):
            self._background.drop(HEATMAP_TOPIC)
            self.asked.emit()
            return
        if request.look.salient and not self.saliency.ready(request.layer):
            self._background.drop(HEATMAP_TOPIC)
            self.asked.emit()
            return
        self._inspector.notice.show_busy()
        self._ask_painted(request, preview=weights_on_show(request) > PREVIEW_FROM)
        if request.look.grouping == "pattern":
            self._ask_patterns(request)
        self.asked.emit()

    def _comparable(self, request: "TileRequest") -> bool:
        """Whether the other model has this layer in this shape; if not, say what is missing."""
        view, model, other = self._inspector.heatmap, self._state.model, self._state.comparison
        if view is None or model is None:
            return False
        if other is None:
            view.show_missing(
                "Choose a second model to see what changed, weight by weight: the model before pruning, "
                "or the result of a run.",
                "Compare model with…",
            )
            return False
        layer, title = model.description.layer(request.layer), other.description.source.title
        found = next((one for one in other.description.layers if one.name == layer.name), None)
        if found is not None and found.shape == layer.shape:
            return True
        shapes = [" × ".join(map(str, one.shape)) for one in (found, layer) if one is not None]
        reason = (
            f"{title} has no layer {layer.name}: choose another layer, or another model to compare with."
            if found is None
            else f"{layer.name} is {shapes[0]} in {title} but {shapes[1]} here, so its weights cannot be compared."
        )
        view.show_missing(reason, "Compare model with…")
        return False

    def _ask_painted(self, request: "TileRequest", *, preview: bool) -> None:
        from studio.controllers.heatmap_work import look_at_matrix, rounded

        view, cache, model = self._inspector.heatmap, self._cache, self._state.model
        if view is None or cache is None or model is None:
            return
        layer = model.description.layer(request.layer)
        look = request.look
        other = self._other if look.compares and not look.rounds else None
        known = self._rounded if look.rounds else None
        salient = self.saliency.of(request.layer) if request.look.salient else None
        threshold = self._inspector.preview.get(request.layer)
        colors = _colors(theme.tokens(), request.look.colors)

        def work(ticket: Ticket) -> "PaintedTile":
            weight = cache.get(layer.name)
            before = salient if other is None else other.get(layer.name)
            if look.rounds:
                key = (cache, layer.name, look.bits, look.by_channel)
                if known is not None and known[0] == key:
                    before = known[1]
                else:
                    before = rounded(layer, weight, look.bits, look.by_channel)
                self._rounded = key, before
            return look_at_matrix(
                layer, weight, before, request, threshold, colors, preview=preview, check=ticket.check
            )

        def done(painted: "PaintedTile") -> None:
            view.protocol = self.saliency.protocol if request.look.salient else ""
            view.show_tile(painted)
            if painted.tile.exact:
                self._inspector.notice.clear()
            else:
                self._ask_painted(request, preview=False)

        self._background.ask(HEATMAP_TOPIC, work, done, self._failed)

    def _ask_patterns(self, request: "TileRequest") -> None:
        from studio.controllers.heatmap_work import count_pattern

        view, cache, model = self._inspector.heatmap, self._cache, self._state.model
        wanted = (request.layer, request.look.pattern)
        if view is None or cache is None or model is None:
            return
        if wanted == self._counted:
            if self._patterns is not None:
                view.show_patterns(request.layer, self._patterns)
            return
        layer = model.description.layer(request.layer)
        self._counted, self._patterns = wanted, None

        def work(ticket: Ticket) -> PatternCount:
            return count_pattern(layer, cache.get(layer.name), request.look, ticket.check)

        def done(found: PatternCount) -> None:
            self._patterns = found
            view.show_patterns(layer.name, found)

        self._background.ask(PATTERN_TOPIC, work, done, self._failed)

    def _failed(self, problem: Problem) -> None:
        self._counted = None
        self._inspector.notice.show_problem(problem, retry=True)


def _colors(tokens: theme.Tokens, sequential: str) -> HeatmapColors:
    return heatmap_colors(
        dark=tokens.name == "dark",
        hole=tokens.hole,
        going=tokens.bad,
        invalid=tokens.series_color(5),
        live=tokens.series_color(0),
        breaks=tokens.series_color(3),
        sequential=sequential,
    )
