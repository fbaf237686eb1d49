"""What a run found out beyond curves and measurements: each finding as a picture and as the numbers behind it.

Pictures are the vector plots of reports, so that what is looked at here is what is passed on.
"""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from core.errors import StudioError
from core.events import Finding
from core.export.vector_plot import lines_svg, matrix_svg
from core.files import write_text
from core.findings import Lines, Matrix, Table, read_finding
from studio import theme
from studio.problem import problem_from
from studio.tables.grid import Cell, Head
from studio.views.grid_view import GridView
from studio.views.notice import PanelNotice

MOST_CELLS = 2500
"""A picture of more cells takes longer to draw than the window may wait."""

Form = Lines | Matrix | Table
_LEAST_WIDTH, _LEAST_HEIGHT = 300, 320


class FindingsView(QWidget):
    """One finding at a time, chosen by its title."""

    problem = Signal(object)  # Problem: a file could not be written

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("findingsView")
        self._found: tuple[tuple[str, Form], ...] = ()
        self.chooser = QComboBox()
        self.chooser.setObjectName("findingChooser")
        self.chooser.setAccessibleName("Which finding")
        self.chooser.setToolTip("What this run found out: choose what to look at")
        self.chooser.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.chooser.setMinimumContentsLength(12)
        self.chooser.currentIndexChanged.connect(self._chosen)
        self.save_button = QPushButton("Save…")
        self.save_button.setObjectName("findingSave")
        self.save_button.setToolTip("Save the picture as SVG, or the numbers as CSV")
        self.save_button.clicked.connect(self.save_dialog)
        self.picture = Picture()
        self.numbers = GridView("Numbers of the finding")
        self.numbers.setObjectName("findingNumbers")
        self.too_large = QLabel("Too large for a picture: see its numbers, or save it as SVG.")
        self.too_large.setProperty("role", "muted")
        self.too_large.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.too_large.setWordWrap(True)
        self.front = QStackedWidget()
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(self.picture)
        self.front.addWidget(self._scroll)
        self.front.addWidget(self.too_large)
        self.sides = QTabWidget()
        self.sides.setObjectName("findingSides")
        self.sides.setDocumentMode(True)
        self.sides.addTab(self.front, "Picture")
        self.sides.addTab(self.numbers, "Numbers")
        self.sides.setTabToolTip(0, "As it stands in reports")
        self.sides.setTabToolTip(1, "What the picture was drawn from; Ctrl+C copies")
        self.note = QLabel()
        self.note.setObjectName("findingNote")
        self.note.setProperty("role", "small")
        self.note.setWordWrap(True)
        self.note.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        bar = QHBoxLayout()
        bar.setSpacing(theme.SPACE)
        bar.addWidget(self.chooser, 1)
        bar.addWidget(self.save_button)
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE)
        inside.setSpacing(theme.SPACE)
        inside.addLayout(bar)
        inside.addWidget(self.sides, 1)
        inside.addWidget(self.note)
        self.notice = PanelNotice(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.notice)
        layout.addWidget(content, 1)
        theme.events.changed.connect(self._restyle)
        self.show_findings(())

    @property
    def form(self) -> Form | None:
        """The finding on show."""
        place = self.chooser.currentIndex()
        return self._found[place][1] if 0 <= place < len(self._found) else None

    def show_findings(self, findings: Sequence[Finding]) -> None:
        """Offer these; the one on show stays if it is among them."""
        before = self.chooser.currentText()
        found = []
        for finding in findings:
            form = read_finding(finding.data)
            if form is not None:
                title = f"{finding.title} · {finding.key}" if finding.key else finding.title
                found.append((title, form))
        self._found = tuple(found)
        self.chooser.blockSignals(True)
        self.chooser.clear()
        self.chooser.addItems([title for title, _ in found])
        self.chooser.setCurrentIndex(max(0, self.chooser.findText(before)) if found else -1)
        self.chooser.blockSignals(False)
        if found:
            self.notice.clear()
            self._chosen(0)
        else:
            self.notice.show_empty(
                "Nothing here: this run found out nothing beyond its curves and measurements. Lottery Ticket recipes, "
                "studies of deletions, distillation and sensitivity do."
            )

    def save_dialog(self) -> None:
        """Ask for a file and write the finding there."""
        choices = "Data (*.csv)" if isinstance(self.form, Table) else "Vector (*.svg);;Data (*.csv)"
        path, _ = QFileDialog.getSaveFileName(self, "Save finding", "", choices)
        if path:
            try:
                self.save(Path(path))
            except StudioError as error:
                self.problem.emit(problem_from(error))

    def save(self, path: Path) -> None:
        """Write the picture (.svg) or the numbers (.csv).

        Raises:
            StudioError: for another ending, or where the file cannot be written.
        """
        form = self.form
        if form is None:
            return
        if path.suffix.lower() == ".csv":
            heads, rows = numbers_of(form)
            lines = [",".join(_quoted(head.title) for head in heads)]
            lines += [",".join(_quoted(cell.tip or cell.text) for cell in row) for row in rows]
            write_text(path, "\n".join(lines) + "\n")
        elif path.suffix.lower() == ".svg" and not isinstance(form, Table):
            write_text(path, svg_of(form, self.chooser.currentText()))
        else:
            raise StudioError(f"{path.name} was not written: end the name with .svg (for pictures) or .csv.")

    # -- inside ---------------------------------------------------------------------------------------------

    def _chosen(self, _index: int) -> None:
        form = self.form
        if form is None:
            return
        heads, rows = numbers_of(form)
        self.numbers.table.show_rows(heads, rows)
        self.numbers.stretch(*[1] * len(heads))
        self.note.setText(form.note)
        self.note.setVisible(bool(form.note))
        drawn = not isinstance(form, Table)
        self.sides.setTabVisible(0, drawn)
        self.sides.tabBar().setVisible(drawn)
        if not drawn:
            self.sides.setCurrentIndex(1)
            return
        self.sides.setCurrentIndex(0)
        self._draw()

    def _draw(self) -> None:
        form = self.form
        if form is None or isinstance(form, Table):
            return
        large = isinstance(form, Matrix) and len(form.rows) * len(form.columns) > MOST_CELLS
        self.front.setCurrentWidget(self.too_large if large else self._scroll)
        if not large:
            self.picture.show_form(form)

    def _restyle(self, _tokens: theme.Tokens) -> None:
        self._draw()


