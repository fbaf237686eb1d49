"""Dialogs about files that run code: the question whether one is trusted, and the list of those that are."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLabel,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from core.models.trust import TrustedFile
from studio import theme
from studio.views.wrapped import WrappedLabel

_SUM = Qt.ItemDataRole.UserRole


class TrustDialog(QDialog):
    """Asks whether a file may run its code. *Cancel* is the default; nothing runs before the answer.

    Args:
        path, sha256: of the file.
        asked: handed back with `trusted`.
    """

    trusted = Signal(object)  # what was given as `asked`

    def __init__(self, path: Path, sha256: str, asked: object, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("trustDialog")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Trust this file?")
        self.setMinimumWidth(520)
        self._asked = asked
        heading = QLabel(f"{path.name} has to run its code to be opened.")
        heading.setObjectName("trustHeading")
        heading.setProperty("role", "heading")
        warning = WrappedLabel(
            "The code can do whatever you can do on this machine: read, change and send your files. Trust it only if "
            "you know who wrote it. Your answer holds for exactly these contents, until you take it back under Edit › "
            "Trusted files."
        )
        warning.setObjectName("trustWarning")
        place = _selectable(str(path), "Path of the file")
        place.setObjectName("trustPath")
        # In two lines: 64 figures in one are wider than the dialog.
        shown = _selectable(f"SHA-256\n{sha256[:32]}\n{sha256[32:]}", "SHA-256 of the file")
        shown.setObjectName("trustSum")
        shown.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        accept = buttons.addButton("Trust this file and open it", QDialogButtonBox.ButtonRole.AcceptRole)
        accept.setObjectName("trustAccept")
        accept.setAutoDefault(False)
        accept.setToolTip("Remember this file's SHA-256, run its code now and whenever it is opened.")
        cancel = buttons.button(QDialogButtonBox.StandardButton.Cancel)
        cancel.setDefault(True)
        cancel.setFocus()
        buttons.accepted.connect(self._accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE)
        layout.setSpacing(theme.SPACE)
        for widget in (heading, warning, place, shown):
            layout.addWidget(widget)
        layout.addSpacing(theme.SPACE)
        layout.addWidget(buttons)

    def _accept(self) -> None:
        self.accept()
        self.trusted.emit(self._asked)


class TrustedFilesDialog(QDialog):
    """The files that may run their code; each can be taken out.

    Args:
        files: in the order in which they were trusted.
    """

    revoked = Signal(object)  # str: the SHA-256

    def __init__(self, files: Sequence[TrustedFile], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("trustedFilesDialog")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Trusted files")
        self.resize(720, 340)
        note = WrappedLabel(
            "These files may run their code when they are opened, as long as their contents stay the same."
        )
        self._empty = QLabel("No file is trusted: none may run its code.")
        self._empty.setObjectName("trustedFilesEmpty")
        self._empty.setProperty("role", "small")
        self._list = QTreeWidget()
        self._list.setObjectName("trustedFilesList")
        self._list.setAccessibleName("Trusted files")
        self._list.setRootIsDecorated(False)
        self._list.setUniformRowHeights(True)
        self._list.setAllColumnsShowFocus(True)
        self._list.setHeaderLabels(["File", "Trusted (UTC)", "SHA-256"])
        self._list.setColumnWidth(0, 260)
        self._list.setColumnWidth(1, 170)
        for file in files:
            item = QTreeWidgetItem([Path(file.path).name, file.when.replace("T", " ")[:16], file.sha256])
            item.setToolTip(0, file.path)
            item.setToolTip(2, file.sha256)
            item.setData(0, _SUM, file.sha256)
            self._list.addTopLevelItem(item)
        self._list.currentItemChanged.connect(self._update)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self._revoke = self._buttons.addButton("Trust no longer", QDialogButtonBox.ButtonRole.ActionRole)
        self._revoke.setObjectName("trustedFilesRevoke")
        self._revoke.setToolTip(
            "Take the selected file out: its code does not run again before you trust it again."
        )
        self._revoke.setAutoDefault(False)
        self._revoke.clicked.connect(self._take_out)
        self._buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(note)
        layout.addWidget(self._list, 1)
        layout.addWidget(self._empty)
        layout.addWidget(self._buttons)
        if files:
            self._list.setCurrentItem(self._list.topLevelItem(0))
        self._update()

    def _update(self) -> None:
        self._revoke.setEnabled(self._list.currentItem() is not None)
        self._empty.setVisible(self._list.topLevelItemCount() == 0)

    def _take_out(self) -> None:
        item = self._list.currentItem()
        if item is not None:
            sha256 = item.data(0, _SUM)
            self._list.takeTopLevelItem(self._list.indexOfTopLevelItem(item))
            self._update()
            self.revoked.emit(sha256)


def _selectable(text: str, name: str) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    label.setAccessibleName(name)
    return label
