"""The Channels tab: norms and dead channels, how alike output channels are, and the singular values of a layer.

Imports pyqtgraph: import this module only when the tab is shown.
"""

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QSplitter, QVBoxLayout, QWidget

from core.analysis.channels import Spectrum
from studio import theme
from studio.views.channel_findings import ChannelFindings, dead_text, spectrum_text
from studio.views.channel_plot import ChannelPlot
from studio.views.elided import ElidedLabel
from studio.views.flow import FlowLayout
from studio.views.line_plot import Line, LinePlot
from studio.views.notice import PanelNotice
from studio.views.similarity_view import SimilarityView

_PARTS = (
    ("all", "Overview", "Norms, similarity and singular values together"),
    ("norms", "Norms", "Norms of the channels alone"),
    ("similarity", "Similarity", "Cosine similarity of the output channels alone"),
    ("spectrum", "Singular values", "Singular values alone"),
)


class ChannelsView(QWidget):
    """Shows findings and tells which channel was chosen."""

    channel_chosen = Signal(object)  # (axis of the weight, index)
    spectrum_wanted = Signal()  # although it takes long
    problem = Signal(object)  # Problem: a file could not be written

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("channelsView")
        self._found: ChannelFindings | None = None
        self._color = 0
        self.part_box = _box("channelsPart", "What is shown", "What is shown; one part alone has more room")
        for value, text, tip in _PARTS:
            self.part_box.addItem(text, value)
            self.part_box.setItemData(self.part_box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.side_box = _box(
            "channelsSide",
            "Output or input channels",
            "Whose norms are drawn: channels made, or channels read",
        )
        self.side_box.addItem("Output channels", "output")
        self.side_box.addItem("Input channels", "input")
        self.norm_box = _box(
            "channelsNorm", "Norm", "L2: square root of the sum of squares; L1: sum of magnitudes"
        )
        self.norm_box.addItem("L2", "L2")
        self.norm_box.addItem("L1", "L1")
        self.sorted = QCheckBox("Sorted")
        self.sorted.setObjectName("channelsSorted")
        self.sorted.setToolTip("From the largest norm to the smallest instead of in the order of the layer")
        self.sorted.setAccessibleName("Sort channels by norm")
        controls = QWidget()
        row = FlowLayout(theme.SPACE, theme.SPACE // 2, controls)
        row.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE // 2)
        for widget in (self.part_box, self.side_box, self.norm_box, self.sorted):
            row.addWidget(widget)
        self._norm_controls = (self.side_box, self.norm_box, self.sorted)

        self.dead = ElidedLabel()
        self.dead.setObjectName("channelsDead")
        self.dead.setContentsMargins(theme.SPACE, 0, theme.SPACE, 0)
        self.norms = ChannelPlot()
        self.norms.problem.connect(self.problem)
        self.norms.channel_chosen.connect(self._norm_clicked)
        norms = QWidget()
        inside = QVBoxLayout(norms)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        inside.addWidget(self.dead)
        inside.addWidget(self.norms, 1)
        self.similarity = SimilarityView()
        self.similarity.channel_chosen.connect(self._row_clicked)
        self.below = QSplitter(Qt.Orientation.Horizontal)
        self.below.setObjectName("channelsSplitter")
        self.below.setChildrenCollapsible(False)
        self.below.addWidget(self.similarity)
        self.below.addWidget(self._make_spectrum())
        self.below.setSizes([500, 500])
        self._norms_part = norms
        content = QSplitter(Qt.Orientation.Vertical)
        content.setChildrenCollapsible(False)
        content.addWidget(norms)
        content.addWidget(self.below)
        content.setSizes([430, 570])
        self.notice = PanelNotice(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(controls)
        layout.addWidget(self.notice)
        layout.addWidget(content, 1)
        self.part_box.currentIndexChanged.connect(self._part_chosen)
        self.side_box.currentIndexChanged.connect(self._draw_norms)
        self.norm_box.currentIndexChanged.connect(self._draw_norms)
        self.sorted.toggled.connect(self._draw_norms)

    def show_findings(self, found: ChannelFindings, color: int) -> None:
        """Show a layer's channels; `color` is the layer's index in the theme's series."""
        self._found, self._color = found, color
        self.notice.clear()
        self._draw_norms()
        self.similarity.show_findings(found)

    def show_spectrum(self, found: Spectrum) -> None:
        """Show a layer's singular values."""
        self.spectrum_notice.clear()
        values = found.values
        first = float(values[0]) if len(values) and values[0] > 0 else 1.0
        energy = np.cumsum(np.square(values))
        total = float(energy[-1]) if len(energy) and energy[-1] > 0 else 1.0
        places = np.arange(1, len(values) + 1, dtype=np.float64)
        self.spectrum.set_lines(
            (
                Line("values", "singular value / largest", places, 100 * values / first, 0),
                Line("energy", "energy up to here", places, 100 * energy / total, 1, dashed=True),
            )
        )
        self.spectrum.reset_view()
        self.spectrum_caption.show_text(spectrum_text(found))

    def show_no_spectrum(self, reason: str, button: str | None) -> None:
        """Say why there are no singular values, and offer to compute them if that is only a matter of time."""
        self.spectrum_caption.show_text("")
        self.spectrum_notice.show_empty(reason, button)

    # -- inside ---------------------------------------------------------------------------------------------

    def _make_spectrum(self) -> QWidget:
        self.spectrum_caption = ElidedLabel()
        self.spectrum_caption.setObjectName("spectrumCaption")
        self.spectrum_caption.setProperty("role", "small")
        self.spectrum_caption.setContentsMargins(theme.SPACE, 0, theme.SPACE, 0)
        self.spectrum = LinePlot("singular values")
        self.spectrum.set_axes(("number of singular values", ""), ("share", "%"))
        self.spectrum.problem.connect(self.problem)
        self.spectrum_notice = PanelNotice(self.spectrum)
        self.spectrum_notice.action.connect(self.spectrum_wanted)
        self._spectrum_part = part = QWidget()
        inside = QVBoxLayout(part)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(theme.SPACE // 2)
        inside.addWidget(self.spectrum_caption)
        inside.addWidget(self.spectrum_notice)
        inside.addWidget(self.spectrum, 1)
        return part

    def _part_chosen(self, _index: int) -> None:
        part = self.part_box.currentData()
        self._norms_part.setVisible(part in ("all", "norms"))
        self.below.setVisible(part != "norms")
        self.similarity.setVisible(part in ("all", "similarity"))
        self._spectrum_part.setVisible(part in ("all", "spectrum"))
        for widget in self._norm_controls:
            widget.setVisible(part in ("all", "norms"))

    def _draw_norms(self, _choice: object = None) -> None:
        if self._found is None:
            return
        side = self.side_box.currentData()
        norms = self._found.norms(side)
        self.dead.show_text(dead_text(norms, side))
        self.norms.show_norms(
            norms, side, self.norm_box.currentData(), self._color, in_order_of_size=self.sorted.isChecked()
        )

    def _norm_clicked(self, channel: int) -> None:
        if self._found is not None:
            self.channel_chosen.emit((self._found.axis(self.side_box.currentData()), channel))

    def _row_clicked(self, channel: int) -> None:
        if self._found is not None:
            self.channel_chosen.emit((self._found.output_axis, channel))


def _box(name: str, accessible: str, tip: str) -> QComboBox:
    box = QComboBox()
    box.setObjectName(name)
    box.setAccessibleName(accessible)
    box.setToolTip(tip)
    return box
