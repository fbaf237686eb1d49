"""How a run is shown while it goes."""

import io
import json
import math

import pytest

from core.cli import monitor as monitor_module
from core.cli.monitor import Bar, JsonLines, PlainLines, event_to_json
from core.cli.tables import text_table, to_json
from core.events import (
    Finished,
    LayersMeasured,
    Measured,
    MetricPoint,
    Notice,
    Progress,
    RunStarted,
    StepStarted,
)
from core.measurement.records import LayerStatistics, Measurement

MEASUREMENT = Measurement(100, 80, 20, 400, 120, "bitmask")


def point(value: float, metric: str = "accuracy") -> MetricPoint:
    return MetricPoint("r", 1, 1.0, 10, "validation", metric, value, 2.0)


class _Terminal(io.StringIO):
    encoding = "utf-8"


def test_a_bar_is_drawn_again_and_taken_away(monkeypatch):
    monkeypatch.setattr(monitor_module, "REDRAW_SECONDS", 0.0)
    monkeypatch.setenv("COLUMNS", "97")
    stream = _Terminal()
    bar = Bar(stream)
    bar.show(StepStarted("r", 0, 2, "Prune"))
    bar.show(Progress("r", 0.25, "Fine-tune: epoch 1 of 4", 65))
    bar.show(point(0.978))
    bar.show(Progress("r", 0.5, "Fine-tune: epoch 2 of 4", None))
    bar.close()
    drawn = stream.getvalue().split("\r\x1b[2K")
    assert drawn[0].startswith("Step 1 of 2: Prune\n")
    assert " 25 %  Fine-tune: epoch 1 of 4  1:05 left" in drawn[0]
    assert "validation accuracy 97.80 %\n" in drawn[1]
    assert " 50 %  Fine-tune: epoch 2 of 4  val 97.80 %" in drawn[-2]
    assert drawn[-2].count("█") == drawn[-2].count("░")
    assert drawn[-1] == ""
    assert all(len(part.rstrip("\n").split("\n")[-1]) < 100 for part in drawn)


def test_a_bar_fits_a_narrow_terminal_that_knows_only_ascii(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")

    class Ascii(io.StringIO):
        encoding = "ascii"

    stream = Ascii()
    bar = Bar(stream)
    bar.show(Progress("r", 0.5, "Fine-tune: epoch 1 of 4", 65))
    assert stream.getvalue().startswith("#####-----  50 %")
    assert len(stream.getvalue()) < 30


def test_plain_lines_are_few():
    stream = io.StringIO()
    lines = PlainLines(stream)
    for n in range(1001):
        lines.show(Progress("r", n / 1000, "Measuring", None))
    lines.show(point(0.5, "loss"))
    lines.show(point(0.5))
    lines.show(Notice("r", "Something to know."))
    text = stream.getvalue().splitlines()
    assert 10 <= len(text) <= 14
    assert text[-2:] == ["  epoch 1: validation accuracy 50.00 %", "Something to know."]


def test_epochs_that_fly_by_do_not_all_get_a_line():
    stream = io.StringIO()
    lines = PlainLines(stream)
    for n in range(500):
        lines.show(point(n / 500))
    assert 1 <= len(stream.getvalue().splitlines()) < 50


def test_every_event_becomes_one_line_of_valid_json():
    stream = io.StringIO()
    lines = JsonLines(stream, io.StringIO())
    layer = LayerStatistics("conv1", "conv2d", (4, 1, 3, 3), 36, 9, None)
    events = [
        RunStarted("r", 1.0, (("torch", "2"),), None),
        Measured("r", "after", MEASUREMENT),
        LayersMeasured("r", "after", (layer,)),
        point(math.nan),
        Finished("r", 2.0),
    ]
    for event in events:
        lines.show(event)
    data = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [entry["event"] for entry in data] == [type(event).__name__ for event in events]
    assert data[0]["environment"] == {"torch": "2"}
    assert data[1]["measurement"]["sparsity"] == 0.75
    assert data[2]["layers"][0]["sparsity"] == 0.75
    assert data[3]["value"] is None
    assert event_to_json(events[-1])["stopped_early"] is False


def test_tables_align_and_json_knows_no_nan():
    table = text_table(("Name", "Size"), [("a", "1"), ("long name", "1,000")], right=(1,))
    assert table == "Name        Size\na              1\nlong name  1,000"
    assert text_table(("", ""), [("a", "b")]) == "a  b"
    assert text_table((), []) == ""
    assert json.loads(to_json({"x": (math.inf, 1.5), 2: {math.nan}})) == {"x": [None, 1.5], "2": [None]}
    with pytest.raises(TypeError):
        to_json({"x": object()})
