"""RuntimePanel: exports for other runtimes, each with what its check and its clock said."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from core.findings import Table
from core.formatting import significant
from studio import icons, theme
from studio.tables.grid import Cell, Head
from studio.views.grid_view import GridView
from studio.views.notice import PanelNotice

LAYERS_IN_SIGHT = 10
"""Rows of the layers' times that a card shows at once; the rest is scrolled to."""


@dataclass(frozen=True)
class Target:
    """One way to export: the step's `format`, the words on its button, and what it is for."""

    format: str
    title: str
    help: str


TARGETS = (
    Target(
        "onnx-int8",
        "Export int8 ONNX",
        "Weights and activations in 8 bits, calibrated on training examples; onnxruntime computes with integers.",
    ),
    Target("onnx", "Export ONNX", "float32 for onnxruntime and most other runtimes."),
    Target(
        "torch-export",
        "Export for PyTorch",
        "A torch.export archive (.pt2), which runs without this program.",
    ),
)


@dataclass(frozen=True)
class ExportedFile:
    """A file that a run exported.

    Attributes:
        size: of the file in bytes.
        headline: size, ratio and verdict in one line.
        words: what the run said about it.
        check, latency, layers: what its check found, how long a forward pass takes, and how long each layer does; None
            where the run has none.
    """

    format: str
    run_id: str
    run_number: int
    path: Path
    size: int
    headline: str
    words: str
    check: Table | None
    latency: Table | None
    layers: Table | None = None


class RuntimePanel(QWidget):
    """A button for each target with its state beside it, and a card for each file that there is."""

    export_wanted = Signal(str)  # format
    copy_wanted = Signal(object)  # ExportedFile
    run_wanted = Signal(object)  # str: run_id

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("runtimePanel")
        self._buttons: dict[str, QPushButton] = {}
        self._states: dict[str, QLabel] = {}
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(2 * theme.SPACE)
        grid.setVerticalSpacing(theme.SPACE)
        grid.setColumnStretch(1, 1)
        for row, target in enumerate(TARGETS):
            button = QPushButton(f" {target.title}")
            button.setObjectName(f"export-{target.format}")
            button.setAccessibleName(target.title)
            button.setToolTip(
                f"{target.help} The file is opened again in its runtime, run on the test split and compared with the "
                "model before it counts."
            )
            icons.bind(button, "export")
            button.clicked.connect(lambda _=False, chosen=target.format: self.export_wanted.emit(chosen))
            state = QLabel(target.help)
            state.setObjectName(f"exportState-{target.format}")
            state.setProperty("role", "muted")
            state.setWordWrap(True)
            grid.addWidget(button, row, 0)
            grid.addWidget(state, row, 1)
            self._buttons[target.format] = button
            self._states[target.format] = state
        self.notice = PanelNotice()
        self._cards = QVBoxLayout()
        self._cards.setContentsMargins(0, 0, 0, 0)
        self._cards.setSpacing(2 * theme.SPACE)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2 * theme.SPACE)
        layout.addLayout(grid)
        layout.addWidget(self.notice)
        layout.addLayout(self._cards)

    def set_state(self, target: str, text: str, enabled: bool) -> None:
        """What stands beside a button: what it is for, why it cannot be used, or how far its run is."""
        state, button = self._states[target], self._buttons[target]
        state.setText(text)
        if not enabled and button.hasFocus():
            self.setFocus()
        button.setEnabled(enabled)

    def show_files(self, files: Sequence[ExportedFile]) -> None:
        """A card for each of these, newest first."""
        while (item := self._cards.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for file in files:
            self._cards.addWidget(self._card(file))

    def _card(self, file: ExportedFile) -> QWidget:
        card = QFrame()
        card.setObjectName(f"exported-{file.format}")
        card.setAccessibleName(file.path.name)
        title = QLabel(file.path.name)
        title.setProperty("role", "heading")
        title.setToolTip(str(file.path))
        headline = QLabel(file.headline)
        headline.setObjectName("exportedHeadline")
        headline.setWordWrap(True)
        head = QHBoxLayout()
        head.setSpacing(theme.SPACE)
        head.addWidget(title)
        head.addStretch(1)
        for name, text, tip, act in (
            (
                "copyFile",
                "Save a copy…",
                "Copy the file to where you want it.",
                lambda: self.copy_wanted.emit(file),
            ),
            (
                "showFolder",
                "Show folder",
                f"Open {file.path.parent}.",
                lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(file.path.parent))),
            ),
            (
                "showRun",
                f"Run {file.run_number}",
                "Go to the run that wrote it.",
                lambda: self.run_wanted.emit(file.run_id),
            ),
        ):
            button = QPushButton(text)
            button.setObjectName(name)
            button.setAccessibleName(f"{text.rstrip('…')}: {file.path.name}")
            button.setToolTip(tip)
            button.clicked.connect(lambda _=False, act=act: act())
            head.addWidget(button)
        column = QVBoxLayout(card)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addLayout(head)
        column.addWidget(headline)
        if file.check is not None:
            column.addWidget(_check(f"Check of {file.path.name}", file.check))
            column.addWidget(_muted(file.check.note))
        if file.latency is not None:
            column.addWidget(_latency(f"Latency of {file.path.name}", file.latency))
            column.addWidget(_muted(file.latency.note))
        if file.layers is not None:
            column.addWidget(_layers(f"Time of each layer of {file.path.name}", file.layers))
            column.addWidget(_muted(file.layers.note))
        if file.words:
            column.addWidget(_muted(file.words))
        return card


