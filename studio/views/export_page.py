"""ExportPage: what the open model really weighs, in which encoding, and the ways to save it."""

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from studio import icons, theme
from studio.views.flow import FlowLayout
from studio.views.notice import PanelNotice
from studio.views.runtime_panel import RuntimePanel


@dataclass(frozen=True)
class SizeRow:
    """One line of the table of sizes: what, how many bytes, against dense, and how it comes about."""

    label: str
    size: str
    exact: str
    ratio: str
    note: str


class ExportPage(QWidget):
    """Truth in size above, exports for runtimes in the middle, saving below."""

    save_model = Signal()
    save_packed = Signal()
    save_recipe = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("exportPage")
        self._title = QLabel()
        self._title.setProperty("role", "title")
        self._facts = QLabel()
        self._facts.setProperty("role", "muted")
        self._facts.setObjectName("exportFacts")
        self._facts.setWordWrap(True)
        self._grid_holder = QWidget()
        self._grid_holder.setObjectName("sizeTable")
        self._grid_holder.setAccessibleName("Sizes of the open model")
        self._words = QLabel()
        self._words.setObjectName("sizeWords")
        self._words.setWordWrap(True)
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        sizes = QWidget()
        inner = QVBoxLayout(sizes)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(2 * theme.SPACE)
        inner.addWidget(self._grid_holder)
        inner.addWidget(self._words)
        self.sizes_notice = PanelNotice(sizes)

        self._save_model = QPushButton(" Save model as safetensors…")
        self._save_model.setObjectName("saveModel")
        self._save_model.setProperty("role", "primary")
        self._save_model.setToolTip(
            "Write all tensors of the open model to a safetensors file; it is read back and compared bit by bit."
        )
        icons.bind(self._save_model, "save", "accent_text")
        self._save_model.clicked.connect(self.save_model)
        self._save_packed = QPushButton(" Save packed…")
        self._save_packed.setObjectName("savePacked")
        self._save_packed.setToolTip(
            "Write all tensors to a packed file, which leaves zeros out; the studio opens it like any other model, and "
            "it is read back and compared bit by bit."
        )
        icons.bind(self._save_packed, "compress")
        self._save_packed.clicked.connect(self.save_packed)
        self._save_recipe = QPushButton(" Save recipe…")
        self._save_recipe.setObjectName("saveRecipe")
        self._save_recipe.setToolTip(
            "Write the recipe to a JSON file that the command line runs as well (Ctrl+S)."
        )
        icons.bind(self._save_recipe, "recipe")
        self._save_recipe.clicked.connect(self.save_recipe)
        for button in (self._save_model, self._save_packed, self._save_recipe):
            button.setAccessibleName(button.text().strip())
        self._saved = QLabel()
        self._saved.setObjectName("exportSaved")
        self._saved.setProperty("role", "good")
        self._saved.setWordWrap(True)
        self._saved.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._saved.hide()
        self.save_notice = PanelNotice()

        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(3 * theme.SPACE, 2 * theme.SPACE, 3 * theme.SPACE, 2 * theme.SPACE)
        column.setSpacing(theme.SPACE)
        column.addWidget(self._title)
        column.addWidget(self._facts)
        column.addSpacing(theme.SPACE)
        column.addWidget(_heading("What it weighs"))
        column.addWidget(_rule())
        column.addWidget(self.sizes_notice)
        column.addWidget(sizes)
        column.addSpacing(2 * theme.SPACE)
        column.addWidget(_heading("For a runtime"))
        column.addWidget(_rule())
        self.runtimes = RuntimePanel()
        column.addWidget(self.runtimes)
        column.addSpacing(2 * theme.SPACE)
        column.addWidget(_heading("Save"))
        column.addWidget(_rule())
        buttons = FlowLayout(theme.SPACE, theme.SPACE)
        buttons.addWidget(self._save_model)
        buttons.addWidget(self._save_packed)
        buttons.addWidget(self._save_recipe)
        column.addLayout(buttons)
        column.addWidget(self._saved)
        column.addWidget(self.save_notice)
        column.addStretch(1)
        body.setMaximumWidth(920)
        holder = QWidget()
        across = QHBoxLayout(holder)
        across.setContentsMargins(0, 0, 0, 0)
        across.addWidget(body, 100)
        across.addStretch(1)
        area = QScrollArea()
        area.setAccessibleName("What the model weighs, and saving it")
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidget(holder)
        self.notice = PanelNotice(area)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.notice)
        layout.addWidget(area, 1)

    def set_model(self, title: str, facts: str) -> None:
        """Name the open model."""
        self._title.setText(title)
        self._facts.setText(facts)
        self._saved.hide()
        self.save_notice.clear()

    def set_recipe(self, has_steps: bool) -> None:
        """Whether there is a recipe worth saving."""
        self._save_recipe.setEnabled(has_steps)

    def set_sizes(self, rows: Sequence[SizeRow], words: str) -> None:
        """Fill the table of sizes."""
        old = self._grid_holder.layout()
        if old is not None:
            # A layout can only be given up together with a widget that takes it over.
            QWidget().setLayout(old)
        for child in self._grid_holder.findChildren(QLabel):
            child.setParent(None)
            child.deleteLater()
        grid = QGridLayout(self._grid_holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(3 * theme.SPACE)
        grid.setVerticalSpacing(theme.SPACE)
        grid.setColumnStretch(3, 1)
        for column, (text, align) in enumerate(
            (
                ("Encoding", Qt.AlignmentFlag.AlignLeft),
                ("Size", Qt.AlignmentFlag.AlignRight),
                ("Smaller", Qt.AlignmentFlag.AlignRight),
                ("How", Qt.AlignmentFlag.AlignLeft),
            )
        ):
            grid.addWidget(_heading(text), 0, column, align)
        for row, entry in enumerate(rows, start=1):
            size = QLabel(entry.size)
            size.setToolTip(entry.exact)
            size.setAccessibleName(f"{entry.label}: {entry.exact}")
            ratio = QLabel(entry.ratio)
            note = QLabel(entry.note)
            note.setProperty("role", "muted")
            note.setWordWrap(True)
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop
            top = Qt.AlignmentFlag.AlignTop
            grid.addWidget(QLabel(entry.label), row, 0, top)
            grid.addWidget(size, row, 1, right)
            grid.addWidget(ratio, row, 2, right)
            grid.addWidget(note, row, 3, top)
        self._words.setText(words)
        self._words.setVisible(bool(words))

    def show_saved(self, text: str) -> None:
        """Say what was written."""
        self.save_notice.clear()
        self._saved.setText(text)
        self._saved.show()

    def show_saving(self) -> None:
        """A file is being written."""
        self._saved.hide()
        self.save_notice.clear()
        self.save_notice.show_busy()

    def focus_save(self) -> None:
        """Put the keyboard on the first button."""
        self._save_model.setFocus(Qt.FocusReason.ShortcutFocusReason)


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", "heading")
    return label


def _rule() -> QFrame:
    rule = QFrame()
    rule.setProperty("role", "rule")
    return rule
