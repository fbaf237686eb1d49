"""One editor widget for each kind of setting: they show and read values; validation is not theirs."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSlider,
    QStyle,
    QStyleOptionSlider,
    QWidget,
)

from studio import theme
from studio.views.number_box import NumberBox, NumberFormat
from studio.views.setting_kinds import Setting
from studio.views.undo_passing import UndoPassing


class UnreadableError(ValueError):
    """What stands in an editor cannot be a value of its kind at all; the text says what it must be."""


class Editor(QWidget):
    """Base: `value` reads, `set_value` shows without telling, `changed` tells of the user's edits."""

    changed = Signal()
    settled = Signal()  # one edit is over: a slider released, the focus elsewhere

    wide = False
    """Whether the editor needs the whole width of the form, below its title."""

    def __init__(self, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setting = setting
        self.setObjectName(f"edit_{setting.name}")

    def value(self) -> Any:
        """What the editor shows.

        Raises:
            UnreadableError: if it cannot be read as a value of this kind.
        """
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        """Show a value."""
        raise NotImplementedError

    def set_layer_names(self, names: Sequence[str]) -> None:
        """Offer layer names for completion; only some editors speak of layers."""

    def _describe(self, widget: QWidget, what: str = "") -> None:
        widget.setAccessibleName(f"{self.setting.title} {what}".strip())
        widget.setAccessibleDescription(self.setting.description)
        widget.setToolTip(self.setting.description)

    def _row(self, *widgets: QWidget) -> QHBoxLayout:
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE)
        for widget in widgets:
            row.addWidget(widget)
        self.setFocusProxy(widgets[0])
        return row


