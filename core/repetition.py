"""What a recipe amounts to once its repetitions are written out: a plain sequence of steps, each with its round."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.steps import StepSettings
from core.steps_flow import MOST_STEPS, RepeatSettings


@dataclass(frozen=True)
class PlannedStep:
    """One step as it is carried out.

    Attributes:
        settings: never a repetition.
        index: of the recipe's step that it comes from.
        round: from 1; 0 where the step is not repeated.
        rounds: how many rounds there are; 0 where the step is not repeated.
    """

    settings: StepSettings
    index: int
    round: int = 0
    rounds: int = 0

    @property
    def title(self) -> str:
        """For people: `Prune (round 2 of 5)`."""
        return (
            f"{self.settings.title} (round {self.round} of {self.rounds})"
            if self.round
            else self.settings.title
        )

    @property
    def place(self) -> str:
        """Where it stands in the recipe, in words: `Step 2 (round 3)`."""
        return f"Step {self.index + 1} (round {self.round})" if self.round else f"Step {self.index + 1}"


def write_out(steps: Sequence[StepSettings]) -> tuple[PlannedStep, ...]:
    """The steps of a recipe in the order in which they are carried out.

    A repetition stands for the steps before it, which may hold repetitions themselves; rounds count the outermost.
    What `length_problem` refuses is not for this function.
    """
    blocks: list[list[PlannedStep]] = []
    for index, settings in enumerate(steps):
        if not isinstance(settings, RepeatSettings):
            blocks.append([PlannedStep(settings, index)])
            continue
        first = index - settings.steps
        body = [planned for block in blocks[first:] for planned in block]
        lengths = [len(block) for block in blocks[first:]]
        rounds = [
            [replace(planned, round=number, rounds=settings.times) for planned in body]
            for number in range(1, settings.times + 1)
        ]
        at = 0
        for place, length in enumerate(lengths, start=first):
            blocks[place] = rounds[0][at : at + length]
            at += length
        blocks.append([planned for later in rounds[1:] for planned in later])
    return tuple(planned for block in blocks for planned in block)


def length_problem(steps: Sequence[StepSettings], index: int) -> tuple[str, str] | None:
    """Why the repetition at `index` cannot be written out: the field and what is wrong with it; None if it can."""
    settings = steps[index]
    if not isinstance(settings, RepeatSettings):
        return None
    if settings.steps > index:
        before = "no step stands" if index == 0 else f"only {index} {'stands' if index == 1 else 'stand'}"
        return "steps", f"repeats {settings.steps}, but {before} before it: repeat fewer or move it down"
    lengths: list[int] = []
    for earlier in steps[: index + 1]:
        if isinstance(earlier, RepeatSettings):
            lengths.append(sum(lengths[len(lengths) - earlier.steps :]) * (earlier.times - 1))
        else:
            lengths.append(1)
    if sum(lengths) > MOST_STEPS:
        return (
            "times",
            f"makes {sum(lengths)} steps of the recipe, above the {MOST_STEPS} that are allowed: repeat less",
        )
    return None
