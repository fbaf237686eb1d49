"""DistilView: teacher and student of a distillation side by side, their layers to pair, the teacher's soft targets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from studio import theme
from studio.views.notice import PanelNotice
from studio.views.soft_targets import Example, SoftTargets

STEPS = 400
COLDEST, HOTTEST = 0.5, 100.0


@dataclass(frozen=True)
class Side:
    """One network in words: title, parameters, bytes, MACs; and its layers with the shapes of their outputs."""

    title: str
    parameters: str
    size: str
    macs: str
    layers: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PairRow:
    """A pair: the student's layer, the teacher's, what is between them, and whether they can be compared."""

    student: str
    teacher: str
    words: str
    fits: bool


class DistilView(QWidget):
    """Decides nothing: says what was chosen, clicked and dragged."""

    teacher_chosen = Signal(str)
    pair_wanted = Signal(str, str)  # student's layer, teacher's layer
    unpair_wanted = Signal(str)  # student's layer
    temperature_wanted = Signal(float)
    layers_clicked = Signal()  # another two are chosen in the lists

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("distilView")
        self._temperature = 4.0
        self.teacher = QComboBox()
        self.teacher.setObjectName("distilTeacher")
        self.teacher.setAccessibleName("Teacher")
        self.teacher.setToolTip(
            "Who is learned from: “source” is the model before this recipe, “self” the model when this step begins; or "
            "a built-in network, or a file"
        )
        self.teacher.setEditable(True)
        self.teacher.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.teacher.setMinimumContentsLength(12)
        self.teacher.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.teacher.activated.connect(lambda _: self._teacher_typed())
        self.teacher.lineEdit().editingFinished.connect(self._teacher_typed)
        self.file = QPushButton("File…")
        self.file.setObjectName("distilFile")
        self.file.setAccessibleName("Choose a teacher's file")
        self.file.setToolTip("Learn from a model in a file")
        self.file.clicked.connect(self._ask_file)
        self._chosen = ""

        self._figures: dict[tuple[str, str], QLabel] = {}
        self.costs = self._make_costs()
        self.problem = QLabel()
        self.problem.setObjectName("distilProblem")
        self.problem.setProperty("role", "problem")
        self.problem.setWordWrap(True)
        self.problem.hide()
        self.pairing = self._make_pairing()
        self.softness = self._make_softness()

        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE)
        column.setSpacing(theme.SPACE)
        choose = QHBoxLayout()
        choose.setSpacing(theme.SPACE)
        caption = QLabel("Teacher")
        caption.setBuddy(self.teacher)
        choose.addWidget(caption)
        choose.addWidget(self.teacher, 1)
        choose.addWidget(self.file)
        column.addLayout(choose)
        column.addWidget(self.costs)
        column.addWidget(self.problem)
        column.addWidget(self.pairing)
        column.addWidget(self.softness)
        column.addStretch(1)
        area = QScrollArea()
        area.setAccessibleName("Teacher and student")
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidget(inside)
        self.notice = PanelNotice(area)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.notice)
        layout.addWidget(area, 1)

    # -- what is shown --------------------------------------------------------------------------------------

    def show_teachers(self, names: Sequence[str], chosen: str) -> None:
        """Offer these, with the one that the step has."""
        self._chosen = chosen
        self.teacher.blockSignals(True)
        self.teacher.clear()
        self.teacher.addItems(list(dict.fromkeys([*names, chosen])))
        self.teacher.setCurrentText(chosen)
        self.teacher.blockSignals(False)

    def show_sides(
        self, student: Side | None, teacher: Side | None, ratios: Mapping[str, str], problem: str = ""
    ) -> None:
        """Set both side by side; `ratios` by "parameters", "size" and "macs"."""
        for name, side in (("student", student), ("teacher", teacher)):
            for part in ("title", "parameters", "size", "macs"):
                self._figures[name, part].setText("…" if side is None else getattr(side, part))
        for part in ("parameters", "size", "macs"):
            self._figures["ratio", part].setText(ratios.get(part, ""))
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        for box, side in ((self.student_layers, student), (self.teacher_layers, teacher)):
            fill(box, () if side is None else side.layers)
        self._clicked()

    def show_pairs(self, pairs: Sequence[PairRow], *, paired: bool) -> None:
        """List the pairs; `paired` tells whether the method compares layers at all."""
        self.pairing.setVisible(paired)
        while (item := self._pairs.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for pair in pairs:
            self._pairs.addWidget(self._pair_row(pair))
        self.no_pairs.setVisible(not pairs)

    def show_examples(self, examples: Sequence[Example], class_names: Sequence[str]) -> None:
        """Show what the teacher says about these."""
        self.soft.show_examples(examples, class_names)
        self.soft_notice.clear()

    def show_temperature(self, temperature: float, *, used: bool) -> None:
        """The step's temperature; `used` tells whether its method has one."""
        self._temperature = temperature
        self.softness.setVisible(used)
        self.slider.blockSignals(True)
        self.slider.setValue(place_of(temperature))
        self.slider.blockSignals(False)
        self._show_dragged(temperature)

    @property
    def temperature(self) -> float:
        """Where the slider stands."""
        return temperature_at(self.slider.value())

    # -- inside ---------------------------------------------------------------------------------------------

    def _make_costs(self) -> QWidget:
        holder = QWidget()
        holder.setObjectName("distilCosts")
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(3 * theme.SPACE)
        grid.setVerticalSpacing(theme.SPACE // 2)
        grid.setColumnStretch(4, 1)
        right = Qt.AlignmentFlag.AlignRight
        for column, text in enumerate(("", "Teacher", "Student", "Student is")):
            head = QLabel(text)
            head.setProperty("role", "heading")
            grid.addWidget(head, 0, column, right if column else Qt.AlignmentFlag.AlignLeft)
        rows = (("title", "Network"), ("parameters", "Parameters"), ("size", "Dense file"), ("macs", "MACs"))
        for row, (part, title) in enumerate(rows, start=1):
            grid.addWidget(QLabel(title), row, 0)
            for column, name in enumerate(("teacher", "student", "ratio"), start=1):
                if name == "ratio" and part == "title":
                    continue
                label = QLabel("…" if name != "ratio" else "")
                label.setObjectName(f"distil-{name}-{part}")
                label.setAccessibleName(f"{title} of the {name}")
                grid.addWidget(label, row, column, right)
                self._figures[name, part] = label
        return holder

    def _make_pairing(self) -> QWidget:
        holder = QWidget()
        holder.setObjectName("distilPairing")
        self.teacher_layers = _list("distilTeacherLayers", "Layers of the teacher")
        self.student_layers = _list("distilStudentLayers", "Layers of the student")
        for box in (self.teacher_layers, self.student_layers):
            box.itemSelectionChanged.connect(self._clicked)
        self.pair = QPushButton("Pair")
        self.pair.setObjectName("distilPair")
        self.pair.setAccessibleName("Pair the chosen layers")
        self.pair.setToolTip("Let the student's layer learn from the teacher's; click one in each list first")
        self.pair.clicked.connect(self._pair_clicked)
        self.pair_words = QLabel()
        self.pair_words.setObjectName("distilPairWords")
        self.pair_words.setProperty("role", "muted")
        self.pair_words.setWordWrap(True)
        self.no_pairs = QLabel("No pairs: layers in the middle are paired by themselves.")
        self.no_pairs.setProperty("role", "muted")
        self.no_pairs.setWordWrap(True)
        lists = QHBoxLayout()
        lists.setSpacing(theme.SPACE)
        for title, box in (
            ("Teacher’s layers", self.teacher_layers),
            ("Student’s layers", self.student_layers),
        ):
            part = QVBoxLayout()
            head = QLabel(title)
            head.setProperty("role", "heading")
            part.addWidget(head)
            part.addWidget(box)
            lists.addLayout(part, 1)
        act = QHBoxLayout()
        act.setSpacing(theme.SPACE)
        act.addWidget(self.pair)
        act.addWidget(self.pair_words, 1)
        self._pairs = QVBoxLayout()
        self._pairs.setSpacing(theme.SPACE // 2)
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addLayout(lists)
        column.addLayout(act)
        column.addLayout(self._pairs)
        column.addWidget(self.no_pairs)
        return holder

    def _make_softness(self) -> QWidget:
        holder = QWidget()
        holder.setObjectName("distilSoftness")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setObjectName("distilTemperature")
        self.slider.setAccessibleName("Temperature")
        self.slider.setToolTip(
            "Outputs are divided by the temperature before the softmax: the higher, the more is said about the wrong "
            "classes (Hinton et al. 2015)"
        )
        self.slider.setRange(0, STEPS)
        self.slider.valueChanged.connect(self._dragged)
        self.reading = QLabel()
        self.reading.setObjectName("distilReading")
        self.reading.setMinimumWidth(64)
        self.use = QPushButton("Use this temperature")
        self.use.setObjectName("distilUse")
        self.use.setToolTip("Put it into the step")
        self.use.clicked.connect(lambda: self.temperature_wanted.emit(self.temperature))
        self.soft = SoftTargets()
        body = QWidget()
        inner = QVBoxLayout(body)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self.soft)
        self.soft_notice = PanelNotice(body)
        head = QLabel("Soft targets of test examples")
        head.setProperty("role", "heading")
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE)
        caption = QLabel("Temperature")
        caption.setBuddy(self.slider)
        row.addWidget(caption)
        row.addWidget(self.slider, 1)
        row.addWidget(self.reading)
        row.addWidget(self.use)
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addWidget(head)
        column.addLayout(row)
        column.addWidget(self.soft_notice)
        column.addWidget(body)
        return holder

    def _pair_row(self, pair: PairRow) -> QWidget:
        row = QWidget()
        row.setObjectName("distilPairRow")
        text = QLabel(f"{pair.teacher} → {pair.student}: {pair.words}")
        text.setProperty("role", "" if pair.fits else "problem")
        text.setWordWrap(True)
        remove = QPushButton("Remove")
        remove.setObjectName("distilUnpair")
        remove.setAccessibleName(f"Remove the pair of {pair.student}")
        remove.clicked.connect(lambda: self.unpair_wanted.emit(pair.student))
        inside = QHBoxLayout(row)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(text, 1)
        inside.addWidget(remove)
        return row

    def _teacher_typed(self) -> None:
        text = self.teacher.currentText().strip()
        if text and text != self._chosen:
            self._chosen = text
            self.teacher_chosen.emit(text)

    def _ask_file(self) -> None:
        dialog = QFileDialog(self, "Choose a teacher")
        dialog.setObjectName("distilFileDialog")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self.teacher_chosen)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    @property
    def clicked_layers(self) -> tuple[str, str] | None:
        """The student's and the teacher's layer that are chosen in the lists."""
        ours, theirs = self.student_layers.currentItem(), self.teacher_layers.currentItem()
        if ours is None or theirs is None or not (ours.isSelected() and theirs.isSelected()):
            return None
        return str(ours.data(Qt.ItemDataRole.UserRole)), str(theirs.data(Qt.ItemDataRole.UserRole))

    def show_pair_words(self, text: str, *, fits: bool) -> None:
        """What would be put between the chosen layers, or why they cannot be compared."""
        self.pair_words.setText(text)
        self.pair.setEnabled(fits)

    def _clicked(self) -> None:
        if self.clicked_layers is None:
            self.show_pair_words("Click a layer in each list.", fits=False)
        else:
            self.layers_clicked.emit()

    def _pair_clicked(self) -> None:
        layers = self.clicked_layers
        if layers is not None:
            self.pair_wanted.emit(*layers)

    def _dragged(self, place: int) -> None:
        self._show_dragged(temperature_at(place))

    def _show_dragged(self, temperature: float) -> None:
        self.reading.setText(f"T = {temperature:g}")
        self.soft.set_temperature(temperature)
        self.use.setEnabled(temperature != self._temperature)


