"""Which answers of runs are set against each other: before and after of one run, its teacher, two runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.analysis.prediction_flips import Flips, find_flips, headline_of, probability, sentence_of
from core.errors import StudioError
from core.history.records import Artifact, RunRecord
from core.history.verdict import Paired
from core.measurement.difference import Difference
from core.measurement.predictions import (
    AFTER,
    BEFORE,
    KIND,
    TEACHER,
    Answers,
    Predictions,
    read_predictions,
    require_same_examples,
)


@dataclass(frozen=True, eq=False)
class FlipPair:
    """Two models' answers to the same examples, with what is to be known of them.

    Attributes:
        first, second: short names for heads and cells: "before", "#12 prune 80 %".
        title: both: "before → after".
        sentence: what the comparison found; `headline` says it in few words.
    """

    first: str
    second: str
    title: str
    sentence: str
    headline: str
    predictions: Predictions
    first_answers: Answers
    second_answers: Answers
    flips: Flips


def predictions_of(record: RunRecord, artifacts: Sequence[Artifact]) -> Predictions:
    """What a run kept of its models' answers.

    Raises:
        StudioError: if it kept nothing, saying why, or the file is gone or damaged.
    """
    found = next((artifact for artifact in artifacts if artifact.kind == KIND), None)
    if found is not None:
        return read_predictions(Path(found.path))
    name = f"Run {record.number}"
    if not record.is_over:
        raise StudioError(f"{name} is {record.status}: its predictions are here once it is finished.")
    if record.status != "finished":
        raise StudioError(f"{name} was {record.status}, so it has no predictions: run it again.")
    measured = record.after or record.before
    if measured is None or measured.accuracy is None:
        raise StudioError(
            f"{name} has no predictions, because its accuracy was not measured: run it on a task with a test split."
        )
    raise StudioError(f"{name} was measured by a version that kept no predictions: run it again.")


def pairs_within(predictions: Predictions) -> tuple[FlipPair, ...]:
    """What can be compared within one run: before and after, then the teacher and what learned from it.

    Raises:
        StudioError: if the run kept only one model's answers.
    """
    answers = predictions.answers
    pairs = []
    if BEFORE in answers and AFTER in answers:
        names = ("before", "after")
        words = ("the model before", "the model after")
        pairs.append(_pair(predictions, answers[BEFORE], answers[AFTER], "before → after", names, words))
    if TEACHER in answers and AFTER in answers:
        names, words = ("teacher", "student"), ("the teacher", "the student")
        pairs.append(_pair(predictions, answers[TEACHER], answers[AFTER], "teacher → student", names, words))
    if not pairs:
        raise StudioError(
            "This run only measured a model, so nothing changed in it: compare it with another run."
            if len(answers) == 1 and BEFORE in answers
            else "This run was begun by a version that kept no predictions: run it again."
        )
    return tuple(pairs)


def pair_between(baseline: tuple[RunRecord, Predictions], other: tuple[RunRecord, Predictions]) -> FlipPair:
    """The results of two runs against each other.

    Raises:
        StudioError: if they did not judge the same examples.
    """
    (first, first_kept), (second, second_kept) = baseline, other
    words = (f"run {first.number}", f"run {second.number}")
    require_same_examples(first_kept, second_kept, words)
    names = tuple(f"#{record.number}" for record in (first, second))
    return _pair(
        second_kept,
        first_kept.answers[first_kept.result],
        second_kept.answers[second_kept.result],
        f"{names[0]} → {names[1]} {second.name}",
        (names[0], names[1]),
        words,
    )


def paired_differences(artifacts_of: Callable[[str], Sequence[Artifact]]) -> Paired:
    """How `core.history.verdict` gets the difference of two runs from their predictions, where both kept them.

    Args:
        artifacts_of: the files of a run, by its id.
    """
    kept: dict[str, Predictions | None] = {}

    def predictions(record: RunRecord) -> Predictions | None:
        if record.run_id not in kept:
            try:
                kept[record.run_id] = predictions_of(record, artifacts_of(record.run_id))
            except StudioError:
                kept[record.run_id] = None
        return kept[record.run_id]

    def paired(ours: RunRecord, base: RunRecord) -> Difference | None:
        mine, theirs = predictions(ours), predictions(base)
        if mine is None or theirs is None:
            return None
        try:
            flips = pair_between((base, theirs), (ours, mine)).flips
        except StudioError:
            return None
        method = (
            "Newcombe's 95 % interval of the difference of two shares counted on the same examples (1998, method 10); "
            f"McNemar's exact test: p {probability(flips.test.p)}"
        )
        return Difference(flips.difference, flips.low, flips.high, method)

    return paired


def _pair(
    predictions: Predictions,
    first: Answers,
    second: Answers,
    title: str,
    names: tuple[str, str],
    words: tuple[str, str],
) -> FlipPair:
    flips = find_flips(predictions.labels, first.predicted, second.predicted, len(predictions.class_names))
    examples = "test examples" if predictions.split == "test" else f"examples ({predictions.split})"
    sentence = sentence_of(flips, *words, examples)
    headline = f"{names[1][0].upper()}{names[1][1:]}: {headline_of(flips)}"
    return FlipPair(names[0], names[1], title, sentence, headline, predictions, first, second, flips)
