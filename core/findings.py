"""The forms that the data of a `Finding` may have, so that window, report and command line can show any of them.

Whoever finds something out picks a form; nobody who shows it needs to know what it is about. Without torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

Number: TypeAlias = float | int
Cell: TypeAlias = Number | str | None


@dataclass(frozen=True)
class Line:
    """One curve of a plot.

    Attributes:
        x, y: as many numbers each; None in `y` is a gap.
        low, high: the band around `y` (a spread or an interval), as long as `y`; or None.
        dashed: for what is predicted, quoted or a control, beside what was measured.
    """

    name: str
    x: tuple[Number, ...]
    y: tuple[Number | None, ...]
    low: tuple[Number | None, ...] | None = None
    high: tuple[Number | None, ...] | None = None
    dashed: bool = False

    def __post_init__(self) -> None:
        if any(other is not None and len(other) != len(self.x) for other in (self.y, self.low, self.high)):
            raise ValueError(f"the line {self.name!r} has parts of different lengths")


@dataclass(frozen=True)
class Lines:
    """Curves over a common axis.

    Attributes:
        x_label, y_label: with their units.
        reverse_x: the largest x stands on the left, as where weights become fewer.
        note: one sentence on how it was obtained.
    """

    form: ClassVar[str] = "lines"

    lines: tuple[Line, ...]
    x_label: str
    y_label: str
    log_x: bool = False
    log_y: bool = False
    reverse_x: bool = False
    note: str = ""

    def to_data(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "form": self.form,
            "lines": [
                {
                    "name": line.name,
                    "x": list(line.x),
                    "y": list(line.y),
                    "low": None if line.low is None else list(line.low),
                    "high": None if line.high is None else list(line.high),
                    "dashed": line.dashed,
                }
                for line in self.lines
            ],
            "x_label": self.x_label,
            "y_label": self.y_label,
            "log_x": self.log_x,
            "log_y": self.log_y,
            "reverse_x": self.reverse_x,
            "note": self.note,
        }


@dataclass(frozen=True)
class Matrix:
    """A table of numbers that is shown in colours.

    Attributes:
        values: rows of equal length; None is a hole.
        rows, columns: what each row and each column is called.
        unit: behind each value, such as "%"; values are then in that unit.
        low, high: ends of the colours; None takes the smallest and the largest value.
        diverging: the colours part at zero.
        note: one sentence on how it was obtained.
    """

    form: ClassVar[str] = "matrix"

    values: tuple[tuple[Number | None, ...], ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_label: str
    column_label: str
    unit: str = ""
    low: Number | None = None
    high: Number | None = None
    diverging: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        if len(self.values) != len(self.rows) or any(len(row) != len(self.columns) for row in self.values):
            raise ValueError("the matrix has other rows or columns than names for them")

    def to_data(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "form": self.form,
            "values": [list(row) for row in self.values],
            "rows": list(self.rows),
            "columns": list(self.columns),
            "row_label": self.row_label,
            "column_label": self.column_label,
            "unit": self.unit,
            "low": self.low,
            "high": self.high,
            "diverging": self.diverging,
            "note": self.note,
        }


@dataclass(frozen=True)
class Table:
    """Rows of cells.

    Attributes:
        columns: title and unit of each column; the unit may be empty. Numbers are in that unit.
        rows: as many cells as there are columns; None is what was not measured.
        note: one sentence on how it was obtained.
    """

    form: ClassVar[str] = "table"

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError("a row of the table has not as many cells as there are columns")

    def to_data(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "form": self.form,
            "columns": [list(column) for column in self.columns],
            "rows": [list(row) for row in self.rows],
            "note": self.note,
        }


Form: TypeAlias = Lines | Matrix | Table


def read_finding(data: Mapping[str, Any]) -> Form | None:
    """The form that `to_data` made `data` from; None for a form that this version does not know or that is broken."""
    try:
        match data.get("form"):
            case Lines.form:
                return _lines(data)
            case Matrix.form:
                return _matrix(data)
            case Table.form:
                return _table(data)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return None


def _lines(data: Mapping[str, Any]) -> Lines:
    return Lines(
        lines=tuple(
            Line(
                name=str(line["name"]),
                x=_numbers(line["x"]),
                y=_values(line["y"]),
                low=None if line.get("low") is None else _values(line["low"]),
                high=None if line.get("high") is None else _values(line["high"]),
                dashed=bool(line.get("dashed", False)),
            )
            for line in data["lines"]
        ),
        x_label=str(data["x_label"]),
        y_label=str(data["y_label"]),
        log_x=bool(data.get("log_x", False)),
        log_y=bool(data.get("log_y", False)),
        reverse_x=bool(data.get("reverse_x", False)),
        note=str(data.get("note", "")),
    )


def _matrix(data: Mapping[str, Any]) -> Matrix:
    low, high = _values((data.get("low"), data.get("high")))
    return Matrix(
        values=tuple(_values(row) for row in data["values"]),
        rows=tuple(str(name) for name in data["rows"]),
        columns=tuple(str(name) for name in data["columns"]),
        row_label=str(data["row_label"]),
        column_label=str(data["column_label"]),
        unit=str(data.get("unit", "")),
        low=low,
        high=high,
        diverging=bool(data.get("diverging", False)),
        note=str(data.get("note", "")),
    )


def _table(data: Mapping[str, Any]) -> Table:
    rows = tuple(tuple(row) for row in data["rows"])
    if any(not isinstance(cell, str | int | float | None) for row in rows for cell in row):
        raise TypeError
    return Table(
        columns=tuple((str(title), str(unit)) for title, unit in data["columns"]),
        rows=rows,
        note=str(data.get("note", "")),
    )


def _values(values: Sequence[Any]) -> tuple[Number | None, ...]:
    if any(not isinstance(value, int | float | None) for value in values):
        raise TypeError
    return tuple(values)


def _numbers(values: Sequence[Any]) -> tuple[Number, ...]:
    if any(not isinstance(value, int | float) for value in values):
        raise TypeError
    return tuple(values)
