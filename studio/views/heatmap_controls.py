"""The row above the heatmap: which layer, what the colours mean, which weights belong together."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QSpinBox, QWidget

from core.analysis.patterns import Pattern
from core.models.description import Layer
from studio import theme
from studio.views.flow import FlowLayout
from studio.views.heatmap_request import Grouping, Look, Mode

_MODES: tuple[tuple[Mode, str, str], ...] = (
    ("magnitude", "|w|", "Magnitude of the weights"),
    ("signed", "Signed w", "The weights with their sign"),
    ("sparsity", "Zero fraction", "Which part of the weights is exactly zero"),
    ("mask", "Mask", "Kept and pruned weights, and those that the recipe's prune step would take"),
    (
        "saliency",
        "Saliency",
        "½ · h · w²: what the loss would rise by without the weight (Optimal Brain Damage, LeCun et al. 1990), from "
        "training examples of the task",
    ),
    (
        "square",
        "w²",
        "The squared weights: what Optimal Brain Damage ranks by where the loss is equally curved everywhere; no data "
        "needed",
    ),
    (
        "rounding",
        "Rounding error",
        "What each weight loses when it is rounded to a grid of few bits: symmetric, from the smallest to the largest, "
        "as the quantize step has it at first",
    ),
    ("difference", "Difference", "What changed against the model that is compared with, weight by weight"),
)
_GROUPINGS: tuple[tuple[Grouping, str, str], ...] = (
    ("element", "Weight", "Every weight alone, as far as the screen has room"),
    ("kernel", "Kernel", "The weights from one input channel to one output channel together"),
    ("input", "Input channel", "All weights that read one input channel together"),
    ("output", "Output channel", "All weights that make one output channel together"),
    ("block", "Block", "Squares of the weight matrix together, as block-sparse kernels skip them"),
    (
        "pattern",
        "N:M groups",
        "Groups of M weights along the input of which more than N are other than zero: they break the pattern that "
        "sparse tensor cores need (Mishra et al. 2021)",
    ),
)
_MAPS = (
    ("cividis", "Cividis", "Blue to yellow; looks alike with every colour vision (Nuñez et al. 2018)"),
    ("viridis", "Viridis", "Violet to yellow; even in brightness, safe for colour-blind eyes"),
)


class HeatmapControls(QWidget):
    """Tells which look is chosen; `layer_chosen` and `look_changed` come after every choice."""

    layer_chosen = Signal()
    look_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("heatmapControls")
        self.layer_box = _box(
            "heatmapLayer",
            "Layer on the heatmap",
            "Which of the selected layers is shown; a heatmap shows one at a time",
            8,
        )
        self.layer_box.currentIndexChanged.connect(self._layer)
        self.mode_box = _box("heatmapMode", "What the colours show", "What the colours show", 8)
        _fill(self.mode_box, _MODES)
        self.grouping_box = _box(
            "heatmapGrouping",
            "Which weights belong together",
            "Which weights one cell of the picture stands for",
            8,
        )
        _fill(self.grouping_box, _GROUPINGS)
        self.block = _spin("heatmapBlock", "Side of a block", "Rows and columns of a block", 2, 1024, 8)
        self.kept = _spin(
            "heatmapKept", "N of N:M", "N: weights of a group that may be other than zero", 1, 4, 2
        )
        self.group = _spin("heatmapGroup", "M of N:M", "M: weights of a group, along the input", 2, 64, 4)
        self.colon = QLabel(":")
        self.bits = _spin("heatmapBits", "Bits of the grid", "Bits that the weights are rounded to", 2, 8, 4)
        self.bits.setSuffix(" bits")
        self.scales = _box("heatmapScales", "Scales of the grid", "How many weights share a scale", 8)
        _fill(
            self.scales,
            (
                ("channel", "per channel", "Each output channel has a scale of its own"),
                ("tensor", "one scale", "One scale for the whole layer"),
            ),
        )
        self.map_box = _box("heatmapColors", "Colour map", "Colour map of magnitudes and fractions", 5)
        _fill(self.map_box, _MAPS)
        self.whole = QPushButton("Whole layer")
        self.whole.setObjectName("heatmapWhole")
        self.whole.setAccessibleName("Show the whole layer")
        self.whole.setToolTip("Show the whole layer again (double-click or 0)")
        pattern = QWidget()
        inside = QHBoxLayout(pattern)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(theme.SPACE // 2)
        for widget in (self.kept, self.colon, self.group):
            inside.addWidget(widget)
        self.pattern_row = pattern
        layout = FlowLayout(theme.SPACE, theme.SPACE // 2, self)
        layout.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE // 2)
        for widget in (
            self.layer_box,
            self.mode_box,
            self.grouping_box,
            self.block,
            pattern,
            self.bits,
            self.scales,
            self.map_box,
            self.whole,
        ):
            layout.addWidget(widget)
        self.mode_box.currentIndexChanged.connect(self._look)
        self.grouping_box.currentIndexChanged.connect(self._look)
        self.map_box.currentIndexChanged.connect(self._look)
        self.bits.valueChanged.connect(self._look)
        self.scales.currentIndexChanged.connect(self._look)
        self.block.valueChanged.connect(self._look)
        self.kept.valueChanged.connect(self._look)
        self.group.valueChanged.connect(self._group_chosen)
        self._show_what_applies()

    @property
    def look(self) -> Look:
        """What is chosen."""
        return Look(
            self.mode_box.currentData(),
            self.grouping_box.currentData(),
            self.block.value(),
            Pattern(self.kept.value(), self.group.value()),
            self.map_box.currentData(),
            self.bits.value(),
            self.scales.currentData() == "channel",
        )

    def choose(self, mode: Mode, grouping: Grouping | None = None) -> None:
        """Choose what the colours show, and which weights belong together if that matters."""
        self.mode_box.setCurrentIndex(self.mode_box.findData(mode))
        if grouping is not None:
            self.grouping_box.setCurrentIndex(self.grouping_box.findData(grouping))

    def offer(self, layers: Sequence[Layer], place: int) -> None:
        """Offer these layers, of which the one at `place` is chosen, without telling anybody."""
        self.layer_box.blockSignals(True)
        self.layer_box.clear()
        self.layer_box.addItems([layer.name for layer in layers])
        self.layer_box.setCurrentIndex(place if layers else -1)
        self.layer_box.blockSignals(False)
        self.layer_box.setVisible(len(layers) > 1)

    def _layer(self, _index: int) -> None:
        self.layer_chosen.emit()

    def _group_chosen(self, group: int) -> None:
        self.kept.setMaximum(group)
        self._look(0)

    def _look(self, _index: int) -> None:
        self._show_what_applies()
        self.look_changed.emit()

    def _show_what_applies(self) -> None:
        grouping = self.grouping_box.currentData()
        self.block.setVisible(grouping == "block")
        self.pattern_row.setVisible(grouping == "pattern")
        self.mode_box.setEnabled(grouping != "pattern")
        self.mode_box.setToolTip(
            "N:M groups have colours of their own: broken or kept"
            if grouping == "pattern"
            else "What the colours show"
        )
        rounds = self.mode_box.currentData() == "rounding" and grouping != "pattern"
        self.bits.setVisible(rounds)
        self.scales.setVisible(rounds)
        sequential = self.mode_box.currentData() in ("magnitude", "sparsity", "saliency", "square")
        self.map_box.setVisible(sequential and grouping != "pattern")


def _box(name: str, accessible: str, tip: str, letters: int) -> QComboBox:
    box = QComboBox()
    box.setObjectName(name)
    box.setAccessibleName(accessible)
    box.setToolTip(tip)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(letters)
    return box


def _fill(box: QComboBox, choices: Sequence[tuple[str, str, str]]) -> None:
    for value, text, tip in choices:
        box.addItem(text, value)
        box.setItemData(box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)


def _spin(name: str, accessible: str, tip: str, low: int, high: int, value: int) -> QSpinBox:
    spin = QSpinBox()
    spin.setObjectName(name)
    spin.setAccessibleName(accessible)
    spin.setToolTip(tip)
    spin.setRange(low, high)
    spin.setValue(value)
    spin.setKeyboardTracking(False)
    spin.lineEdit().setTextMargins(4, 0, 0, 0)
    return spin
