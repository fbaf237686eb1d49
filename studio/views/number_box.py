"""NumberBox: a spin box that lets anything be typed and says what it reads, so that errors can be told in words.

Qt's own spin boxes silently swallow keys that would leave their range; here the settings' own validation judges the
value, and the bounds only stop the arrows.
"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import floor, isfinite, log10
from typing import Literal

from PySide6.QtCore import QEvent, Signal
from PySide6.QtGui import QFocusEvent, QValidator, QWheelEvent
from PySide6.QtWidgets import QAbstractSpinBox, QWidget

from studio.views.undo_passing import passed_on

Stepping = Literal["linear", "one-two-five", "double"]

SMALLEST_STEP = 1e-5
"""Where one-two-five stepping leaves and reaches zero."""


@dataclass(frozen=True)
class NumberFormat:
    """How a number is shown, read and stepped. Bounds are in the value's own unit, also for percentages."""

    whole: bool = False
    percent: bool = False
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    minimum_excluded: bool = False
    maximum_excluded: bool = False
    stepping: Stepping = "linear"
    step: float = 1.0

    def allows(self, value: float) -> bool:
        """Whether the bounds hold."""
        if self.minimum is not None and (
            value < self.minimum or (self.minimum_excluded and value == self.minimum)
        ):
            return False
        return not (
            self.maximum is not None
            and (value > self.maximum or (self.maximum_excluded and value == self.maximum))
        )

    def show(self, value: float) -> str:
        """The text of a value; `read` gives back exactly the same value."""
        number = Decimal(value) if isinstance(value, int) else Decimal(repr(float(value)))
        if self.percent:
            return f"{_plain(number * 100)} %"
        text = str(value) if isinstance(value, int) else _short(number)
        return f"{text} {self.unit}".rstrip()

    def read(self, text: str) -> int | float | None:
        """The value that a text means, or None if it is no number."""
        text = text.strip().replace("−", "-")
        for suffix in ("%" if self.percent else "", self.unit):
            text = text.removesuffix(suffix).rstrip()
        try:
            number = Decimal(text.replace(",", "") if _grouped(text) else text)
        except InvalidOperation:
            return None
        if not number.is_finite():
            return None
        if self.percent:
            number /= 100
        # A whole number of a million digits would take the machine down before validation could refuse it.
        if self.whole and number.adjusted() < 30 and number == number.to_integral_value():
            return int(number)
        return float(number)

    def stepped(self, value: float, steps: int) -> int | float:
        """The value that `steps` presses of an arrow lead to; never beyond the bounds."""
        reached = value
        for _ in range(abs(steps)):
            following = self._next(reached, 1 if steps > 0 else -1)
            if not self.allows(following):
                following = self._edge(reached, 1 if steps > 0 else -1)
            reached = following
        return round(reached) if self.whole else reached

    def _next(self, value: float, direction: int) -> float:
        if self.stepping == "double":
            return value * 2 if direction > 0 else max(1, value // 2)
        if self.stepping == "linear":
            return float(Decimal(repr(value)) + direction * Decimal(repr(self.step)))
        if value < SMALLEST_STEP or (value == SMALLEST_STEP and direction < 0):
            return SMALLEST_STEP if direction > 0 else 0.0
        decade = floor(log10(value) + 1e-12)
        ladder = [float(f"{digit}e{decade + shift}") for shift in (-1, 0, 1) for digit in (1, 2, 5)]
        if direction > 0:
            return min(rung for rung in ladder if rung > value * (1 + 1e-9))
        return max(rung for rung in ladder if rung < value * (1 - 1e-9))

    def _edge(self, value: float, direction: int) -> float:
        # A step would leave the range: go to the bound itself where that is allowed, else stay.
        bound = self.maximum if direction > 0 else self.minimum
        return bound if bound is not None and self.allows(bound) else value


class NumberBox(QAbstractSpinBox):
    """A field for one number. `value_changed` carries an int, a float, or None while the text is no number."""

    value_changed = Signal(object)
    settled = Signal()  # the keyboard focus has left, or Return was pressed

    def __init__(self, form: NumberFormat, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._form = form
        self._value: int | float | None = None
        self.setMinimumWidth(60)
        self.lineEdit().setTextMargins(4, 0, 0, 0)
        self.lineEdit().textEdited.connect(self._typed)
        self.editingFinished.connect(self.settled)

    @property
    def format(self) -> NumberFormat:
        """How numbers are shown and read here."""
        return self._form

    def set_format(self, form: NumberFormat) -> None:
        """Show, read and step numbers in another way from now on."""
        self._form = form

    @property
    def value(self) -> int | float | None:
        """The number on show, or None if the text is none."""
        return self._value

    def set_value(self, value: float) -> None:
        """Show a number without telling anybody."""
        self._value = value
        if self._form.read(self.lineEdit().text()) != value or not self.hasFocus():
            self.lineEdit().setText(self._form.show(value))

    def event(self, event: QEvent) -> bool:
        # The box has the focus and hands this event to its text field itself.
        return passed_on(self.lineEdit(), event) or super().event(event)

    def stepBy(self, steps: int) -> None:
        if self._value is None or not isfinite(self._value):
            return
        value = self._form.stepped(self._value, steps)
        if value != self._value:
            self._value = value
            self.lineEdit().setText(self._form.show(value))
            self.value_changed.emit(value)
        self.selectAll()

    def stepEnabled(self) -> QAbstractSpinBox.StepEnabledFlag:
        enabled = QAbstractSpinBox.StepEnabledFlag.StepNone
        if self._value is not None and isfinite(self._value):
            if self._form.stepped(self._value, 1) != self._value:
                enabled |= QAbstractSpinBox.StepEnabledFlag.StepUpEnabled
            if self._form.stepped(self._value, -1) != self._value:
                enabled |= QAbstractSpinBox.StepEnabledFlag.StepDownEnabled
        return enabled

    def validate(self, text: str, position: int) -> object:
        return QValidator.State.Acceptable, text, position

    def wheelEvent(self, event: QWheelEvent) -> None:
        # Scrolling the form must not change whatever number happens to pass under the pointer.
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        if self._value is not None:
            self.lineEdit().setText(self._form.show(self._value))

    def _typed(self, text: str) -> None:
        value = self._form.read(text)
        if value != self._value or type(value) is not type(self._value):
            self._value = value
            self.value_changed.emit(value)


def _grouped(text: str) -> bool:
    head, *groups = text.lstrip("+-").partition(".")[0].split(",")
    return bool(groups) and head.isdigit() and all(len(group) == 3 and group.isdigit() for group in groups)


def _plain(number: Decimal) -> str:
    text = f"{number.normalize():f}"
    return "0" if text == "-0" else text


def _short(number: Decimal) -> str:
    """0.001, 2.5, but 5e-4: scientific where plain notation would be mostly zeros."""
    if not number:
        return "0"
    exponent = number.adjusted()
    if -4 < exponent < 7:
        return _plain(number)
    return f"{_plain(number.scaleb(-exponent))}e{exponent}"
