"""What the rounds of pruning and rewinding did, as the Lottery Ticket paper shows it, from a run's recorded curves.

Frankle and Carbin (ICLR 2019, section 2 and figure 4): for each fraction of weights that is left, the iteration of
the lowest validation loss (where early stopping would stop) and the test accuracy there. Pure functions, no database.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import StudioError
from core.events import Finding, MetricPoint
from core.findings import Line, Lines
from core.recipe import recipe_from_data
from core.repetition import write_out
from core.steps import StepSettings, TrainingSettings
from core.steps_flow import RewindSettings

Start = Literal["ticket", "re-initialised", "shuffled masks", "trained on"]

FINDING = "rounds"


@dataclass(frozen=True)
class Round:
    """One training between two cuts.

    Attributes:
        step: index among the recipe's steps, written out.
        start: what the weights began from: their earlier values, new ones, or where the last training ended.
        remaining: the fraction of the prunable weights that is not removed.
        stop: updates until the lowest validation loss, from the start of this training.
        accuracy: on the test split at that moment; on the validation split where the test split was not looked at.
        last_accuracy: the same at the end of the training.
        split: which of the two.
    """

    step: int
    start: Start
    remaining: float
    stop: int
    accuracy: float
    last_accuracy: float
    split: str


def rounds_of(recipe: Mapping[str, Any], points: Iterable[MetricPoint]) -> tuple[Round, ...]:
    """The trainings of a run whose recipe rewinds, in their order; none for other recipes or unknown steps.

    Args:
        recipe: the recipe's JSON, as a history keeps it.
        points: the run's curves.
    """
    try:
        steps = [planned.settings for planned in write_out(recipe_from_data(recipe, "recipe").steps)]
    except StudioError:
        return ()
    if not any(isinstance(step, RewindSettings) for step in steps):
        return ()
    curves: dict[int, dict[tuple[str, str], dict[int, float]]] = {}
    for point in points:
        curves.setdefault(point.step, {}).setdefault((point.split, point.metric), {})[point.iteration] = (
            point.value
        )
    rounds = []
    sparsity = 0.0
    for index, settings in enumerate(steps):
        found = curves.get(index, {})
        if cut := found.get(("model", "sparsity")):
            sparsity = cut[max(cut)]
        losses = found.get(("validation", "loss"), {})
        if not isinstance(settings, TrainingSettings) or len(losses) < 2:
            continue
        split = "test" if ("test", "accuracy") in found else "validation"
        accuracies = found.get((split, "accuracy"), {})
        stop = min(losses, key=lambda iteration: (losses[iteration], iteration))
        if stop in accuracies:
            rounds.append(
                Round(
                    index,
                    _start(steps[:index]),
                    1 - sparsity,
                    stop - min(losses),
                    accuracies[stop],
                    accuracies[max(accuracies)],
                    split,
                )
            )
    return tuple(rounds)


def _start(before: Sequence[StepSettings]) -> Start:
    """What a training began from, by the steps since the one before it."""
    for settings in reversed(before):
        if isinstance(settings, TrainingSettings):
            return "trained on"
        if isinstance(settings, RewindSettings):
            if settings.masks == "shuffle":
                return "shuffled masks"
            return "re-initialised" if settings.to == "random" else "ticket"
    return "ticket"


def round_findings(run_id: str, trials: Sequence[Sequence[Round]]) -> tuple[Finding, ...]:
    """Early-stop iteration and accuracy over the weights that are left, with the spread over trials as a band.

    Args:
        trials: the rounds of one run, or of several with different seeds; only levels that all of them reached count.
    """
    measured = [rounds for rounds in trials if rounds]
    if not measured or max(len(rounds) for rounds in measured) < 2:
        return ()
    split = measured[0][0].split
    spread = (
        ""
        if len(measured) == 1
        else f" Lines are means over {len(measured)} trials, bands from the lowest to the highest."
    )
    note = f"Early stop: the lowest validation loss.{spread}"
    plots = (
        (
            "early stop",
            "Early-stop iteration over remaining weights",
            "iteration of the lowest validation loss",
            1.0,
        ),
        (
            "accuracy",
            "Accuracy at early stop over remaining weights",
            f"{split} accuracy at early stop (%)",
            100.0,
        ),
        (
            "last accuracy",
            "Accuracy at the end over remaining weights",
            f"{split} accuracy at the end (%)",
            100.0,
        ),
    )
    findings = []
    for key, title, label, scale in plots:
        lines = []
        for start in dict.fromkeys(one.start for rounds in measured for one in rounds):
            line = _line(start, key, scale, measured)
            if line is not None:
                lines.append(line)
        form = Lines(tuple(lines), "weights remaining (%)", label, log_x=True, reverse_x=True, note=note)
        findings.append(Finding(run_id, FINDING, key, title, form.to_data()))
    return tuple(findings)


def _line(start: Start, key: str, scale: float, trials: Sequence[Sequence[Round]]) -> Line | None:
    by_level: dict[float, list[float]] = {}
    for rounds in trials:
        for one in rounds:
            # A dense network belongs to every start: all curves begin there.
            if one.start == start or one.remaining == 1.0:
                by_level.setdefault(round(100 * one.remaining, 2), []).append(scale * _value(one, key))
    whole = {level: values for level, values in by_level.items() if len(values) == len(trials)}
    levels = sorted(whole, reverse=True)
    if len(levels) < 2:
        return None
    spread = len(trials) > 1
    return Line(
        start,
        tuple(levels),
        tuple(sum(whole[level]) / len(whole[level]) for level in levels),
        tuple(min(whole[level]) for level in levels) if spread else None,
        tuple(max(whole[level]) for level in levels) if spread else None,
        dashed=start != "ticket",
    )


def _value(one: Round, key: str) -> float:
    return {"early stop": float(one.stop), "accuracy": one.accuracy, "last accuracy": one.last_accuracy}[key]
