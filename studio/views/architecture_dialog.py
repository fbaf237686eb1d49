"""ArchitectureDialog: choose one of torchvision's classification models by typing a part of its name."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QRadioButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from studio import fuzzy, theme


class ArchitectureDialog(QDialog):
    """A searchable list of names, and the choice of weights.

    Args:
        names: name, parameters and input size of each architecture, as text.
    """

    chosen = Signal(object, object)  # name: str, weights: str | None

    def __init__(self, names: Sequence[tuple[str, str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("architectureDialog")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Open a torchvision model")
        self.resize(460, 520)
        self._names = list(names)
        self._search = QLineEdit()
        self._search.setObjectName("architectureSearch")
        self._search.setPlaceholderText("Type a part of the name, such as res18 …")
        self._search.setAccessibleName("Part of the model's name")
        self._search.setToolTip("Arrow keys choose among what is found; Enter opens.")
        self._search.setClearButtonEnabled(True)
        self._search.textChanged.connect(self._filter)
        self._search.installEventFilter(self)
        self._list = QTreeWidget()
        self._list.setObjectName("architectureList")
        self._list.setAccessibleName("torchvision models")
        self._list.setRootIsDecorated(False)
        self._list.setUniformRowHeights(True)
        self._list.setAllColumnsShowFocus(True)
        self._list.setHeaderLabels(["Model", "Parameters", "Input"])
        self._list.setColumnWidth(0, 200)
        self._list.setColumnWidth(1, 90)
        self._list.headerItem().setTextAlignment(
            1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        )
        self._list.itemActivated.connect(self._accept)
        self._list.currentItemChanged.connect(self._update)
        self._published = QRadioButton("Published weights (downloaded once)")
        self._published.setObjectName("architecturePublished")
        self._published.setToolTip(
            "torchvision's best weights for this model; needs a network the first time."
        )
        self._fresh = QRadioButton("Random weights")
        self._fresh.setObjectName("architectureFresh")
        self._fresh.setToolTip("A freshly initialised model: needs no network, predicts nothing yet.")
        group = QButtonGroup(self)
        group.addButton(self._published)
        group.addButton(self._fresh)
        self._published.setChecked(True)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self._open = self._buttons.addButton("Open", QDialogButtonBox.ButtonRole.AcceptRole)
        self._open.setObjectName("architectureOpen")
        self._open.setDefault(True)
        self._buttons.accepted.connect(self._accept)
        self._buttons.rejected.connect(self.reject)
        weights = QHBoxLayout()
        weights.addWidget(self._published)
        weights.addSpacing(2 * theme.SPACE)
        weights.addWidget(self._fresh)
        weights.addStretch(1)
        caption = QLabel("Weights")
        caption.setProperty("role", "heading")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(self._search)
        layout.addWidget(self._list, 1)
        layout.addWidget(caption)
        layout.addLayout(weights)
        layout.addSpacing(theme.SPACE)
        layout.addWidget(self._buttons)
        self._filter("")

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        moves = (Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_PageDown, Qt.Key.Key_PageUp)
        pressed = isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress
        if watched is self._search and pressed and event.key() in moves:  # type: ignore[attr-defined]
            self._list.keyPressEvent(event)  # type: ignore[arg-type]
            return True
        return super().eventFilter(watched, event)

    def _filter(self, text: str) -> None:
        self._list.clear()
        for index in fuzzy.rank(text, [name for name, _, _ in self._names]):
            item = QTreeWidgetItem(list(self._names[index]))
            item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self._list.addTopLevelItem(item)
        if self._list.topLevelItemCount():
            self._list.setCurrentItem(self._list.topLevelItem(0))
        self._update()

    def _update(self) -> None:
        self._open.setEnabled(self._list.currentItem() is not None)

    def _accept(self) -> None:
        item = self._list.currentItem()
        if item is not None:
            name = item.text(0)
            self.accept()
            self.chosen.emit(name, "DEFAULT" if self._published.isChecked() else None)
