"""The inspector in the middle: a heading that says what is looked at, and a tab for each way to look at it.

The tabs need pyqtgraph, which takes half a second to import: they are built after the inspector's first
paint.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QTabWidget, QVBoxLayout, QWidget

from studio import theme
from studio.views.elided import ElidedLabel
from studio.views.lazy_tab import LazyTab
from studio.views.notice import PanelNotice
from studio.views.removal import LayerRemoval
from studio.views.wall_view import WallView

if TYPE_CHECKING:
    from studio.views.heatmap_view import HeatmapView
    from studio.views.histogram_view import HistogramView

HISTOGRAM, HEATMAP = range(2)


class Inspector(QWidget):
    """Holds the tabs. `ready` comes once, when they have been built; before that `histogram` is None."""

    ready = Signal()
    tab_changed = Signal()
    preview_changed = Signal(object)  # Mapping[str, float]: magnitude thresholds by layer name, or empty
    open_requested = Signal()  # the empty inspector's button
    problem = Signal(object)  # Problem without a place of its own

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inspector")
        self.setAccessibleName("Inspector")
        self.histogram: HistogramView | None = None
        self.heatmap: HeatmapView | None = None
        self.channels = LazyTab(_channels_view)
        self.activations = LazyTab(_activations_view)
        self.difference = LazyTab(_difference_view)
        self.distil = LazyTab(_distil_view)
        self._distils = False
        self.wall = WallView()
        self._preview: dict[str, float] = {}
        self._removals: dict[str, LayerRemoval] = {}
        self._building = False

        self.heading = ElidedLabel()
        self.heading.setObjectName("inspectorHeading")
        self.heading.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.preview_text = ElidedLabel()
        self.preview_text.setObjectName("inspectorPreview")
        self.preview_text.setProperty("role", "problem")
        self.preview_text.hide()
        self.tabs = QTabWidget()
        self.tabs.setObjectName("inspectorTabs")
        self.tabs.setAccessibleName("Ways to look at the selected layers")
        self.tabs.setDocumentMode(True)
        self.tabs.currentChanged.connect(self._tab_chosen)

        content = QWidget()
        content.setObjectName("inspectorContent")
        top = QHBoxLayout()
        top.setContentsMargins(theme.SPACE, theme.SPACE // 2, theme.SPACE, theme.SPACE // 2)
        top.setSpacing(2 * theme.SPACE)
        top.addWidget(self.heading, 1)
        top.addWidget(self.preview_text)
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        inside.addLayout(top)
        inside.addWidget(self.tabs, 1)
        self.notice = PanelNotice(content)
        self.notice.action.connect(self.open_requested)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.notice)
        layout.addWidget(content, 1)

    def build_plots(self) -> None:
        """Import the plot library and make the tabs, once. Called by itself after the first paint."""
        if self.histogram is not None:
            return
        from studio.views.heatmap_view import HeatmapView
        from studio.views.histogram_view import HistogramView

        self.histogram, self.heatmap = HistogramView(), HeatmapView()
        for view in (self.histogram, self.heatmap):
            view.problem.connect(self.problem)
        self.tabs.blockSignals(True)
        self.tabs.addTab(self.histogram, "Histogram")
        self.tabs.addTab(self.heatmap, "Heatmap")
        self.tabs.setTabToolTip(HISTOGRAM, "How the weights of the selected layers are distributed")
        self.tabs.setTabToolTip(HEATMAP, "Every weight of one layer as a picture: where the zeros are")
        for tab, title, tip in (
            (self.channels, "Channels", "Norms, dead channels, similarity and singular values of one layer"),
            (self.activations, "Activations", "What flows through the network on examples of the task"),
            (self.difference, "Difference", "What changed against another model, layer by layer"),
            (self.wall, "All layers", "The histograms of all layers side by side"),
            (self.distil, "Teacher", "Teacher and student of the selected distillation side by side"),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(tab, title), tip)
        self.tabs.setTabVisible(self.tabs.indexOf(self.distil), self._distils)
        self.tabs.blockSignals(False)
        self.histogram.set_thresholds(self._preview)
        self.ready.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        # Not by style sheet, which reaches the children too.
        painter = QPainter(self)
        painter.fillRect(event.rect(), QColor(theme.tokens().panel))
        painter.end()
        if self.histogram is None and not self._building:
            self._building = True
            QTimer.singleShot(0, self.build_plots)

    # -- what is shown --------------------------------------------------------------------------------------

    @property
    def tab(self) -> int:
        """The index of the tab on show: HISTOGRAM, HEATMAP or a later one."""
        return max(0, self.tabs.currentIndex())

    def show_tab(self, tab: int) -> None:
        """Bring a tab to the front."""
        self.build_plots()
        self.tabs.setCurrentIndex(tab)

    @property
    def current(self) -> QWidget | None:
        """The tab on show, as a widget; None before there are tabs."""
        return self.tabs.currentWidget()

    def show_view(self, tab: QWidget) -> None:
        """Bring a tab to the front."""
        self.build_plots()
        self.tabs.setCurrentWidget(tab)

    def offer_distil(self, offered: bool) -> None:
        """Whether there is a distillation whose teacher can be looked at."""
        self._distils = offered
        place = self.tabs.indexOf(self.distil)
        if place >= 0:
            self.tabs.setTabVisible(place, offered)

    def set_heading(self, text: str) -> None:
        """Say what is looked at."""
        self.heading.show_text(text)

    @property
    def preview(self) -> Mapping[str, float]:
        """The thresholds being previewed, by layer name; empty without a preview."""
        return self._preview

    def set_preview(self, thresholds: Mapping[str, float] | None) -> None:
        """Draw what magnitude pruning would take: weights with |w| <= the threshold of their layer.

        None, or a layer that is left out, means that nothing would go.
        """
        self._set_preview(dict(thresholds or {}), {})

    def set_plan(self, removals: Mapping[str, LayerRemoval] | None) -> None:
        """As `set_preview`, with the plan's own counts: a threshold cannot tell which of equal magnitudes go."""
        found = dict(removals or {})
        self._set_preview({name: one.threshold for name, one in found.items()}, found)

    @property
    def removals(self) -> Mapping[str, LayerRemoval]:
        """What the plan being previewed takes of each layer; empty where only thresholds are known."""
        return self._removals

    def _set_preview(self, preview: dict[str, float], removals: dict[str, LayerRemoval]) -> None:
        if preview != self._preview or removals != self._removals:
            self._removals = removals
            if preview != self._preview:
                self._preview = preview
                if self.histogram is not None:
                    self.histogram.set_thresholds(preview)
            self.preview_changed.emit(preview)

    def set_preview_text(self, text: str) -> None:
        """Say in numbers what would go; nothing without text."""
        self.preview_text.show_text(text)
        self.preview_text.setVisible(bool(text))

    def _tab_chosen(self, _index: int) -> None:
        self.tab_changed.emit()


def _channels_view() -> QWidget:
    from studio.views.channels_view import ChannelsView

    return ChannelsView()


def _activations_view() -> QWidget:
    from studio.views.activations_view import ActivationsView

    return ActivationsView()


def _difference_view() -> QWidget:
    from studio.views.difference_view import DifferenceView

    return DifferenceView()


def _distil_view() -> QWidget:
    from studio.views.distil_view import DistilView

    return DistilView()
