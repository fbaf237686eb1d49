"""EntriesEditor: a short list of layer names or patterns, with a number for each where the setting wants one."""

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QStringListModel, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCompleter, QHBoxLayout, QLineEdit, QToolButton, QVBoxLayout, QWidget

from studio import icons, theme
from studio.views.number_box import NumberBox
from studio.views.setting_editors import Editor, UnreadableError, starting_number
from studio.views.setting_kinds import Setting
from studio.views.undo_passing import UndoPassing


class _EntryRow(QWidget):
    """One line of a list: a pattern, perhaps a number, and a button that takes the line away."""

    changed = Signal()
    settled = Signal()
    removed = Signal(object)

    def __init__(self, setting: Setting, names: QStringListModel, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("entryRow")
        what = "layer or pattern" if setting.layers else "entry"
        self.edit = QLineEdit()
        self.edit.setObjectName("entryText")
        self.edit.setPlaceholderText("layer or pattern, such as fc*" if setting.layers else "")
        self.edit.setAccessibleName(f"{setting.title}: {what}")
        self.edit.setToolTip(setting.description)
        completer = QCompleter(names, self.edit)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.activated.connect(self._completed)
        self.edit.setCompleter(completer)
        UndoPassing(self.edit)
        self.edit.textEdited.connect(self._edited)
        self.edit.editingFinished.connect(self.settled)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE // 2)
        row.addWidget(self.edit, 1)
        self.number: NumberBox | None = None
        if setting.form is not None:
            self.number = NumberBox(setting.form)
            self.number.setObjectName("entryNumber")
            self.number.setFixedWidth(84)
            self.number.setAccessibleName(f"{setting.title}: value")
            self.number.setToolTip(setting.description)
            self.number.value_changed.connect(self._number_changed)
            self.number.settled.connect(self.settled)
            row.addWidget(self.number)
        remove = QToolButton()
        remove.setObjectName("entryRemove")
        remove.setAutoRaise(True)
        remove.setAccessibleName(f"{setting.title}: remove this entry")
        remove.setToolTip("Remove this entry")
        icons.bind(remove, "close", "text_muted")
        remove.clicked.connect(self._remove)
        row.addWidget(remove)

    def _edited(self, _text: str) -> None:
        self.changed.emit()

    def _completed(self, _text: str) -> None:
        self.changed.emit()

    def _number_changed(self, _value: object) -> None:
        self.changed.emit()

    def _remove(self) -> None:
        self.removed.emit(self)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        # Return ends an entry; it must not reach a default button of the window around it.
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            event.accept()
        else:
            super().keyPressEvent(event)


class EntriesEditor(Editor):
    """A list of layer names or patterns, each with a number of its own where the setting maps names to numbers."""

    wide = True

    def __init__(self, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(setting, parent)
        self._names = QStringListModel(self)
        self._rows: list[_EntryRow] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(theme.SPACE // 2)
        self._add = QToolButton()
        self._add.setObjectName(f"add_{setting.name}")
        self._add.setText("Add a layer" if setting.layers else "Add an entry")
        self._add.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._add.setAutoRaise(True)
        icons.bind(self._add, "add")
        self._add.setAccessibleName(f"{setting.title}: {self._add.text().lower()}")
        self._add.setToolTip(setting.description)
        self._add.clicked.connect(self._append)
        self._layout.addWidget(self._add, 0, Qt.AlignmentFlag.AlignLeft)

    @property
    def _by_name(self) -> bool:
        return self.setting.kind == "numbers by name"

    def value(self) -> Any:
        texts = [row.edit.text().strip() for row in self._rows]
        if "" in texts:
            what = "a layer name or pattern" if self.setting.layers else "a text"
            raise UnreadableError(f"entry {texts.index('') + 1} needs {what}; type one or remove the entry")
        if not self._by_name:
            return texts
        for place, text in enumerate(texts):
            if text in texts[:place]:
                raise UnreadableError(f"“{text}” stands here twice; remove one of the two")
        values: dict[str, int | float] = {}
        for row, text in zip(self._rows, texts):
            assert row.number is not None
            if row.number.value is None:
                raise UnreadableError(f"the value of “{text}” must be a number")
            values[text] = row.number.value
        return values

    def set_value(self, value: Any) -> None:
        entries = list(value.items()) if self._by_name else [(text, None) for text in value]
        while len(self._rows) > len(entries):
            self._take(self._rows[-1])
        while len(self._rows) < len(entries):
            self._make()
        for row, (text, number) in zip(self._rows, entries):
            if row.edit.text() != text:
                row.edit.setText(text)
            if row.number is not None:
                row.number.set_value(number)

    def set_layer_names(self, names: Sequence[str]) -> None:
        if self.setting.layers:
            self._names.setStringList(list(names))

    def _make(self) -> _EntryRow:
        row = _EntryRow(self.setting, self._names, self)
        row.changed.connect(self.changed)
        row.settled.connect(self.settled)
        row.removed.connect(self._remove)
        self._layout.insertWidget(len(self._rows), row)
        self._rows.append(row)
        return row

    def _append(self) -> None:
        taken = {row.edit.text() for row in self._rows}
        row = self._make()
        # A name to start from, selected, so that typing replaces it and nothing invalid stands there meanwhile.
        row.edit.setText(next((name for name in self._names.stringList() if name not in taken), ""))
        row.edit.selectAll()
        row.edit.setFocus()
        if row.number is not None:
            row.number.set_value(starting_number(row.number.format))
        self.changed.emit()
        self.settled.emit()

    def _remove(self, row: _EntryRow) -> None:
        self._take(row)
        self._add.setFocus()
        self.changed.emit()
        self.settled.emit()

    def _take(self, row: _EntryRow) -> None:
        self._rows.remove(row)
        self._layout.removeWidget(row)
        row.hide()
        row.deleteLater()
