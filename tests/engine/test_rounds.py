"""Rounds of the Lottery Ticket procedure, read from curves."""

import pytest

from core.events import MetricPoint
from core.findings import Lines, read_finding
from core.history.rounds import Round, round_findings, rounds_of
from core.recipe import Recipe
from core.steps import FineTuneSettings, PruneSettings
from core.steps_flow import RepeatSettings, RewindSettings

TRAIN = FineTuneSettings(iterations=300, evaluate_every=100)
RECIPE = Recipe(
    name="Lottery",
    steps=(
        TRAIN,
        PruneSettings(sparsity=0.2, of="remaining"),
        RewindSettings(to="random"),
        TRAIN,
        RewindSettings(to="initial"),
        TRAIN,
        RepeatSettings(steps=5, times=2),
    ),
).model_dump(mode="json")


def _training(step: int, first: int, losses: list[float], *, test: bool = True) -> list[MetricPoint]:
    points = []
    for n, loss in enumerate(losses):
        at = first + 100 * n
        points.append(MetricPoint("r", step, n, at, "validation", "loss", loss, 0.0))
        for split in ("validation", "test") if test else ("validation",):
            value = 1 - loss - (0.01 if split == "test" else 0)
            points.append(MetricPoint("r", step, n, at, split, "accuracy", value, 0.0))
    return points


def _cut(step: int, at: int, sparsity: float) -> MetricPoint:
    return MetricPoint("r", step, 0.0, at, "model", "sparsity", sparsity, 0.0)


POINTS = [
    *_training(0, 0, [0.9, 0.2, 0.1, 0.3]),
    _cut(1, 300, 0.2),
    *_training(3, 300, [0.9, 0.5, 0.4, 0.2]),
    *_training(5, 600, [0.9, 0.05, 0.1, 0.3]),
    _cut(6, 900, 0.36),
    *_training(8, 900, [0.9, 0.5, 0.4, 0.2]),
    *_training(10, 1200, [0.9, 0.05, 0.05, 0.3]),
]


def test_each_training_is_told_with_what_it_began_from() -> None:
    rounds = rounds_of(RECIPE, POINTS)
    assert [(one.step, one.start, round(one.remaining, 2), one.stop) for one in rounds] == [
        (0, "ticket", 1.0, 200),
        (3, "re-initialised", 0.8, 300),
        (5, "ticket", 0.8, 100),
        (8, "re-initialised", 0.64, 300),
        (10, "ticket", 0.64, 100),
    ]
    assert rounds[2].accuracy == pytest.approx(1 - 0.05 - 0.01)
    assert rounds[2].last_accuracy == pytest.approx(1 - 0.3 - 0.01)
    assert {one.split for one in rounds} == {"test"}


def test_without_looks_at_the_test_split_validation_counts() -> None:
    (one,) = rounds_of(RECIPE, _training(0, 0, [0.9, 0.1], test=False))
    assert (one.split, one.accuracy) == ("validation", pytest.approx(0.9))


def test_recipes_that_do_not_rewind_have_no_rounds() -> None:
    plain = Recipe(name="x", steps=(TRAIN, PruneSettings(), TRAIN)).model_dump(mode="json")
    assert rounds_of(plain, POINTS) == ()
    assert rounds_of({"steps": [{"step": "from the future"}]}, POINTS) == ()
    assert round_findings("r", [()]) == ()
    assert round_findings("r", [rounds_of(RECIPE, POINTS)[:1]]) == ()


def test_trials_become_means_with_a_band() -> None:
    first = rounds_of(RECIPE, POINTS)
    second = tuple(
        Round(
            one.step, one.start, one.remaining, one.stop + 50, one.accuracy - 0.02, one.last_accuracy, "test"
        )
        for one in first
    )
    # The third trial is not as far yet: levels that it lacks are left out.
    findings = round_findings("r", [first, second, second[:3]])
    assert [finding.key for finding in findings] == ["early stop", "accuracy", "last accuracy"]
    form = read_finding(findings[0].data)
    assert isinstance(form, Lines)
    ticket, control = form.lines
    assert (ticket.name, ticket.x, ticket.dashed) == ("ticket", (100.0, 80.0), False)
    assert ticket.y == pytest.approx((200 + 100 / 3, 100 + 100 / 3))
    assert (ticket.low, ticket.high) == ((200, 100), (250, 150))
    assert (control.name, control.x, control.dashed) == ("re-initialised", (100.0, 80.0), True)
    single = read_finding(round_findings("r", [first])[1].data)
    assert isinstance(single, Lines)
    assert single.lines[0].low is None
    assert single.lines[0].y[0] == pytest.approx(89.0)
