"""How alike the output channels are: pairwise cosines as a picture."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from core.formatting import significant
from studio import theme
from studio.views.channel_findings import ChannelFindings, similarity_text
from studio.views.color_bar import ColorBar
from studio.views.elided import ElidedLabel
from studio.views.matrix_canvas import MatrixCanvas


class SimilarityView(QWidget):
    """A square matrix; the cursor reads one cosine, a click chooses the channel of its row."""

    channel_chosen = Signal(object)  # int: an output channel

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("similarityView")
        self._found: ChannelFindings | None = None
        self.caption = ElidedLabel()
        self.caption.setObjectName("similarityCaption")
        self.caption.setProperty("role", "small")
        self.caption.setContentsMargins(theme.SPACE, 0, theme.SPACE, 0)
        self.canvas = MatrixCanvas()
        self.canvas.setObjectName("similarityCanvas")
        self.canvas.setAccessibleName("Cosine similarity of output channels")
        self.canvas.hovered.connect(self._hovered)
        self.canvas.clicked.connect(self._clicked)
        self.color_bar = ColorBar()
        picture = QHBoxLayout()
        picture.setSpacing(theme.SPACE // 2)
        picture.addWidget(self.canvas, 1)
        picture.addWidget(self.color_bar)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE // 2)
        layout.addWidget(self.caption)
        layout.addLayout(picture, 1)

    def show_findings(self, found: ChannelFindings) -> None:
        """Show the cosines of a layer."""
        same = self._found is not None and self._found.layer == found.layer
        self._found = found
        side = len(found.similarity.channels)
        title = "output channel" + (" (sampled)" if found.similarity.sampled else "")
        if not same:
            self.canvas.set_matrix(side, side, (title, title), 1)
        self.canvas.set_pixels(found.pixels, (0, side), (0, side), (1, 1), self._value_text)
        swatches = ((found.hole, "all zero"),) if len(found.outputs.dead) else ()
        self.color_bar.show_scale("cosine", found.table, ((0.0, "−1"), (0.5, "0"), (1.0, "1")), swatches)
        self.caption.show_text(similarity_text(found.similarity))

    def _value_text(self, row: int, column: int) -> str:
        if self._found is None:
            return ""
        return significant(float(self._found.similarity.cosines[row, column]), 2).replace("-", "−")

    def _hovered(self, cell: tuple[int, int] | None) -> None:
        found = self._found
        if found is None:
            return
        if cell is None:
            self.caption.show_text(similarity_text(found.similarity))
            return
        first, second = (int(found.similarity.channels[place]) for place in cell)
        cosine = float(found.similarity.cosines[cell])
        value = "one is all zero" if cosine != cosine else significant(cosine).replace("-", "−")
        self.caption.show_text(f"Output channels {first} and {second}: cosine {value}")

    def _clicked(self, cell: tuple[int, int]) -> None:
        if self._found is not None:
            self.channel_chosen.emit(int(self._found.similarity.channels[cell[0]]))
