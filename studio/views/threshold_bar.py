"""ThresholdBar: the line under the histogram's controls that says what a threshold would take, and takes it."""

from dataclasses import dataclass

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from studio import theme
from studio.views.elided import ElidedLabel
from studio.views.flow import FlowLayout
from studio.views.number_box import NumberBox, NumberFormat


@dataclass(frozen=True)
class ThresholdShown:
    """What the bar says.

    Attributes:
        text: how many weights fall below, in words.
        tip: the same layer by layer.
        obstacle: why the layers cannot be pruned there; "" where they can.
    """

    text: str
    tip: str = ""
    obstacle: str = ""


_PRUNE_TIP = (
    "Give each selected layer, as its own sparsity in the recipe's prune step, the part of its weights that falls "
    "below"
)


class ThresholdBar(QWidget):
    """A field for the threshold, a sentence, and a button. Decides nothing."""

    typed = Signal(float)  # the threshold, by field
    prune_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("thresholdBar")
        self.box = NumberBox(NumberFormat(minimum=0.0))
        self.box.setObjectName("thresholdValue")
        self.box.setAccessibleName("Threshold of magnitude")
        self.box.setToolTip(
            "Weights whose magnitude is at most this fall below. Drag the lines in the plot, type, or use the arrow "
            "keys in field or plot (with Shift: smaller steps in the plot)."
        )
        self.box.setFixedWidth(104)
        self.box.value_changed.connect(self._typed)
        self.prune = QPushButton("Prune below this")
        self.prune.setObjectName("thresholdPrune")
        self.prune.setAccessibleName("Prune below this threshold")
        self.prune.setToolTip(_PRUNE_TIP)
        self.prune.clicked.connect(self.prune_wanted)
        self.told = ElidedLabel()
        self.told.setObjectName("thresholdText")
        caption = QLabel("|w| ≤")
        caption.setBuddy(self.box)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE)
        row.addWidget(caption)
        row.addWidget(self.box)
        row.addWidget(self.prune)
        layout = FlowLayout(theme.SPACE + theme.SPACE // 2, 2, self)
        layout.setContentsMargins(theme.SPACE, 0, theme.SPACE, theme.SPACE // 2)
        layout.addLayout(row)
        layout.addWidget(self.told)

    def show_threshold(self, threshold: float, largest: float) -> None:
        """Show where the lines are; the arrows step through up to `largest`."""
        self.box.set_format(NumberFormat(minimum=0.0, maximum=largest, step=_step(largest)))
        self.box.set_value(threshold)

    def show_told(self, shown: ThresholdShown) -> None:
        """Say what falls below."""
        self.told.show_text(shown.obstacle or shown.text, shown.tip)
        self.told.setProperty("role", "problem" if shown.obstacle else "")
        self.told.style().polish(self.told)
        self.prune.setEnabled(not shown.obstacle and bool(shown.text))
        self.prune.setToolTip(shown.obstacle or _PRUNE_TIP)

    def _typed(self, value: object) -> None:
        if isinstance(value, int | float) and value >= 0:
            self.typed.emit(float(value))


def _step(largest: float) -> float:
    """A round step, about a hundredth of the largest magnitude."""
    if not largest > 0:
        return 0.01
    return float(f"{largest / 100:.0e}")