def _check(title: str, table: Table) -> GridView:
    """What the check found; empty cells stay empty."""
    heads = tuple(Head(name) for name, _ in table.columns)
    rows = [tuple(Cell("" if value is None else str(value)) for value in row) for row in table.rows]
    view = _grid(title, "check", heads, rows)
    view.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
    return view


def _latency(title: str, table: Table) -> GridView:
    """Times in three digits; the full ones are in the tips and in the run."""
    names = [name for name, _ in table.columns]
    heads = (
        Head("Runtime"),
        Head("Batch", right=True),
        Head("Median (ms)", right=True),
        Head("Quartiles (ms)", right=True),
        Head("vs eager", right=True),
    )
    rows = []
    for row in table.rows:
        value = dict(zip(names, row, strict=True))
        runtime = str(value["Runtime"])
        median, ratio = float(value["Median"] or 0), float(value["Against eager"] or 0)
        lower, upper = float(value["Lower quartile"] or 0), float(value["Upper quartile"] or 0)
        rows.append(
            (
                Cell(runtime.replace(_local_version(runtime), ""), runtime),
                Cell(str(value["Batch"]), right=True),
                Cell(significant(median), f"{median!r} ms", right=True),
                Cell(
                    f"{significant(lower)} – {significant(upper)}",
                    f"{lower!r} to {upper!r} ms, at best {value['Minimum']!r} ms",
                    right=True,
                ),
                Cell(f"{significant(ratio)}×", f"{ratio!r} times as fast", right=True),
            )
        )
    view = _grid(title, "latency", heads, rows)
    header = view.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    return view


def _layers(title: str, table: Table) -> GridView:
    """Where the time goes, the last row being the whole; the longest of the layers are marked by their share."""
    heads = tuple(
        Head(f"{name} ({unit})" if unit and unit != "×" else name, right=place > 1)
        for place, (name, unit) in enumerate(table.columns)
    )
    rows = []
    for row in table.rows:
        cells = [Cell(str(row[0])), Cell(str(row[1]))]
        for (_, unit), value in zip(table.columns[2:], row[2:], strict=True):
            if value is None:
                cells.append(Cell("–", "The float32 file has no such operator.", right=True))
            else:
                text = f"{float(value):.1f}" if unit == "%" else significant(float(value))
                cells.append(Cell(text + ("×" if unit == "×" else ""), f"{value!r} {unit}", right=True))
        rows.append(tuple(cells))
    view = _grid(title, "layerTimes", heads, rows)
    view.fit_height(at_most=LAYERS_IN_SIGHT)
    return view


def _local_version(text: str) -> str:
    """What stands behind a version's “+”, as in 2.9.1+cu130: which build it is, for the tip."""
    _, plus, rest = text.partition("+")
    return plus + rest.partition(" ")[0]


def _grid(title: str, name: str, heads: tuple[Head, ...], rows: Sequence[tuple[Cell, ...]]) -> GridView:
    view = GridView(title)
    view.setObjectName(name)
    view.table.show_rows(heads, rows)
    view.stretch(*[1] * len(heads))
    view.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
    view.fit_height()
    view.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
    return view


def _muted(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", "muted")
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    if not text:
        label.hide()
    return label
