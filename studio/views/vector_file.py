"""A widget as a vector file."""

from pathlib import Path

from PySide6.QtCore import QPoint
from PySide6.QtGui import QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QWidget

from core.files import write_text


def save_svg(widget: QWidget, path: Path, title: str) -> None:
    """Write what a widget shows as SVG.

    Raises:
        StudioError: where the file cannot be written.
    """
    # pyqtgraph's own SVG exporter fails on Qt 6, and the generator is silent about a folder it cannot write to.
    write_text(path, "")
    generator = QSvgGenerator()
    generator.setFileName(str(path))
    generator.setSize(widget.size())
    generator.setViewBox(widget.rect())
    generator.setTitle(title)
    painter = QPainter(generator)
    widget.render(painter, QPoint())
    painter.end()
