"""Flips, McNemar's exact test and the paired interval, against scipy, scikit-learn and published figures."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from core.analysis.prediction_flips import (
    BOTH_RIGHT,
    KINDS,
    NEWLY_RIGHT,
    NEWLY_WRONG,
    OTHERWISE_WRONG,
    SAME_WRONG,
    confusion,
    find_flips,
    headline_of,
    holm,
    mcnemar_exact,
    paired_interval,
    probability,
    sentence_of,
)

LABELS = np.array([0, 0, 1, 1, 2, 2, 2])
FIRST = np.array([0, 1, 1, 0, 0, 0, 2])
SECOND = np.array([0, 0, 2, 1, 0, 1, 2])


def test_every_example_is_of_one_kind() -> None:
    flips = find_flips(LABELS, FIRST, SECOND, 3)
    assert [KINDS[kind] for kind in flips.kinds] == [
        BOTH_RIGHT,
        NEWLY_RIGHT,
        NEWLY_WRONG,
        NEWLY_RIGHT,
        SAME_WRONG,
        OTHERWISE_WRONG,
        BOTH_RIGHT,
    ]
    assert sum(flips.counts) == flips.count == 7
    assert (flips.right_first, flips.right_second) == (3, 4)
    assert flips.difference == pytest.approx(1 / 7)
    assert flips.indices(NEWLY_WRONG, OTHERWISE_WRONG).tolist() == [2, 5]
    assert flips.newly_wrong_by_class.tolist() == [0, 1, 0]
    assert flips.newly_right_by_class.tolist() == [1, 1, 0]
    assert flips.total_by_class.tolist() == [2, 2, 3]
    assert flips.right_first_by_class.tolist() == [1, 1, 1]
    assert flips.right_second_by_class.tolist() == [2, 1, 1]


def test_confused_pairs_are_the_cells_of_the_confusions() -> None:
    generator = np.random.default_rng(3)
    labels, first, second = generator.integers(0, 9, (3, 400))
    flips = find_flips(labels, first, second, 9)
    one, other = confusion(labels, first, 9), confusion(labels, second, 9)
    found = {(row, column): (a, b) for row, column, a, b in flips.confused.tolist()}
    for row in range(9):
        for column in range(9):
            if row != column and (one[row, column] or other[row, column]):
                assert found.pop((row, column)) == (one[row, column], other[row, column])
    assert not found
    change = np.abs(flips.confused[:, 3] - flips.confused[:, 2])
    assert (np.diff(change) <= 0).all()


def test_confusions_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    labels, given = generator.integers(0, 7, (2, 500))
    assert np.array_equal(confusion(labels, given, 7), confusion_matrix(labels, given, labels=range(7)))


@pytest.mark.parametrize(
    ("lost", "won"), [(0, 0), (0, 1), (1, 7), (5, 5), (6, 5), (12, 30), (400, 317), (0, 900), (9000, 8000)]
)
def test_the_exact_test_is_the_binomial_one_of_scipy(lost: int, won: int) -> None:
    expected = 1.0 if lost + won == 0 else binomtest(lost, lost + won, 0.5).pvalue
    assert mcnemar_exact(lost, won) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_exact(won, lost) == mcnemar_exact(lost, won)


def test_published_figures_of_paired_proportions() -> None:
    # Fagerland, Lydersen and Laake (2014), airway hyper-responsiveness of 21 children before and after stem cell
    # transplantation: one is so at both times, one before only, seven after only.
    assert mcnemar_exact(1, 7) == pytest.approx(0.070, abs=5e-4)
    low, high = paired_interval(1, 1, 7, 12)
    assert (low, high) == pytest.approx((-0.507, -0.026), abs=5e-4)


def test_the_interval_covers_the_true_difference_as_often_as_it_says() -> None:
    # Two classifiers right on 92 % and 91 % whose errors are strongly correlated, as those of a model and its pruning.
    chances = np.array([0.89, 0.03, 0.02, 0.06])
    drawn = np.random.default_rng(1).multinomial(1000, chances, 2000)
    inside = 0
    for both, first, second, neither in drawn.tolist():
        low, high = paired_interval(both, first, second, neither)
        assert low <= (first - second) / 1000 <= high
        inside += low <= 0.01 <= high
    # The standard error of 2,000 draws is half a point.
    assert 0.935 < inside / 2000 < 0.97


def test_the_interval_turns_with_its_arguments_and_stays_in_range() -> None:
    low, high = paired_interval(50, 9, 3, 38)
    assert paired_interval(50, 3, 9, 38) == pytest.approx((-high, -low))
    assert paired_interval(10, 0, 0, 0) == pytest.approx((-0.2775, 0.2775), abs=1e-3)
    low, high = paired_interval(0, 40, 0, 0)
    assert 0.8 < low < high == 1.0


def test_sentences_take_noise_into_account() -> None:
    labels = np.zeros(1000, np.int64)
    first, second = labels.copy(), labels.copy()
    first[:40] = 1
    second[20:70] = 1
    few = find_flips(labels, first, second, 2)
    assert not few.told_from_noise
    text = sentence_of(few, "the model before", "the model after")
    assert text.startswith(
        "On 1,000 test examples the model before is right on 96.00 %, the model after on 95.00 % "
        "(30 became wrong and 20 became right): the difference of −1.00 pp cannot be told from noise"
    )
    assert "p = 0.203" in text
    second[100:150] = 1
    many = find_flips(labels, first, second, 2)
    assert many.told_from_noise
    text = sentence_of(many, "run 1", "run 2")
    assert "run 2 is worse by 6.00 pp, more than noise would make of it (95 % interval −" in text
    assert "p < 0.0001" in text
    assert headline_of(few) == "−1.00 pp, which cannot be told from noise (p = 0.203)."
    assert headline_of(many) == "worse by 6.00 pp, beyond noise (p < 0.0001)."
    same = find_flips(labels, first, first, 2)
    assert headline_of(same) == "right on the very same examples."
    assert sentence_of(same, "run 1", "run 2").endswith("both are right on the very same examples.")


def test_several_tests_err_together_as_often_as_one() -> None:
    # By hand: 4 · 0.005, 3 · 0.01, 2 · 0.03, and 0.04 which may not fall below its predecessor.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4]) == [0.4]
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_small_probabilities_are_not_told_as_zero() -> None:
    assert probability(1e-30) == "< 0.0001"
    assert probability(0.0312) == "= 0.0312"
    assert mcnemar_exact(0, 900) > 0


def test_answers_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="7 labels"):
        find_flips(LABELS, FIRST[:3], SECOND, 3)
