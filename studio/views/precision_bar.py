"""PrecisionBar: the line below the layer table that fills the column Bits from a measured sensitivity."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QSpinBox, QVBoxLayout, QWidget

from studio import theme
from studio.views.elided import ElidedLabel
from studio.views.flow import FlowLayout

KEPT_IN = (
    (16, "float16", "Half the bytes of float32, almost without loss."),
    (32, "float32", "Left as they are."),
    (8, "8 bits", "Integers, for steps that have fewer bits."),
)


class PrecisionBar(QWidget):
    """How many of the worst layers, in which precision, two buttons, and what is known. Decides nothing."""

    fill_wanted = Signal(int, int)  # so many of the worst layers, in so many bits
    measure_wanted = Signal()
    changed = Signal()  # another number of layers

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("precisionBar")
        self.setAccessibleName("Precision by sensitivity")
        self.keep = QSpinBox()
        self.keep.setObjectName("precisionKeep")
        self.keep.setAccessibleName("So many of the worst layers")
        self.keep.setToolTip(
            "So many of the layers that suffer most from few bits are kept in a higher precision."
        )
        self.keep.setRange(0, 9_999)
        self.keep.setValue(3)
        self.keep.lineEdit().setTextMargins(4, 0, 0, 0)
        self.keep.valueChanged.connect(lambda _: self.changed.emit())
        self.kept_in = QComboBox()
        self.kept_in.setObjectName("precisionKeptIn")
        self.kept_in.setAccessibleName("Precision of the worst layers")
        self.kept_in.setToolTip("The precision that the worst layers are kept in.")
        for bits, title, tip in KEPT_IN:
            self.kept_in.addItem(title, bits)
            self.kept_in.setItemData(self.kept_in.count() - 1, tip, 3)
        self.fill = QPushButton("Fill from sensitivity")
        self.fill.setObjectName("precisionFill")
        self.fill.setAccessibleName("Fill the column Bits from the sensitivity")
        self.fill.setToolTip(
            "Give the worst layers this precision, and take the own bits of all others back (Ctrl+Z undoes it). "
            "Patterns such as conv* stay."
        )
        self.fill.clicked.connect(
            lambda: self.fill_wanted.emit(self.keep.value(), int(self.kept_in.currentData()))
        )
        self.measure = QPushButton("Measure")
        self.measure.setObjectName("precisionMeasure")
        self.measure.setAccessibleName("Measure which layers suffer from few bits")
        self.measure.clicked.connect(self.measure_wanted)
        self.told = ElidedLabel()
        self.told.setObjectName("precisionText")
        self.told.setProperty("role", "small")
        caption = QLabel("Worst")
        caption.setBuddy(self.keep)
        first = QHBoxLayout()
        first.setContentsMargins(0, 0, 0, 0)
        first.setSpacing(theme.SPACE)
        for widget in (caption, self.keep, QLabel("in"), self.kept_in):
            first.addWidget(widget)
        flow = FlowLayout(theme.SPACE, theme.SPACE // 2)
        flow.addLayout(first)
        flow.addWidget(self.fill)
        flow.addWidget(self.measure)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(theme.SPACE, theme.SPACE // 2, theme.SPACE, 0)
        layout.setSpacing(theme.SPACE // 2)
        layout.addLayout(flow)
        layout.addWidget(self.told)

    def show_known(self, text: str, tip: str = "", *, layers: int = 0) -> None:
        """Say what is known of the model's sensitivity; with `layers` ranked, the column can be filled."""
        self.told.show_text(text, tip)
        for widget in (self.keep, self.kept_in, self.fill):
            widget.setEnabled(layers > 0)
        if layers:
            self.keep.setMaximum(layers)

    def show_measurable(self, why_not: str = "") -> None:
        """Whether a measurement can be begun now; if not, the button's tip says why."""
        self.measure.setEnabled(not why_not)
        self.measure.setToolTip(
            why_not
            or "Queue a run that quantizes each layer alone and all but it at 8, 4 and 2 bits, and judges the network "
            "on all validation examples; the model is not changed."
        )
