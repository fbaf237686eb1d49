"""The front over whole columns, against the definition by brute force, with ties, infinities and missing figures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.history.pareto import on_front
from core.history.quantities import BY_NAME, QUANTITIES
from core.history.query_fields import all_fields

from .history_samples import PRUNED
from .test_history_compare import record

figures = st.sampled_from([0.0, -0.0, 1.0, 2.0, 3.0, np.inf, -np.inf, np.nan])


def brute_force(first: np.ndarray, second: np.ndarray, smaller: tuple[bool, bool]) -> np.ndarray:
    one, two = (first if smaller[0] else -first), (second if smaller[1] else -second)
    known = ~(np.isnan(one) | np.isnan(two))
    better = (
        (one[:, None] <= one)
        & (two[:, None] <= two)
        & ((one[:, None] < one) | (two[:, None] < two))
        & known[:, None]
    )
    return known & ~better.any(axis=0)


@settings(max_examples=300)
@given(st.integers(0, 40).flatmap(lambda n: st.tuples(*[arrays(np.float64, n, elements=figures)] * 2)),
       st.tuples(st.booleans(), st.booleans()))  # fmt: skip
def test_ties_infinities_and_gaps(pair: tuple[np.ndarray, np.ndarray], smaller: tuple[bool, bool]) -> None:
    first, second = pair
    expected = brute_force(first, second, smaller)
    np.testing.assert_array_equal(on_front(first, second, smaller_is_better=smaller), expected)


@pytest.mark.parametrize("smaller", [(True, False), (True, True), (False, False), (False, True)])
@pytest.mark.parametrize("levels", [7, 10_000_000])
def test_two_thousand_points(smaller: tuple[bool, bool], levels: int) -> None:
    rng = np.random.default_rng(levels)
    first, second = rng.integers(0, levels, (2, 2_000)).astype(np.float64)
    expected = brute_force(first, second, smaller)
    np.testing.assert_array_equal(on_front(first, second, smaller_is_better=smaller), expected)
    assert 0 < expected.sum() < 2_000


def test_quantities_are_read_from_measurements_and_found_by_the_search() -> None:
    run = record(1)
    values = {quantity.name: quantity.pick(run, PRUNED) for quantity in QUANTITIES}
    assert values["packed"] == PRUNED.packed_bytes
    assert values["nonzero"] == PRUNED.nonzero_weights
    assert values["duration"] == 1.0
    assert values["accuracy"] == PRUNED.accuracy.value
    assert values["change"] == PRUNED.accuracy.value - run.before.accuracy.value
    assert BY_NAME["duration"].pick(None, PRUNED) is None
    fields = all_fields()
    assert {q.name: q.column for q in QUANTITIES} == {q.name: fields[q.search].column for q in QUANTITIES}


def test_values_and_ticks_have_their_units() -> None:
    shown = {quantity.name: (quantity.show(0.5), quantity.tick(0.5)) for quantity in QUANTITIES}
    assert shown["accuracy"] == ("50.00 %", "50")
    assert shown["latency"] == ("0.500 ms", "0.5")
    ticks = [BY_NAME["packed"].tick(value) for value in (0, 100, 1_500_000, 10_000_000, 100_000)]
    assert ticks == ["0 B", "100 B", "1.5 MB", "10 MB", "100 kB"]
    assert BY_NAME["nonzero"].tick(20_000) == "20 k"
    assert BY_NAME["accuracy"].axis_title == "accuracy, % (more is better)"
    assert BY_NAME["packed"].axis_title == "packed size (less is better)"