class _Combo(QComboBox):
    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class ChoiceEditor(Editor):
    """One of a few words: a combo box, or just the word where there is no choice yet."""

    def __init__(self, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(setting, parent)
        self._only: QLabel | None = None
        if len(setting.choices) == 1:
            self._only = QLabel(words(setting.choices[0]))
            self._describe(self._only)
            self._row(self._only)
            return
        self._box = _Combo()
        self._box.setObjectName(f"choice_{setting.name}")
        self._box.setMinimumContentsLength(6)
        self._box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        for choice in setting.choices:
            self._box.addItem(words(choice))
        self._describe(self._box)
        self._box.currentIndexChanged.connect(self._chosen)
        self._row(self._box)

    def value(self) -> Any:
        return self.setting.choices[0 if self._only is not None else self._box.currentIndex()]

    def set_value(self, value: Any) -> None:
        if self._only is None:
            self._box.blockSignals(True)
            self._box.setCurrentIndex(self.setting.choices.index(value))
            self._box.blockSignals(False)

    def _chosen(self, _index: int) -> None:
        self.changed.emit()
        self.settled.emit()


class SwitchEditor(Editor):
    """A check box."""

    def __init__(self, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(setting, parent)
        self._box = QCheckBox()
        self._box.setObjectName(f"switch_{setting.name}")
        self._describe(self._box)
        self._box.clicked.connect(self._clicked)
        self._row(self._box).addStretch(1)

    def value(self) -> bool:
        return self._box.isChecked()

    def set_value(self, value: Any) -> None:
        self._box.setChecked(bool(value))

    def _clicked(self, _checked: bool) -> None:
        self.changed.emit()
        self.settled.emit()


class JumpSlider(QSlider):
    """A horizontal slider that goes where it is clicked and leaves the wheel to whoever scrolls past."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        control, part = QStyle.ComplexControl.CC_Slider, QStyle.SubControl.SC_SliderHandle
        handle = self.style().subControlRect(control, option, part, self)
        position = event.position().toPoint()
        if event.button() == Qt.MouseButton.LeftButton and not handle.contains(position):
            # The handle comes to the pointer first, so that Qt's own press then takes hold of it.
            room = self.width() - handle.width()
            at = position.x() - handle.width() // 2
            self.setValue(QStyle.sliderValueFromPosition(self.minimum(), self.maximum(), at, room))
        super().mousePressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class NumberEditor(Editor):
    """A number box; for percentages with a slider beside it."""

    SLIDER_STEPS_PER_PERCENT = 10

    def __init__(self, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(setting, parent)
        assert setting.form is not None
        self._form = setting.form
        self._box = NumberBox(setting.form)
        self._box.setObjectName(f"number_{setting.name}")
        self._describe(self._box)
        self._box.value_changed.connect(self._box_changed)
        self._box.settled.connect(self.settled)
        self._slider: JumpSlider | None = None
        if not setting.form.percent:
            self._row(self._box)
            return
        # The slider wants all the width that there is: that is how finely it can be set.
        self.wide = True
        self._slider = JumpSlider()
        self._slider.setObjectName(f"slider_{setting.name}")
        self._describe(self._slider, "slider")
        self._set_slider_range(setting.form)
        self._slider.valueChanged.connect(self._slider_changed)
        self._slider.sliderReleased.connect(self.settled)
        self._slider.installEventFilter(self)
        self._box.setFixedWidth(84)
        self._row(self._slider, self._box).setStretch(0, 1)

    def value(self) -> int | float:
        if self._box.value is None:
            raise UnreadableError("must be a whole number" if self._form.whole else "must be a number")
        return self._box.value

    def set_value(self, value: Any) -> None:
        self._box.set_value(value)
        self._show_on_slider(value)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.FocusOut:
            self.settled.emit()
        return super().eventFilter(watched, event)

    def _set_slider_range(self, form: NumberFormat) -> None:
        assert self._slider is not None
        per_one = 100 * self.SLIDER_STEPS_PER_PERCENT
        low = round((0.0 if form.minimum is None else form.minimum) * per_one) + form.minimum_excluded
        high = round((1.0 if form.maximum is None else form.maximum) * per_one) - form.maximum_excluded
        self._slider.setRange(low, high)
        self._slider.setSingleStep(self.SLIDER_STEPS_PER_PERCENT)
        self._slider.setPageStep(5 * self.SLIDER_STEPS_PER_PERCENT)

    def _show_on_slider(self, value: float) -> None:
        if self._slider is not None:
            self._slider.blockSignals(True)
            place = value * 100 * self.SLIDER_STEPS_PER_PERCENT
            self._slider.setValue(round(min(max(place, self._slider.minimum()), self._slider.maximum())))
            self._slider.blockSignals(False)

    def _slider_changed(self, place: int) -> None:
        # By way of decimal digits: 0.29, not 0.29000000000000004.
        self._box.set_value(float(Decimal(place) / (100 * self.SLIDER_STEPS_PER_PERCENT)))
        self.changed.emit()

    def _box_changed(self, value: float | None) -> None:
        if value is not None:
            self._show_on_slider(value)
        self.changed.emit()


class TextEditor(Editor):
    """A line of text."""

    def __init__(self, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(setting, parent)
        self._edit = QLineEdit()
        self._edit.setObjectName(f"text_{setting.name}")
        self._describe(self._edit)
        UndoPassing(self._edit)
        self._edit.textEdited.connect(self._edited)
        self._edit.editingFinished.connect(self.settled)
        self._row(self._edit)

    def value(self) -> Any:
        return self._edit.text()

    def set_value(self, value: Any) -> None:
        self._edit.setText(value)

    def _edited(self, _text: str) -> None:
        self.changed.emit()


class NumberListEditor(TextEditor):
    """Numbers in one line, separated by spaces, commas or semicolons."""

    def value(self) -> list[int | float]:
        assert self.setting.form is not None
        numbers: list[int | float] = []
        text = self._edit.text().replace(";", " ").replace(",", " ").replace(" %", "%")
        for word in text.split():
            number = self.setting.form.read(word)
            if number is None:
                raise UnreadableError(f"must be numbers separated by spaces; “{word}” is none")
            numbers.append(number)
        return numbers

    def set_value(self, value: Any) -> None:
        assert self.setting.form is not None
        self._edit.setText("  ".join(self.setting.form.show(number) for number in value))


class JsonEditor(TextEditor):
    """Anything that JSON can write: for kinds of settings that have no editor of their own."""

    def value(self) -> Any:
        try:
            return json.loads(self._edit.text())
        except (json.JSONDecodeError, RecursionError):
            raise UnreadableError('must be written as JSON, such as [1, 2] or "word"') from None

    def set_value(self, value: Any) -> None:
        self._edit.setText(json.dumps(value, default=_plain_data, ensure_ascii=False))


class OptionalEditor(Editor):
    """Another editor with a check box before it; unchecked means None."""

    def __init__(self, inner: Editor, parent: QWidget | None = None) -> None:
        super().__init__(inner.setting, parent)
        self.wide = inner.wide
        self._inner = inner
        self._shown = False
        self._given = QCheckBox()
        self._given.setObjectName(f"given_{inner.setting.name}")
        self._describe(self._given, "is set")
        self._given.clicked.connect(self._toggled)
        inner.changed.connect(self.changed)
        inner.settled.connect(self.settled)
        self._row(self._given, inner).setStretch(1, 1)

    def value(self) -> Any:
        return self._inner.value() if self._given.isChecked() else None

    def set_value(self, value: Any) -> None:
        self._given.setChecked(value is not None)
        self._inner.setEnabled(value is not None)
        self._shown = value is not None
        if value is not None:
            self._inner.set_value(value)

    def set_layer_names(self, names: Sequence[str]) -> None:
        self._inner.set_layer_names(names)

    def _toggled(self, checked: bool) -> None:
        self._inner.setEnabled(checked)
        if checked and not self._shown:
            self._inner.set_value(starting_value(self.setting))
            self._shown = True
        self.changed.emit()
        self.settled.emit()


def starting_number(form: NumberFormat) -> int | float:
    """A number to begin with that the bounds allow: a half, one or zero, else a bound."""
    for number in (1, 0) if form.whole else (0.5, 1.0, 0.0):
        if form.allows(number):
            return number
    bound = form.minimum if form.minimum is not None else form.maximum
    return 0 if bound is None else bound


def starting_value(setting: Setting) -> Any:
    """What a setting begins with when it had no value."""
    match setting.kind:
        case "number":
            assert setting.form is not None
            return starting_number(setting.form)
        case "choice":
            return setting.choices[0]
        case "switch":
            return True
        case "text":
            return ""
        case "numbers by name":
            return {}
        case "texts" | "number list":
            return ()
        case _:
            return None


def words(value: Any) -> str:
    """A choice as people read it: `shift-and-flip` becomes `shift and flip`."""
    return value.replace("-", " ").replace("_", " ") if isinstance(value, str) else str(value)


def _plain_data(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)
