"""The forms of findings, and the pictures that are made of them."""

import json
import re
from xml.etree import ElementTree

import pytest

from core.export.vector_plot import lines_svg, matrix_svg
from core.findings import Form, Line, Lines, Matrix, Table, read_finding

LINES = Lines(
    (
        Line(
            "measured <loss>",
            (1, 2, 4, 8),
            (0.5, None, 0.25, 0.1),
            (0.4, 0.3, 0.2, 0.05),
            (0.6, 0.5, 0.3, 0.2),
        ),
        Line("predicted", (1, 10), (0.4, 0.0), dashed=True),
    ),
    "weights deleted",
    "loss",
    log_x=True,
    reverse_x=True,
    note="On 1,000 examples.",
)
MATRIX = Matrix(
    ((1.0, 0.5), (None, -1.0)), ("round 1", "round 2"), ("a", "b & c"), "round", "round", "%", diverging=True
)
TABLE = Table(
    (("layer", ""), ("accuracy", "%")), (("conv1", 97.5), ("fc", None)), "Measured on the validation split."
)


@pytest.mark.parametrize("form", [LINES, MATRIX, TABLE], ids=lambda form: form.form)
def test_every_form_comes_back_from_json(form: Form) -> None:
    assert read_finding(json.loads(json.dumps(form.to_data()))) == form


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"form": "hologram"},
        {"form": "lines"},
        LINES.to_data() | {"lines": [{"name": "a", "x": [1, 2], "y": [1]}]},
        LINES.to_data() | {"lines": [{"name": "a", "x": ["one"], "y": [1]}]},
        MATRIX.to_data() | {"rows": ["only one"]},
        MATRIX.to_data() | {"values": [["a", 1], [2, 3]]},
        TABLE.to_data() | {"rows": [["too", "many", "cells"]]},
        TABLE.to_data() | {"rows": [[{}, []]]},
        TABLE.to_data() | {"columns": 3},
    ],
)
def test_what_is_no_form_is_none(data: dict[str, object]) -> None:
    assert read_finding(data) is None


def _root(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def _texts(svg: str) -> list[str]:
    return [element.text or "" for element in _root(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_curves_become_a_picture_with_axes_and_names() -> None:
    svg = lines_svg(LINES, "Loss & weights")
    texts = _texts(svg)
    assert {"Loss & weights", "weights deleted", "loss", "measured <loss>", "predicted"} <= set(texts)
    lines = _root(svg).findall("{http://www.w3.org/2000/svg}polyline")
    # The gap parts the first curve; of its left part only one point is left, which no line can show.
    assert len(lines) == 2
    assert [line.get("stroke-dasharray") for line in lines] == [None, "6 4"]
    assert len(_root(svg).findall("{http://www.w3.org/2000/svg}circle")) == 5
    predicted = [float(x) for x, _ in (point.split(",") for point in lines[1].get("points", "").split())]
    assert predicted[0] > predicted[1], "the largest x stands on the left"


def test_positions_are_those_of_the_values() -> None:
    plot = Lines((Line("a", (0, 5, 10), (0, 50, 100)),), "x", "y")
    (line,) = _root(lines_svg(plot)).findall("{http://www.w3.org/2000/svg}polyline")
    (x0, y0), (x1, y1), (x2, y2) = (
        tuple(float(part) for part in point.split(",")) for point in line.get("points", "").split()
    )
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.02)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.02)
    assert y0 > y2, "up is up"


@pytest.mark.parametrize(
    "values", [(), (3.0,), (3.0, 3.0), (float("nan"), float("inf")), (0.0, 0.0), (1e-9, 1e12)]
)
@pytest.mark.parametrize("log", [False, True])
def test_odd_values_never_break_a_picture(values: tuple[float, ...], log: bool) -> None:
    plot = Lines((Line("a", tuple(range(len(values))), values),), "x", "y", log_y=log, log_x=log)
    assert not re.search(r"'(nan|-?inf)'|nan,|inf,", lines_svg(plot))


def test_a_matrix_becomes_cells_with_their_values() -> None:
    svg = matrix_svg(MATRIX, "Overlap")
    cells = [
        (element.findtext("{http://www.w3.org/2000/svg}title"), element.get("fill"))
        for element in _root(svg).iter("{http://www.w3.org/2000/svg}rect")
        if element.find("{http://www.w3.org/2000/svg}title") is not None
    ]
    assert [title for title, _ in cells] == [
        "round 1, a: 1.00 %",
        "round 1, b & c: 0.500 %",
        "round 2, a: not measured",
        "round 2, b & c: -1.00 %",
    ]
    assert len({color for _, color in cells}) == 4
    assert {"Overlap", "round 1", "b & c"} <= set(_texts(svg))


def test_a_matrix_of_holes_says_so() -> None:
    assert "Nothing to draw." in _texts(matrix_svg(Matrix(((None,),), ("a",), ("b",), "", "")))
