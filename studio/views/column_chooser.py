"""Chooses further columns of the run table: any setting or measurement, found by typing a part of its name."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from core.history.query_fields import all_fields
from studio import theme
from studio.tables.run_columns import COLUMNS


class ColumnChooser(QDialog):
    """A list with a tick for every field that has no column of its own."""

    chosen = Signal(object)  # list[str], in the order of the list

    def __init__(self, further: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("columnChooser")
        self.setWindowTitle("Columns of the run table")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.find = QLineEdit()
        self.find.setObjectName("columnFind")
        self.find.setPlaceholderText("Find a setting or a measurement …")
        self.find.setAccessibleName("Find a column")
        self.find.setClearButtonEnabled(True)
        self.find.textChanged.connect(self._narrow)
        self.fields = QListWidget()
        self.fields.setObjectName("columnFields")
        self.fields.setAccessibleName("Settings and measurements")
        own = {column.field for column in COLUMNS}
        for field in all_fields().values():
            if field.column in own:
                continue
            item = QListWidgetItem(f"{field.name}   {field.help}")
            item.setData(Qt.ItemDataRole.UserRole, field.name)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            on = field.name in further
            item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
            self.fields.addItem(item)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(self.find)
        layout.addWidget(self.fields, 1)
        layout.addWidget(buttons)
        self.resize(480, 440)
        self.find.setFocus()

    def accept(self) -> None:
        items = [self.fields.item(row) for row in range(self.fields.count())]
        self.chosen.emit(
            [
                item.data(Qt.ItemDataRole.UserRole)
                for item in items
                if item.checkState() == Qt.CheckState.Checked
            ]
        )
        super().accept()

    def _narrow(self, text: str) -> None:
        words = text.casefold().split()
        for row in range(self.fields.count()):
            item = self.fields.item(row)
            item.setHidden(not all(word in item.text().casefold() for word in words))
