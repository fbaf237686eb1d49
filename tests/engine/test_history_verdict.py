"""The finding of a comparison, checked against published intervals and figures worked out by hand."""

from dataclasses import replace

import pytest

from core.history.records import RunRecord
from core.history.verdict import verdict
from core.measurement.accuracy import wilson_interval
from core.measurement.difference import Difference, accuracy_difference, may_be_chance
from core.measurement.records import Accuracy, Latency, Measurement

from .test_history_compare import record


def accuracy(correct: int, count: int, task: str = "digits") -> Accuracy:
    return Accuracy(correct, count, *wilson_interval(correct, count), 0.1, "test", task)


def measured(
    correct: int | None,
    packed: int,
    *,
    count: int = 1_000,
    macs: int | None = 100,
    latency: float | None = None,
) -> Measurement:
    timed = (
        None
        if latency is None
        else Latency(latency, 0.98 * latency, 1.02 * latency, 0.97 * latency, 1, 1, 3, 30, "torch", "cpu")
    )
    return Measurement(
        100, 90, 45, 4 * packed, packed, "bitmask", macs, (1, 8, 8),
        None if correct is None else accuracy(correct, count), timed,
    )  # fmt: skip


def run(number: int, name: str, result: Measurement) -> RunRecord:
    return record(number, name=name, after=result)


@pytest.mark.parametrize(
    ("ours", "base", "low", "high"),
    [
        # Newcombe (1998), Statistics in Medicine 17:873-890, table II, method 10, contrasts a to h.
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_the_interval_is_newcombes(
    ours: tuple[int, int], base: tuple[int, int], low: float, high: float
) -> None:
    found = accuracy_difference(accuracy(*ours), accuracy(*base))
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert found.value == pytest.approx(ours[0] / ours[1] - base[0] / base[1])


def test_what_is_smaller_at_an_accuracy_that_may_be_noise() -> None:
    # Wilson, 962 of 1,000: 0.94826 to 0.97219; 966 of 1,000: 0.95287 to 0.97556 (worked out by hand). Newcombe:
    # -0.004 - hypot(0.01374, 0.00956) = -0.02074, and -0.004 + hypot(0.01019, 0.01313) = +0.01262.
    base = run(1, "baseline", measured(966, 35_000))
    ours = run(2, "Prune 80 %", measured(962, 10_000))
    found = verdict([base, ours])
    assert found is not None
    assert found.text == (
        "“Prune 80 %” is 3.5× smaller than “baseline” at 0.40 pp less accuracy (95 % interval of the difference "
        "−2.07 … +1.26 pp: not distinguishable from noise)."
    )
    assert found.method.startswith("Newcombe's 95 % interval")
    assert "962 of 1,000 against 966 of 1,000" in found.method
    assert (found.run, found.baseline) == (1, 0)


def test_a_loss_that_is_more_than_noise_and_gains_in_work_and_time() -> None:
    base = run(1, "baseline", measured(980, 20_000, macs=400, latency=2.0))
    ours = run(2, "narrow", measured(900, 19_980, macs=100, latency=0.8))
    found = verdict([base, ours])
    assert found is not None
    assert found.difference is not None
    assert found.difference.distinguishable
    assert found.text.startswith("“narrow” is as large as “baseline” at 8.00 pp less accuracy (95 % interval")
    assert found.text.endswith(
        "pp: more than noise), with 4.0× fewer multiply-accumulates, and 2.5× faster (0.800 against 2.00 ms)."
    )


def test_times_whose_quartiles_overlap_are_no_finding() -> None:
    base = run(1, "baseline", measured(980, 20_000, latency=2.0))
    ours = run(2, "ours", measured(980, 40_000, latency=1.97))
    found = verdict([base, ours])
    assert found is not None
    assert found.text.startswith("“ours” is 2.0× larger than “baseline” at the same accuracy (")
    assert "faster" not in found.text


def test_of_several_runs_the_smallest_that_holds_its_accuracy() -> None:
    base = run(1, "baseline", measured(970, 40_000))
    held = run(2, "held", measured(966, 10_000))
    larger = run(3, "larger", measured(975, 20_000))
    broken = run(4, "broken", measured(700, 1_000))
    found = verdict([base, larger, broken, held])
    assert found is not None
    assert found.text.startswith(
        "Of 4 runs, “held” is the smallest that does not measurably lose accuracy: 4.0× smaller than “baseline” at 0.40"
    )
    assert found.run == 3
    worse = run(5, "worse", measured(800, 2_000))
    lost = verdict([worse, base, broken], baseline=1)
    assert lost is not None
    assert lost.text.startswith("All 2 others lose accuracy measurably, “worse” the least: 20× smaller than")


def test_what_cannot_be_compared_is_said() -> None:
    base = run(1, "same", measured(970, 40_000))
    elsewhere = run(2, "same", replace(measured(None, 10_000), accuracy=accuracy(97, 100, "mnist")))
    found = verdict([base, elsewhere])
    assert found is not None
    assert found.text == (
        "“same” (#2) is 4.0× smaller than “same” (#1); their accuracies were measured on different examples and "
        "cannot be compared."
    )
    assert (found.difference, found.method) == (None, "")
    unjudged = verdict([base, run(3, "quick", measured(None, 10_000))])
    assert unjudged is not None
    assert unjudged.text == ("“quick” is 4.0× smaller than “same”; the accuracy of “quick” was not measured.")
    assert verdict([base, record(4, before=None, after=None)]) is None
    assert verdict([record(4, before=None, after=None), base]) is None
    assert verdict([]) is None


def test_paired_predictions_take_the_place_of_counts() -> None:
    base, ours = run(1, "baseline", measured(966, 35_000)), run(2, "ours", measured(962, 10_000))
    found = verdict([base, ours], paired=lambda _ours, _base: Difference(-0.004, -0.0079, -0.0001, "Paired"))
    assert found is not None
    assert "−0.79 … −0.01 pp: more than noise" in found.text
    assert found.method.startswith("Paired: 962 of 1,000")


def test_intervals_that_overlap_may_still_tell_two_accuracies_apart() -> None:
    # 418 and 435 of 450: their intervals overlap, yet scipy.stats.fisher_exact gives p = 0.016.
    lower, higher = accuracy(418, 450), accuracy(435, 450)
    assert lower.high > higher.low
    assert not may_be_chance(higher, lower)
    assert may_be_chance(accuracy(430, 450), higher)
    assert not may_be_chance(None, higher)
