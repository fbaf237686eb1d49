"""What a comparison found, in one sentence that does not read noise as progress."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core import formatting
from core.history.records import RunRecord
from core.measurement.difference import NEWCOMBE, Difference, accuracy_difference
from core.measurement.records import Accuracy, Latency, Measurement


@dataclass(frozen=True)
class Verdict:
    """The finding of a comparison.

    Attributes:
        text: one sentence.
        method: what its interval rests on; "" without an interval.
        run, baseline: indices of the two runs that it speaks of; -1 for none.
        difference: of their accuracies; None where they cannot be compared.
    """

    text: str
    method: str
    run: int
    baseline: int
    difference: Difference | None = None


Paired = Callable[[RunRecord, RunRecord], Difference | None]
"""The difference from predictions example by example, where both runs kept them."""


def verdict(records: Sequence[RunRecord], baseline: int = 0, paired: Paired | None = None) -> Verdict | None:
    """The sentence that stands above a comparison; None with fewer than two measured runs.

    Of several runs it speaks of the smallest one whose accuracy is not distinguishably below the baseline's; where all
    are below, of the one that lost least.
    """
    results = [record.result for record in records]
    base = results[baseline] if records else None
    if base is None:
        return None
    judged = [
        (index, measured, _difference(records[index], measured, records[baseline], base, paired))
        for index, measured in enumerate(results)
        if measured is not None and index != baseline
    ]
    if not judged:
        return None
    index, measured, difference = _headline(judged)
    names = _names(records)
    text = _opening(names[index], len(judged), difference)
    text += _relation(names[index], measured, names[baseline], base, difference)
    method = ""
    if difference is not None and measured.accuracy is not None and base.accuracy is not None:
        method = (
            f"{difference.method}: {_counted(measured.accuracy)} against {_counted(base.accuracy)} held-out "
            "examples correct."
        )
        if difference.method == NEWCOMBE:
            method += " Both were judged on the same examples: McNemar's test, where predictions were kept, sees finer."
    return Verdict(text, method, index, baseline, difference)


def _headline(
    judged: Sequence[tuple[int, Measurement, Difference | None]],
) -> tuple[int, Measurement, Difference | None]:
    held = [each for each in judged if each[2] is not None and each[2].high >= 0]
    if held:
        return min(held, key=lambda each: (each[1].packed_bytes, -_value(each)))
    compared = [each for each in judged if each[2] is not None]
    if compared:
        return max(compared, key=lambda each: (_value(each), -each[1].packed_bytes))
    return min(judged, key=lambda each: each[1].packed_bytes)


def _value(judged: tuple[int, Measurement, Difference | None]) -> float:
    return 0.0 if judged[2] is None else judged[2].value


def _difference(
    record: RunRecord, ours: Measurement, base_record: RunRecord, base: Measurement, paired: Paired | None
) -> Difference | None:
    if ours.accuracy is None or base.accuracy is None or not _same_examples(ours.accuracy, base.accuracy):
        return None
    exact = paired(record, base_record) if paired is not None else None
    return exact or accuracy_difference(ours.accuracy, base.accuracy)


def _same_examples(one: Accuracy, other: Accuracy) -> bool:
    return (one.task, one.split, one.count) == (other.task, other.split, other.count)


def _names(records: Sequence[RunRecord]) -> list[str]:
    names = [record.name for record in records]
    return [
        f"“{record.name}”" + (f" (#{record.number})" if names.count(record.name) > 1 else "")
        for record in records
    ]


def _opening(name: str, others: int, difference: Difference | None) -> str:
    if others == 1:
        return f"{name} is "
    if difference is None:
        return f"Of {others + 1} runs, {name} is the smallest: "
    if difference.high >= 0:
        return f"Of {others + 1} runs, {name} is the smallest that does not measurably lose accuracy: "
    return f"All {others} others lose accuracy measurably, {name} the least: "


def _relation(
    name: str, ours: Measurement, base_name: str, base: Measurement, difference: Difference | None
) -> str:
    parts = [f"{_size(ours.packed_bytes, base.packed_bytes)} {base_name}"]
    if difference is not None:
        parts.append(f" {_accuracy(difference)}")
    if ours.macs and base.macs and ours.input_shape == base.input_shape:
        ratio = base.macs / ours.macs
        if abs(ratio - 1) >= 0.005:
            parts.append(
                f", with {_times(max(ratio, 1 / ratio))} {'fewer' if ratio > 1 else 'more'} multiply-accumulates"
            )
    if ours.latency is not None and base.latency is not None and _apart(ours.latency, base.latency):
        ratio = base.latency.median_ms / ours.latency.median_ms
        theirs = formatting.milliseconds(base.latency.median_ms)
        parts.append(
            f", and {_times(max(ratio, 1 / ratio))} {'faster' if ratio > 1 else 'slower'} "
            f"({formatting.significant(ours.latency.median_ms)} against {theirs})"
        )
    if difference is None:
        missing = [each for each, m in ((name, ours), (base_name, base)) if m.accuracy is None]
        parts.append(
            f"; the accuracy of {' and '.join(missing)} was not measured"
            if missing
            else "; their accuracies were measured on different examples and cannot be compared"
        )
    return "".join(parts) + "."


def _size(ours: int, base: int) -> str:
    ratio = base / ours if ours else math.inf
    if abs(ratio - 1) < 0.005:
        return "as large as"
    return f"{_times(max(ratio, 1 / ratio))} {'smaller' if ratio > 1 else 'larger'} than"


def _accuracy(difference: Difference) -> str:
    value, low, high = (100 * part for part in (difference.value, difference.low, difference.high))
    shown = round(abs(value), 2)
    how = f"{shown:.2f} pp {'less' if value < 0 else 'more'} accuracy" if shown else "the same accuracy"
    noise = "more than noise" if difference.distinguishable else "not distinguishable from noise"
    return f"at {how} (95 % interval of the difference {_signed(low)} … {_signed(high)} pp: {noise})"


def _signed(points: float) -> str:
    shown = round(points, 2)
    return f"{'+' if shown > 0 else '−' if shown < 0 else '±'}{abs(shown):.2f}"


def _times(ratio: float) -> str:
    return f"{formatting.significant(ratio, 2 if ratio >= 1.1 else 3)}×"


def _counted(accuracy: Accuracy) -> str:
    return f"{formatting.count(accuracy.correct)} of {formatting.count(accuracy.count)}"


def _apart(one: Latency, other: Latency) -> bool:
    """Whether two latencies of the same protocol have quartiles that do not overlap."""
    same = all(
        getattr(one, name) == getattr(other, name) for name in ("batch_size", "threads", "runtime", "device")
    )
    return same and (
        one.upper_quartile_ms < other.lower_quartile_ms or other.upper_quartile_ms < one.lower_quartile_ms
    )
