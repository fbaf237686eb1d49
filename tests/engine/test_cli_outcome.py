"""What is told of a run at its end."""

from dataclasses import replace

import pytest

from core.cli.outcome import measurement_table, protocol_lines
from core.measurement.records import Accuracy, Latency, Measurement

LATENCY = Latency(2.0, 1.9, 2.1, 1.8, 1, 2, 5, 31, "torch 2 eager", "cpu")
BEFORE = Measurement(
    1000,
    800,
    800,
    4000,
    4000,
    "bitmask",
    5_000_000,
    (1, 8, 8),
    Accuracy(90, 100, 0.8, 0.95, 0.4, "test", "T"),
    LATENCY,
)


def row(table: str, label: str) -> str:
    return next(line for line in table.splitlines() if line.strip().startswith(label))


def test_before_after_and_change():
    accuracy = Accuracy(88, 100, 0.78, 0.93, 0.5, "test", "T")
    after = replace(BEFORE, nonzero_weights=200, packed_bytes=1000, accuracy=accuracy)
    table = measurement_table(BEFORE, after)
    assert row(table, "Accuracy").split() == ["Accuracy", "90.00", "%", "88.00", "%", "▼", "−2.00", "pp"]
    assert row(table, "Packed").endswith("4.00× smaller")
    assert row(table, "sparsity").split() == ["sparsity", "0.00", "%", "75.00", "%"]
    assert row(table, "Dense file").split() == ["Dense", "file", "4.00", "kB", "4.00", "kB"]


@pytest.mark.parametrize(
    ("median", "words"), [(2.05, "within the spread"), (1.0, "2.00× faster"), (4.0, "2.00× slower")]
)
def test_latency_is_called_better_only_beyond_its_spread(median, words):
    latency = replace(
        LATENCY, median_ms=median, lower_quartile_ms=median - 0.1, upper_quartile_ms=median + 0.1
    )
    assert row(measurement_table(BEFORE, replace(BEFORE, latency=latency)), "Latency").endswith(words)


def test_what_was_not_measured_has_no_row():
    bare = replace(BEFORE, accuracy=None, latency=None, macs=None)
    table = measurement_table(bare, None)
    assert "Accuracy" not in table
    assert "Latency" not in table
    assert "MACs" not in table
    assert "before" not in table
    assert protocol_lines(bare) == ["Packed: bitmask. Zeros do not shrink the dense file."]


def test_the_protocol_names_split_count_and_a_busy_machine():
    busy = replace(LATENCY, minimum_ms=1.0)
    everything = replace(BEFORE.accuracy, split="all")
    text = " ".join(protocol_lines(replace(BEFORE, latency=busy, accuracy=everything)))
    for words in (
        "100 examples (all images of T)",
        "95 % Wilson",
        "batch 1, 2 threads",
        "31",
        "machine was busy",
    ):
        assert words in text
