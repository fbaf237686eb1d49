"""ChannelsController: has the channels of the selected layer measured and compared while its tab is shown."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from core.analysis.channels import LARGEST_SIDE, QUICK_SIDE, Spectrum
from core.models.description import Layer
from core.models.opened import OpenedModel
from studio import theme
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.state import AppState
from studio.views.inspector import Inspector

if TYPE_CHECKING:
    from studio.controllers.inspect_work import WeightCache
    from studio.views.channel_findings import ChannelFindings
    from studio.views.channels_view import ChannelsView

CHANNELS_TOPIC = "inspector channels"
SPECTRUM_TOPIC = "inspector spectrum"


class ChannelsController(QObject):
    """Connects the state and the Channels tab."""

    channel_chosen = Signal(object, object, object)  # layer name, axis of the weight, index

    def __init__(
        self, state: AppState, background: Background, inspector: Inspector, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._background = background
        self._inspector = inspector
        self._cache: WeightCache | None = None
        self._shown: tuple[WeightCache, str, str] | None = None
        state.layer_selection_changed.connect(self.refresh)
        state.model_changed.connect(self._model_changed)
        inspector.tab_changed.connect(self.refresh)
        inspector.channels.built.connect(self._built)
        theme.events.changed.connect(self.refresh)
        if inspector.channels.view is not None:
            self._built()

    def set_cache(self, cache: "WeightCache | None") -> None:
        """Read weights from here."""
        self._cache = cache
        self.refresh()

    def refresh(self, _: object = None) -> None:
        """Look at the first selected layer again if the tab is shown and something has changed."""
        view, cache, layer = self._view(), self._cache, self._layer()
        if (
            view is None
            or cache is None
            or layer is None
            or self._inspector.current is not self._inspector.channels
        ):
            self._background.drop(CHANNELS_TOPIC)
            self._background.drop(SPECTRUM_TOPIC)
            return
        wanted = (cache, layer.name, theme.tokens().name)
        if self._shown == wanted:
            return
        if len(layer.shape) < 2 or not layer.weights:
            self._shown = None
            what = "no weights" if not layer.weights else "no channels, because its weight is a vector"
            view.notice.show_empty(f"{layer.name} has {what}: select another layer.")
            return
        self._ask(layer, cache)

    # -- inside ---------------------------------------------------------------------------------------------

    def _view(self) -> "ChannelsView | None":
        return self._inspector.channels.view  # type: ignore[return-value]

    def _layer(self) -> Layer | None:
        model = self._state.model
        if model is None:
            return None
        wanted = set(self._state.layers)
        return next((layer for layer in model.description.layers if layer.name in wanted), None)

    def _model_changed(self, _model: OpenedModel | None) -> None:
        self._shown = None
        self._background.drop(CHANNELS_TOPIC)
        self._background.drop(SPECTRUM_TOPIC)

    def _built(self) -> None:
        view = self._view()
        assert view is not None
        view.channel_chosen.connect(self._chosen)
        view.spectrum_wanted.connect(self._ask_spectrum)
        view.problem.connect(self._state.problem)
        view.notice.retry.connect(self.refresh)
        view.spectrum_notice.retry.connect(self._ask_spectrum)
        self.refresh()

    def _chosen(self, place: tuple[int, int]) -> None:
        layer = self._layer()
        if layer is not None:
            self.channel_chosen.emit(layer.name, *place)

    def _ask(self, layer: Layer, cache: "WeightCache") -> None:
        from studio.controllers.channels_work import look_at_channels

        view, tokens = self._view(), theme.tokens()
        assert view is not None
        wanted = (cache, layer.name, tokens.name)

        def work(ticket: Ticket) -> "ChannelFindings":
            return look_at_channels(layer, cache.get(layer.name), tokens, ticket.check)

        def done(found: "ChannelFindings") -> None:
            self._shown = wanted
            view.show_findings(found, self._color_of(layer))

        view.notice.show_busy()
        self._background.ask(CHANNELS_TOPIC, work, done, self._failed)
        short = min(layer.shape[0], layer.weights // layer.shape[0])
        if short <= QUICK_SIDE:
            self._ask_spectrum()
        else:
            self._background.drop(SPECTRUM_TOPIC)
            self._offer_spectrum(layer, short)

    def _offer_spectrum(self, layer: Layer, short: int) -> None:
        from studio.views.channel_findings import too_large_text

        view = self._view()
        assert view is not None
        sides = (layer.shape[0], layer.weights // layer.shape[0])
        if short > LARGEST_SIDE:
            view.show_no_spectrum(too_large_text(sides), None)
        else:
            view.show_no_spectrum(
                f"Singular values of a matrix of {sides[0]:,} × {sides[1]:,} take some seconds to a minute.",
                "Compute them",
            )

    def _ask_spectrum(self) -> None:
        from studio.controllers.channels_work import look_at_spectrum

        view, cache, layer = self._view(), self._cache, self._layer()
        if view is None or cache is None or layer is None:
            return

        def work(ticket: Ticket) -> Spectrum | None:
            return look_at_spectrum(layer, cache.get(layer.name), ticket.check)

        def done(found: Spectrum | None) -> None:
            if found is not None:
                view.show_spectrum(found)

        view.spectrum_notice.show_busy()
        self._background.ask(SPECTRUM_TOPIC, work, done, self._spectrum_failed)

    def _color_of(self, layer: Layer) -> int:
        model = self._state.model
        return model.description.layers.index(layer) if model is not None else 0

    def _failed(self, problem: Problem) -> None:
        view = self._view()
        if view is not None:
            view.notice.show_problem(problem, retry=True)

    def _spectrum_failed(self, problem: Problem) -> None:
        view = self._view()
        if view is not None:
            view.spectrum_notice.show_problem(problem, retry=True)
