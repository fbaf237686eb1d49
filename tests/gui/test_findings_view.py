"""Findings of a run: each is chosen by its title, drawn, told in numbers, and written as SVG and CSV."""

import csv
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from core.errors import StudioError
from core.events import Finding
from core.findings import Line, Lines, Matrix, Table
from studio import theme
from studio.views.findings_view import MOST_CELLS, FindingsView

LINES = Lines(
    (
        Line("measured", (0, 10, 20), (0.5, 0.25, None), low=(0.4, 0.2, None), high=(0.6, 0.3, None)),
        Line("foretold", (0, 20), (0.5, 0.125), dashed=True),
    ),
    "weights deleted (%)",
    "loss",
    log_y=True,
    note="On 100 examples.",
)
MATRIX = Matrix(
    ((1.0, 0.25), (0.25, None)), ("run 1", "run 2"), ("run 1", "run 2"), "trial", "trial", unit="%"
)
TABLE = Table((("Class", ""), ("Right", "%")), (("zero", 99.5), ("one, two", None)), "On the test split.")


def finding(title: str, form: Lines | Matrix | Table, key: str = "") -> Finding:
    return Finding("run", title, key, title, form.to_data())


@pytest.fixture
def view(qtbot: QtBot) -> FindingsView:
    shown = FindingsView()
    qtbot.addWidget(shown)
    shown.resize(480, 420)
    shown.show()
    shown.show_findings(
        (finding("Deletions", LINES, "Step 2"), finding("Overlap", MATRIX), finding("Classes", TABLE))
    )
    return shown


def cells(view: FindingsView) -> list[list[str]]:
    table = view.numbers.table
    return [
        [table.cell(row, column).text for column in range(table.columnCount())]
        for row in range(table.rowCount())
    ]


def test_without_findings_it_says_so(view: FindingsView) -> None:
    assert view.notice.state == "ready"
    view.show_findings(())
    assert view.notice.state == "empty"
    assert "Lottery Ticket" in view.notice.text


def test_curves_are_drawn_and_told_in_numbers(qtbot: QtBot, view: FindingsView) -> None:
    assert view.chooser.currentText() == "Deletions · Step 2"
    assert view.picture.isVisible()
    assert view.picture.drawn
    assert view.note.text() == "On 100 examples."
    blank = view.picture.grab().toImage()
    assert (
        len({blank.pixel(x, y) for x in range(0, blank.width(), 3) for y in range(0, blank.height(), 3)}) > 3
    )
    QTest.mouseClick(
        view.sides.tabBar(), Qt.MouseButton.LeftButton, pos=view.sides.tabBar().tabRect(1).center()
    )
    assert view.numbers.isVisible()
    assert cells(view) == [["0", "0.5", "0.5"], ["10", "0.25", "–"], ["20", "–", "0.125"]]
    view.numbers.setFocus()
    qtbot.keyClick(view.numbers, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert "measured" in QApplication.clipboard().text()


def test_another_is_chosen_with_the_keyboard(qtbot: QtBot, view: FindingsView) -> None:
    view.chooser.setFocus()
    qtbot.keyClick(view.chooser, Qt.Key.Key_Down)
    assert view.picture.isVisible()
    assert cells(view) == [["run 1", "1", "0.25"], ["run 2", "0.25", "–"]]
    qtbot.keyClick(view.chooser, Qt.Key.Key_Down)
    assert not view.sides.tabBar().isVisible()
    assert view.numbers.isVisible()
    assert cells(view) == [["zero", "99.5"], ["one, two", "–"]]
    qtbot.keyClick(view.chooser, Qt.Key.Key_Up)
    assert view.picture.isVisible()


def test_what_is_on_show_stays_when_more_comes_in(view: FindingsView) -> None:
    view.chooser.setCurrentIndex(1)
    view.show_findings((finding("Classes", TABLE), finding("Overlap", MATRIX)))
    assert view.chooser.currentText() == "Overlap"
    # A form of a later version is left out rather than shown wrongly.
    view.show_findings((Finding("run", "new", "", "New", {"form": "sphere"}), finding("Classes", TABLE)))
    assert view.chooser.count() == 1


def test_files_hold_what_is_on_show(view: FindingsView, tmp_path: Path) -> None:
    view.save(tmp_path / "deletions.svg")
    assert "weights deleted (%)" in (tmp_path / "deletions.svg").read_text(encoding="utf-8")
    view.chooser.setCurrentIndex(2)
    view.save(tmp_path / "classes.csv")
    with (tmp_path / "classes.csv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [["Class", "Right (%)"], ["zero", "99.5"], ["one, two", ""]]
    with pytest.raises(StudioError, match=r"\.csv"):
        view.save(tmp_path / "classes.svg")


def test_a_huge_matrix_is_not_drawn(view: FindingsView) -> None:
    side = int(MOST_CELLS**0.5) + 1
    names = tuple(str(n) for n in range(side))
    huge = Matrix(tuple((0.0,) * side for _ in names), names, names, "row", "column")
    view.show_findings((finding("Huge", huge),))
    assert not view.picture.isVisible()
    assert view.too_large.isVisible()


def test_the_picture_follows_the_scheme(view: FindingsView) -> None:
    light = view.picture.grab().toImage()
    theme.use(theme.DARK)
    try:
        assert view.picture.grab().toImage() != light
    finally:
        theme.use(theme.LIGHT)
