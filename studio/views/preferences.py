"""PreferencesDialog: a form made from the declarations of the preferences."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from studio import theme
from studio.settings import PREFERENCES, Preference

SHOWN = tuple(preference for preference in PREFERENCES if preference.title)


class PreferencesDialog(QDialog):
    """Every change takes effect at once and is emitted; there is nothing to confirm.

    Args:
        values: the values in force, by the preference's name.
    """

    changed = Signal(object, object)  # Preference, value
    reset_wanted = Signal()

    def __init__(self, values: Mapping[str, Any], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("preferencesDialog")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Preferences")
        self.setMinimumWidth(480)
        self._fields: dict[str, QWidget] = {}
        form = QFormLayout()
        form.setHorizontalSpacing(2 * theme.SPACE)
        form.setVerticalSpacing(4)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        for preference in SHOWN:
            field = self._field(preference, values[preference.name])
            field.setObjectName(preference.name.replace("/", "-"))
            field.setAccessibleName(preference.title)
            field.setToolTip(preference.help)
            field.setWhatsThis(preference.help)
            self._fields[preference.name] = field
            note = QLabel(preference.help)
            note.setWordWrap(True)
            note.setProperty("role", "small")
            note.setContentsMargins(0, 0, 0, theme.SPACE)
            form.addRow(preference.title, field)
            form.addRow("", note)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        reset = buttons.addButton("Reset all", QDialogButtonBox.ButtonRole.ResetRole)
        reset.setObjectName("preferencesReset")
        reset.setToolTip("Put every preference, hint and layout back to its default.")
        reset.setAutoDefault(False)
        reset.clicked.connect(self.reset_wanted)
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE)
        layout.addLayout(form)
        layout.addStretch(1)
        layout.addWidget(buttons)

    def show_values(self, values: Mapping[str, Any]) -> None:
        """Show other values (emits nothing)."""
        for preference in SHOWN:
            field = self._fields[preference.name]
            field.blockSignals(True)
            if isinstance(field, QComboBox):
                field.setCurrentIndex(field.findData(values[preference.name]))
            elif isinstance(field, QSpinBox):
                field.setValue(values[preference.name])
            elif isinstance(field, QLineEdit):
                field.setText(values[preference.name])
            field.blockSignals(False)

    def _field(self, preference: Preference[Any], value: Any) -> QWidget:
        if preference.choices:
            box = QComboBox()
            for choice, words in preference.choices:
                box.addItem(words, choice)
            box.setCurrentIndex(box.findData(value))
            box.currentIndexChanged.connect(lambda _: self.changed.emit(preference, box.currentData()))
            return box
        if isinstance(preference.default, int):
            spin = QSpinBox()
            spin.setRange(0, 1024)
            spin.setSpecialValueText("all cores")
            spin.setValue(value)
            # Qt pads only the frame of a spin box.
            spin.lineEdit().setTextMargins(4, 0, 4, 0)
            spin.valueChanged.connect(lambda number: self.changed.emit(preference, number))
            return spin
        edit = QLineEdit(value)
        edit.setPlaceholderText("the studio's data folder")
        edit.editingFinished.connect(lambda: self.changed.emit(preference, edit.text().strip()))
        return edit
