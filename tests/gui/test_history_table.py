"""The run table's model and the cells of the details: order, filter, missing figures, speed of what is counted."""

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from studio.tables.run_columns import COLUMN_INDEX, COLUMNS
from studio.tables.runs import PROGRESS_ROLE, RunTable
from studio.views.run_summary import (
    layer_rows,
    protocol_text,
    setting_rows,
    summary_rows,
)

from .fake_runs import layers, measurement, record

DESCENDING, ASCENDING = Qt.SortOrder.DescendingOrder, Qt.SortOrder.AscendingOrder


@pytest.fixture
def table(qtbot: QtBot) -> RunTable:
    made = RunTable()
    made.set_records(
        [
            record(3, sparsity=0.9, accuracy=0.95, name="Gamma", tags=("thesis",)),
            record(
                2, sparsity=0.5, accuracy=None, after=None, status="failed", name="beta", error="No disk."
            ),
            record(1, sparsity=0.8, accuracy=0.96, name="Alpha", source_title="resnet20.th"),
        ]
    )
    return made


def numbers(table: RunTable) -> list[int]:
    return [table.record_at(row).number for row in range(table.rowCount())]


def text(table: RunTable, row: int, column: str) -> str:
    return str(table.index(row, COLUMN_INDEX[column]).data())


def test_the_newest_run_stands_first_and_every_column_has_words(table: RunTable) -> None:
    assert numbers(table) == [3, 2, 1]
    for index, column in enumerate(COLUMNS):
        assert column.tip
        assert table.headerData(index, Qt.Orientation.Horizontal).startswith(column.title)
        for row in range(3):
            assert table.index(row, index).data() is not None


@pytest.mark.parametrize("order", [ASCENDING, DESCENDING])
def test_what_was_not_measured_is_blank_and_last_in_either_order(
    table: RunTable, order: Qt.SortOrder
) -> None:
    table.sort(COLUMN_INDEX["accuracy"], order)
    assert numbers(table) == ([3, 1, 2] if order == ASCENDING else [1, 3, 2])
    assert text(table, 2, "accuracy") == ""
    assert text(table, 2, "packed") == ""


def test_names_sort_without_regard_to_case(table: RunTable) -> None:
    table.sort(COLUMN_INDEX["name"], ASCENDING)
    assert numbers(table) == [1, 2, 3]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("thesis", [3]),
        ("RESNET prune", [1]),
        ("failed", [2]),
        ("fine-tune", [3, 2, 1]),
        ("#2", [2]),
        ("nothing like it", []),
        ("", [3, 2, 1]),
    ],
)
def test_the_filter_wants_every_word(table: RunTable, words: str, found: list[int]) -> None:
    table.set_filter(words)
    assert numbers(table) == found


def test_changed_new_and_deleted_runs_are_merged(table: RunTable) -> None:
    table.set_filter("alpha")
    table.merge([record(4, name="alpha too"), record(1, name="Alpha", deleted_at=1.0)])
    assert numbers(table) == [4]
    table.set_filter("")
    assert numbers(table) == [4, 3, 2]
    assert table.record(record(1).run_id) is None


def test_a_running_run_shows_its_progress(table: RunTable, qtbot: QtBot) -> None:
    running = record(4, status="running", after=None, ended=None)
    table.merge([running])
    cell = table.index(0, COLUMN_INDEX["status"])
    with qtbot.waitSignal(table.dataChanged):
        table.set_progress({running.run_id: 0.62})
    assert cell.data() == "running 62 %"
    assert cell.data(PROGRESS_ROLE) == 0.62
    table.merge([record(4)])
    assert table.index(0, COLUMN_INDEX["status"]).data() == "finished"


def test_rows_are_computed_when_they_are_shown(qtbot: QtBot) -> None:
    table = RunTable()
    records = [record(n, sparsity=n % 100 / 100, name=f"run {n % 977}") for n in range(10_000, 0, -1)]
    table.set_records(records)
    table.sort(COLUMN_INDEX["sparsity"], DESCENDING)
    assert table.index(0, COLUMN_INDEX["sparsity"]).data() == "99.0 %"
    table.set_filter("run 976")
    assert table.rowCount() == 10
    assert table.row_of(records[0].run_id) is None


def test_the_summary_tells_interval_count_and_protocol() -> None:
    before, after = measurement(0.971), measurement(0.962, 0.8)
    rows = {cells[0].text.strip(): cells for cells in summary_rows(before, after)}
    assert [cell.text for cell in rows["Accuracy"][1:]] == ["97.11 %", "96.22 %", "▼ −0.89 pp"]
    assert "95 % interval of the difference includes zero" in rows["Accuracy"][3].tip
    assert rows["examples"][2].text == "450 test"
    assert "zeros do not shrink it" in rows["Dense file"][3].tip
    assert rows["Packed size"][3].tone == "good"
    text = protocol_text(before, after)
    for part in ("450 examples", "bitmask", "1 × 8 × 8", "3 warm-ups", "30 repetitions", "torch 2.14 eager"):
        assert part in text


def test_what_was_not_measured_is_a_dash_and_not_a_guess() -> None:
    rows = {cells[0].text: cells for cells in summary_rows(measurement(None, latency=False), None)}
    assert "Accuracy" not in rows
    assert "Latency" not in rows
    assert rows["Sparsity"][2].text == "–"
    assert protocol_text(None, None) == "Nothing was measured."


def test_layers_and_settings_are_told_completely() -> None:
    rows = layer_rows(layers(0.0), layers(0.8))
    assert [row[0].text for row in rows] == ["conv1", "conv2", "conv3", "fc1", "fc2", "All layers"]
    assert rows[0][4].text == "47.9 %"
    assert layer_rows((), ()) == []
    facts = {cells[0].text: cells[1].text for cells in setting_rows(record(1))}
    assert facts["Sparsity"] == "80 %"
    assert facts["Learning rate"] == "0.001"
    assert facts["Own sparsity for"] == "none"


def test_what_may_be_chance_is_not_coloured_as_a_gain(table: RunTable) -> None:
    cell = table.index(0, COLUMN_INDEX["change"])
    table.merge([record(3, accuracy=0.95)])
    assert cell.data().startswith("▼")
    assert cell.data(Qt.ItemDataRole.ForegroundRole) is None
    assert "may be chance" in cell.data(Qt.ItemDataRole.ToolTipRole)
    table.merge([record(3, accuracy=0.80)])
    assert table.index(0, COLUMN_INDEX["change"]).data(Qt.ItemDataRole.ForegroundRole) is not None
    rows = {
        cells[0].text.strip(): cells for cells in summary_rows(measurement(0.971), measurement(0.96, 0.8))
    }
    assert rows["Accuracy"][3].tone == ""
    assert rows["Accuracy"][3].text.startswith("▼")
    assert (rows["Latency"][3].text, rows["Latency"][3].tone) == ("within the spread", "muted")
