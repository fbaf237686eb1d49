"""GridBar: the line under the histogram's controls for a quantization grid: bits, ends, and what it costs."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QPushButton, QSpinBox, QWidget

from studio import theme
from studio.views.elided import ElidedLabel
from studio.views.flow import FlowLayout

RANGES = (
    ("min-max", "Min – max", "From the smallest to the largest weight: nothing is clipped."),
    ("percentile", "99.9 %", "What lies beyond 99.9 % of the magnitudes is clipped."),
    ("mse", "Least error", "The range with the least squared error."),
)
ACTIVATION_RANGES = (
    ("min-max", "Min – max", "From the smallest to the largest value: nothing is clipped."),
    ("percentile", "99.99 %", "Of the values 0.01 % are clipped."),
    ("entropy", "Entropy", "The range that changes the distribution least (Kullback-Leibler)."),
    ("mse", "Least error", "The range with the least squared error."),
)
OWN = "own"


class GridBar(QWidget):
    """Fields for bits, symmetry and ends, a sentence, and a button. Decides nothing."""

    changed = Signal()
    use_wanted = Signal(int)  # bits: give the layers on show so many in the recipe

    def __init__(self, parent: QWidget | None = None, *, activations: bool = False) -> None:
        """Made for weights, or for `activations`: other ranges, asymmetric at first, and nothing to put to use."""
        super().__init__(parent)
        self.setObjectName("gridBar")
        one = "value" if activations else "weight"
        self.bits = QSpinBox()
        self.bits.setObjectName("gridBits")
        self.bits.setAccessibleName("Bits of the grid")
        self.bits.setToolTip(
            f"Bits of each {one}: the grid has 2 to this power values (one less if symmetric)."
        )
        self.bits.setRange(2, 8)
        self.bits.setValue(8 if activations else 4)
        self.bits.setSuffix(" bits")
        self.bits.lineEdit().setTextMargins(4, 0, 0, 0)
        self.bits.valueChanged.connect(lambda _: self.changed.emit())
        self.symmetric = QCheckBox("Symmetric")
        self.symmetric.setObjectName("gridSymmetric")
        self.symmetric.setChecked(not activations)
        self.symmetric.setToolTip(
            "Symmetric: the grid reaches as far below zero as above; zero is the integer 0. Otherwise it has a zero "
            "point."
        )
        self.symmetric.toggled.connect(self._ends_found)
        self.ranges = QComboBox()
        self.ranges.setObjectName("gridRanges")
        self.ranges.setAccessibleName("How the ends of the grid are found")
        for name, title, tip in ACTIVATION_RANGES if activations else RANGES:
            self.ranges.addItem(title, name)
            self.ranges.setItemData(self.ranges.count() - 1, tip, 3)
        self.ranges.setToolTip("How the ends of the range are found; or drag them in the plot.")
        self.ranges.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.use = QPushButton("Use these bits")
        self.use.setObjectName("gridUse")
        self.use.setAccessibleName("Use these bits for the layers on show")
        self.use.setToolTip(
            "Give the selected layers so many bits of their own in the recipe's quantize step. The step finds the ends "
            "of each channel itself, as its “Weight ranges” say."
        )
        self.use.clicked.connect(lambda: self.use_wanted.emit(self.bits.value()))
        self.told = ElidedLabel()
        self.told.setObjectName("gridText")
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE)
        caption = QLabel("Grid")
        caption.setBuddy(self.bits)
        for widget in (caption, self.bits, self.symmetric, self.ranges, self.use):
            row.addWidget(widget)
        if activations:  # to show a button that has no parent yet would open a window
            self.use.hide()
        layout = FlowLayout(theme.SPACE + theme.SPACE // 2, 2, self)
        layout.setContentsMargins(theme.SPACE, 0, theme.SPACE, theme.SPACE // 2)
        layout.addLayout(row)
        layout.addWidget(self.told)

    @property
    def method(self) -> str:
        """How the ends are found: a name of the ranges offered, or `OWN` where they were dragged."""
        return str(self.ranges.currentData())

    def show_dragged(self) -> None:
        """The ends have been dragged: they are the user's own now."""
        if self.method != OWN:
            self.ranges.blockSignals(True)
            if self.ranges.findData(OWN) < 0:
                self.ranges.addItem("Dragged", OWN)
            self.ranges.setCurrentIndex(self.ranges.findData(OWN))
            self.ranges.blockSignals(False)

    def forget_dragged(self) -> None:
        """Other weights: ends that were dragged for those before mean nothing. Tells nobody."""
        own = self.ranges.findData(OWN)
        if own >= 0:
            self.ranges.blockSignals(True)
            self.ranges.removeItem(own)
            self.ranges.setCurrentIndex(0)
            self.ranges.blockSignals(False)

    def show_told(self, text: str, tip: str = "", *, usable: bool = True) -> None:
        """Say what the grid does."""
        self.told.show_text(text, tip)
        self.use.setEnabled(usable)

    def _ends_found(self, _on: bool) -> None:
        # One end that was dragged says nothing about two.
        self.forget_dragged()
        self.changed.emit()