def temperature_at(place: int) -> float:
    """The temperature at a place of the slider, which is logarithmic; three digits."""
    value = COLDEST * (HOTTEST / COLDEST) ** (place / STEPS)
    return float(f"{value:.3g}")


def place_of(temperature: float) -> int:
    """The inverse of `temperature_at`, to the nearest place."""
    inside = min(HOTTEST, max(COLDEST, temperature))
    return round(STEPS * math.log(inside / COLDEST) / math.log(HOTTEST / COLDEST))


def fill(box: QListWidget, layers: Sequence[tuple[str, str]]) -> None:
    """Put layers into a list; the chosen one stays if it is still there."""
    current = box.currentItem()
    chosen = None if current is None else current.data(Qt.ItemDataRole.UserRole)
    box.blockSignals(True)
    box.clear()
    for name, shape in layers:
        item = QListWidgetItem(f"{name}    {shape}")
        item.setData(Qt.ItemDataRole.UserRole, name)
        item.setToolTip(f"{name}: output {shape} for one example")
        box.addItem(item)
        if name == chosen:
            box.setCurrentItem(item)
    box.blockSignals(False)


def _list(name: str, accessible: str) -> QListWidget:
    box = QListWidget()
    box.setObjectName(name)
    box.setAccessibleName(accessible)
    box.setMinimumHeight(120)
    box.setMaximumHeight(200)
    box.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    return box