class Picture(QWidget):
    """A vector picture, drawn for the room that there is: its text stays as large as other small text."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("findingPicture")
        self.setAccessibleName("Picture of the finding")
        self._renderer = QSvgRenderer(self)
        self._form: Lines | Matrix | None = None
        self.setMinimumHeight(_LEAST_HEIGHT)

    @property
    def drawn(self) -> bool:
        """Whether there is anything to be seen."""
        return self._renderer.isValid()

    def show_form(self, form: Lines | Matrix) -> None:
        """Show this picture in the colours in force."""
        self._form = form
        width, height = max(_LEAST_WIDTH, self.width()), max(_LEAST_HEIGHT, self.height())
        text = lines_svg(form, "", width, height) if isinstance(form, Lines) else matrix_svg(form, "", width)
        # Qt's renderer knows no currentColor.
        text = text.replace("currentColor", theme.tokens().text_muted)
        self._renderer.load(QByteArray(text.encode()))
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._form is not None:
            self.show_form(self._form)

    def sizeHint(self) -> QSize:
        return QSize(420, 300)

    def paintEvent(self, _event: QPaintEvent) -> None:
        if not self._renderer.isValid():
            return
        size = self._renderer.defaultSize()
        scale = min(self.width() / size.width(), self.height() / size.height(), 1.0)
        width, height = size.width() * scale, size.height() * scale
        painter = QPainter(self)
        self._renderer.render(painter, QRectF((self.width() - width) / 2, 0, width, height))
        painter.end()


def svg_of(form: Lines | Matrix, title: str) -> str:
    """The picture of a form as it stands in files."""
    return lines_svg(form, title) if isinstance(form, Lines) else matrix_svg(form, title)


def numbers_of(form: Form) -> tuple[tuple[Head, ...], list[tuple[Cell, ...]]]:
    """The numbers behind a form as a table; tips hold them in full."""
    if isinstance(form, Table):
        heads = tuple(
            Head(f"{title} ({unit})" if unit else title, right=_numeric(form, place))
            for place, (title, unit) in enumerate(form.columns)
        )
        return heads, [tuple(_cell(value) for value in row) for row in form.rows]
    if isinstance(form, Matrix):
        heads = (Head(form.row_label), *(Head(name, right=True) for name in form.columns))
        rows = [
            (Cell(name), *(_cell(value) for value in row))
            for name, row in zip(form.rows, form.values, strict=True)
        ]
        return heads, rows
    xs = sorted({x for line in form.lines for x in line.x}, reverse=form.reverse_x)
    heads = (Head(form.x_label, right=True), *(Head(line.name, right=True) for line in form.lines))
    found = [dict(zip(line.x, line.y, strict=True)) for line in form.lines]
    return heads, [(_cell(x), *(_cell(values.get(x)) for values in found)) for x in xs]


def _numeric(table: Table, column: int) -> bool:
    return any(isinstance(row[column], int | float) for row in table.rows)


def _cell(value: float | str | None) -> Cell:
    if value is None:
        return Cell("–", "", "muted", right=True)
    if isinstance(value, str):
        return Cell(value, value)
    shown = f"{value:,}" if isinstance(value, int) else f"{value:.5g}".replace("-", "−")
    return Cell(shown, repr(value), right=True)


def _quoted(text: str) -> str:
    text = "" if text == "–" else text
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n') else text
