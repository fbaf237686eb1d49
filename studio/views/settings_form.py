"""SettingsForm: a form made from any step's settings class; it lets go only of settings that are valid."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from core.recipe import describe_validation
from core.steps import StepSettings
from studio import theme
from studio.views.entries_editor import EntriesEditor
from studio.views.number_box import NumberFormat
from studio.views.setting_editors import (
    ChoiceEditor,
    Editor,
    JsonEditor,
    NumberEditor,
    NumberListEditor,
    OptionalEditor,
    SwitchEditor,
    TextEditor,
    UnreadableError,
)
from studio.views.setting_kinds import Setting, settings_of

EDITORS: dict[str, type[Editor]] = {
    "choice": ChoiceEditor,
    "switch": SwitchEditor,
    "number": NumberEditor,
    "text": TextEditor,
    "numbers by name": EntriesEditor,
    "texts": EntriesEditor,
    "number list": NumberListEditor,
    "json": JsonEditor,
}


class SettingsForm(QWidget):
    """Shows one step's settings. Build it once; `show_settings` may be given settings of any class, at any time."""

    edited = Signal(object)  # StepSettings, valid and different from before
    settled = Signal()  # an edit is over; the next one is another undo step
    invalid = Signal(object)  # str: what is wrong, in words; None: all is well again

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("settingsForm")
        self._settings: StepSettings | None = None
        self._identity: object = None
        self._fields: dict[str, _Field] = {}
        self._layer_names: tuple[str, ...] = ()
        self._noted: dict[str, str] = {}
        self._wrong: dict[str, str] = {}
        self._told: str | None = None
        self._body = QWidget()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.addWidget(self._body)
        self._layout.addStretch(1)
        self._fold: QToolButton | None = None
        self._advanced = QWidget()

    @property
    def problem(self) -> str | None:
        """The first thing that is wrong with what stands in the form, with the field's title; None if all is well."""
        for name, text in self._wrong.items():
            return f"{self._fields[name].setting.title} {text}"
        return None

    def show_settings(self, settings: StepSettings | None, identity: object = None) -> None:
        """Show settings. The same settings under the same identity leave what is being typed alone."""
        if (
            settings == self._settings
            and identity == self._identity
            and type(settings) is type(self._settings)
        ):
            return
        fresh = type(settings) is not type(self._settings)
        another = fresh or identity != self._identity
        self._settings, self._identity = settings, identity
        if fresh:
            self._build(type(settings) if settings is not None else None)
        for name, field in self._fields.items():
            value = getattr(settings, name)
            if another or name in self._wrong or field.differs_from(value):
                field.editor.set_value(value)
        self._show_what_matters()
        self._set_wrong({})

    def show_layer_names(self, names: Sequence[str]) -> None:
        """Offer these names where a setting speaks of layers."""
        self._layer_names = tuple(names)
        for field in self._fields.values():
            field.editor.set_layer_names(self._layer_names)

    def show_notes(self, notes: Mapping[str, str]) -> None:
        """Say beside fields what else is wrong with valid values, such as a layer that the model lacks."""
        self._noted = dict(notes)
        self._show_errors()

    def _build(self, model: type[StepSettings] | None) -> None:
        self._layout.removeWidget(self._body)
        self._body.hide()
        # Out of the form at once, because fields of the next step may have the same names.
        self._body.setParent(None)
        self._body.deleteLater()
        self._fields, self._wrong, self._fold = {}, {}, None
        self._body = QWidget()
        column = QVBoxLayout(self._body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        shown = settings_of(model) if model is not None else ()
        column.addLayout(self._grid([setting for setting in shown if not setting.advanced]))
        if folded := [setting for setting in shown if setting.advanced]:
            self._fold = QToolButton()
            self._fold.setObjectName("advancedFold")
            self._fold.setText("Advanced")
            self._fold.setAutoRaise(True)
            self._fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            self._fold.setAccessibleName("Advanced settings")
            self._fold.setToolTip("Show the settings that rarely need a change.")
            self._fold.clicked.connect(self._fold_clicked)
            self._advanced = QWidget()
            self._advanced.setLayout(self._grid(folded))
            column.addWidget(self._fold, 0, Qt.AlignmentFlag.AlignLeft)
            column.addWidget(self._advanced)
            self._unfold(False)
        self._layout.insertWidget(0, self._body)
        self._body.show()

    def _grid(self, shown: Sequence[Setting]) -> QGridLayout:
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(theme.SPACE)
        grid.setVerticalSpacing(theme.SPACE // 2)
        grid.setColumnStretch(1, 1)
        grid.setColumnMinimumWidth(0, 88)
        for setting in shown:
            editor = EDITORS[setting.kind](setting)
            if setting.optional:
                editor = OptionalEditor(editor)
            field = _Field(setting, editor)
            field.editor.set_layer_names(self._layer_names)
            field.editor.changed.connect(self._changed)
            field.editor.settled.connect(self.settled)
            self._fields[setting.name] = field
            field.place(grid)
        return grid

    def _fold_clicked(self) -> None:
        self._unfold(self._advanced.isHidden())

    def _unfold(self, shown: bool) -> None:
        assert self._fold is not None
        self._fold.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
        self._advanced.setVisible(shown)

    def _changed(self) -> None:
        if self._settings is None:
            return
        values, wrong = self._read()
        settings = None
        if not wrong:
            settings, wrong = self._validate(values)
        self._set_wrong(wrong)
        if settings is not None and settings != self._settings:
            self._settings = settings
            self._show_what_matters()
            self.edited.emit(settings)

    def _show_what_matters(self) -> None:
        """Hide the fields that mean nothing beside what the others say."""
        if self._settings is not None:
            for name, field in self._fields.items():
                field.set_shown(self._settings.matters(name))

    def _read(self) -> tuple[dict[str, Any], dict[str, str]]:
        values, wrong = {}, {}
        for name, field in self._fields.items():
            try:
                values[name] = field.editor.value()
            except UnreadableError as error:
                wrong[name] = str(error)
        return values, wrong

    def _validate(self, values: dict[str, Any]) -> tuple[StepSettings | None, dict[str, str]]:
        assert self._settings is not None
        model = type(self._settings)
        try:
            return model.model_validate(values), {}
        except ValidationError as error:
            wrong_names = [str(item["loc"][0]) for item in error.errors() if item["loc"]]
        wrong = {}
        for name in dict.fromkeys(wrong_names):
            # One at a time, the others as they last were, so that each gets a sentence of its own.
            try:
                model.model_validate({**self._settings.model_dump(), name: values[name]})
            except ValidationError as error:
                wrong[name] = _words(error, self._fields[name].setting)
        if not wrong:
            wrong = {next(iter(self._fields)): "does not fit the other settings; change one of them"}
        return None, wrong

    def _set_wrong(self, wrong: dict[str, str]) -> None:
        self._wrong = wrong
        self._show_errors()
        if self.problem != self._told:
            self._told = self.problem
            self.invalid.emit(self.problem)

    def _show_errors(self) -> None:
        for name, field in self._fields.items():
            text = self._wrong.get(name) or self._noted.get(name, "")
            field.show_error(text)
            if text and field.setting.advanced and self._fold is not None:
                self._unfold(True)


class _Field:
    """The widgets of one setting: its title, its editor and the line that says what is wrong with it."""

    def __init__(self, setting: Setting, editor: Editor) -> None:
        self.setting = setting
        self.editor = editor
        self.title = QLabel(setting.title)
        self.title.setObjectName(f"title_{setting.name}")
        self.title.setToolTip(setting.description)
        self.title.setBuddy(editor)
        self.error = QLabel()
        self.error.setObjectName(f"error_{setting.name}")
        self.error.setProperty("role", "problem")
        self.error.setWordWrap(True)
        self.error.setTextFormat(Qt.TextFormat.PlainText)
        self.error.hide()

    def place(self, grid: QGridLayout) -> None:
        """Take the next rows of a form's grid."""
        row = grid.rowCount()
        if self.editor.wide:
            grid.addWidget(self.title, row, 0, 1, 2)
            grid.addWidget(self.editor, row + 1, 0, 1, 2)
        else:
            grid.addWidget(self.title, row, 0)
            grid.addWidget(self.editor, row, 1)
        grid.addWidget(self.error, row + 2, 0, 1, 2)

    def set_shown(self, shown: bool) -> None:
        """Show or hide title and editor; the line that says what is wrong stands by itself."""
        self.title.setVisible(shown)
        self.editor.setVisible(shown)

    def differs_from(self, value: Any) -> bool:
        """Whether the editor shows something else than `value`."""
        try:
            shown = self.editor.value()
        except UnreadableError:
            return True
        return bool(shown != (list(value) if isinstance(value, tuple) else value))

    def show_error(self, text: str) -> None:
        """Say what is wrong, or nothing."""
        self.error.setText(text[:1].upper() + text[1:] + ("" if not text or text.endswith(".") else "."))
        self.error.setVisible(bool(text))


_BOUND_ERRORS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")


def _words(error: ValidationError, setting: Setting) -> str:
    """What is wrong with one field, without the field's name, which stands beside it already."""
    first = error.errors(include_url=False)[0]
    if (
        setting.form is not None
        and first["type"] in _BOUND_ERRORS
        and isinstance(first["input"], int | float)
    ):
        return _bound_words(setting.form, first["input"])
    text = describe_validation(error)
    return text.partition("”: ")[2] or text


def _bound_words(form: NumberFormat, value: float) -> str:
    plain = replace(form, unit="")
    bounds = []
    if form.minimum is not None:
        bounds.append(f"{'above' if form.minimum_excluded else 'at least'} {plain.show(form.minimum)}")
    if form.maximum is not None:
        bounds.append(f"{'below' if form.maximum_excluded else 'at most'} {plain.show(form.maximum)}")
    return f"must be {' and '.join(bounds)}, not {plain.show(value)}"
