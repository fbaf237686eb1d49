"""Heatmaps as files: the picture as it looks or as vectors, and the numbers behind it."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QPoint
from PySide6.QtGui import QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QWidget

from core.analysis.pictures import changes
from core.errors import StudioError
from core.files import write_text
from core.formatting import count
from studio.views.heatmap_request import PaintedTile

_MOST_NUMBERS = 4_000_000
"""Values that are copied or saved as CSV at most."""


def save_picture(widget: QWidget, path: Path, title: str, numbers_of: Callable[[str], str]) -> None:
    """Save a widget as .png (as it looks) or .svg (text as vectors), or its numbers as .csv.

    Raises:
        StudioError: for another ending, or where the file cannot be written.
    """
    match path.suffix.lower():
        case ".csv":
            write_text(path, numbers_of(","))
        case ".png":
            if not widget.grab().save(str(path)):
                raise StudioError(f"{path.name} was not written: {path.parent} may not be written to.")
        case ".svg":
            # The generator is silent about a folder that it cannot write to.
            write_text(path, "")
            generator = QSvgGenerator()
            generator.setFileName(str(path))
            generator.setSize(widget.size())
            generator.setViewBox(widget.rect())
            generator.setTitle(title)
            painter = QPainter(generator)
            widget.render(painter, QPoint())
            painter.end()
        case _:
            raise StudioError(f"{path.name} was not written: end the name with .png, .svg or .csv.")


def numbers(shown: PaintedTile, rows: tuple[int, int], columns: tuple[int, int], separator: str) -> str:
    """The numbers on show with full precision, one row of the matrix per line.

    Single weights (or their changes) as they are; of kernels, channels and blocks, one line for each pixel with
    its place, its figure and its zero fraction.

    Raises:
        StudioError: if they are too many.
    """
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    if shown.look.grouping not in ("element", "pattern"):
        _write_cells(writer, shown)
        return text.getvalue()
    number_of = (rows[1] - rows[0]) * (columns[1] - columns[0])
    if number_of > _MOST_NUMBERS:
        raise StudioError(
            f"{count(number_of)} weights are too many for a table: zoom in to at most {count(_MOST_NUMBERS)} first."
        )
    writer.writerow(["row", *range(*columns)])
    for row in range(*rows):
        values = shown.matrix[row, slice(*columns)]
        if shown.other is not None:
            values = changes(values, shown.other[row, slice(*columns)])
        writer.writerow([row, *map(repr, values.tolist())])
    return text.getvalue()


def _write_cells(writer: "csv.Writer", shown: PaintedTile) -> None:
    tile = shown.tile
    writer.writerow(
        ["first row", "last row", "first column", "last column", shown.look.mode, "zero fraction"]
    )
    for row in range(tile.values.shape[0]):
        for column in range(tile.values.shape[1]):
            (top, bottom), (left, right) = tile.weights_of((row, column))
            figures = (float(tile.values[row, column]), float(tile.zeros[row, column]))
            writer.writerow([top, bottom - 1, left, right - 1, *map(repr, figures)])
