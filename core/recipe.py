"""Recipes: ordered steps as versioned JSON, checked before they run.

Every problem is reported as a StudioError that names the file, the step and the field.
"""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError, field_validator

from core.errors import StudioError
from core.files import read_text, write_text
from core.registry import STEP_KINDS
from core.repetition import length_problem
from core.steps import StepSettings

FORMAT: Final = "compression-studio-recipe"
VERSION: Final = 1


class Recipe(BaseModel):
    """An ordered list of steps. Immutable; editing makes a new one (`with_step`, `without_step`, …)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["compression-studio-recipe"] = FORMAT
    version: Literal[1] = VERSION
    name: str = Field(default="Untitled recipe", min_length=1, max_length=200)
    description: str = ""
    steps: tuple[SerializeAsAny[StepSettings], ...] = ()

    @field_validator("steps", mode="before")
    @classmethod
    def _steps_by_kind(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise ValueError("must be a list of steps")
        return tuple(
            step if isinstance(step, StepSettings) else parse_step(step, n) for n, step in enumerate(value)
        )

    def to_json(self) -> str:
        """The recipe as indented JSON text, the form in which it is saved and compared."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"

    def with_step(self, settings: StepSettings, index: int | None = None) -> "Recipe":
        """A recipe with `settings` inserted before step `index` (at the end without one)."""
        at = len(self.steps) if index is None else index
        return self.model_copy(update={"steps": (*self.steps[:at], settings, *self.steps[at:])})

    def replacing_step(self, index: int, settings: StepSettings) -> "Recipe":
        """A recipe whose step `index` has other settings."""
        return self.model_copy(update={"steps": (*self.steps[:index], settings, *self.steps[index + 1 :])})

    def without_step(self, index: int) -> "Recipe":
        """A recipe that lacks step `index`."""
        return self.model_copy(update={"steps": (*self.steps[:index], *self.steps[index + 1 :])})

    def moving_step(self, index: int, to: int) -> "Recipe":
        """A recipe whose step `index` stands at place `to`."""
        rest = [*self.steps[:index], *self.steps[index + 1 :]]
        rest.insert(to, self.steps[index])
        return self.model_copy(update={"steps": tuple(rest)})

    def renamed(self, name: str) -> "Recipe":
        """The same recipe under another name."""
        return self.model_copy(update={"name": name})


class _StepError(ValueError):
    """A problem inside one step, already worded; pydantic passes its text through."""


def parse_step(data: Any, index: int) -> StepSettings:
    """Step number `index` (from 0) from plain data.

    Raises:
        ValueError: naming the step and the field.
    """
    place = f"step {index + 1}"
    if not isinstance(data, Mapping):
        raise _StepError(f"{place} must be an object with a field “step”, not {_shorten(data)}")
    kind = data.get("step")
    if not isinstance(kind, str):
        raise _StepError(f"{place} lacks the field “step” that names its kind ({_known_kinds()})")
    if kind not in STEP_KINDS:
        raise _StepError(
            f"{place} has the unknown kind “{kind}”{_did_you_mean(kind, STEP_KINDS)}; known are {_known_kinds()}"
        )
    try:
        return STEP_KINDS[kind].settings.model_validate(dict(data))
    except ValidationError as error:
        raise _StepError(f"{place} ({kind}), {describe_validation(error)}") from None


def describe_validation(error: ValidationError) -> str:
    """The first problem of a pydantic error as words: `field “sparsity”: must be less than 1, not 1.5`."""
    first = error.errors(include_url=False)[0]
    text = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return f"field “{_location(first['loc'])}”: is not known; remove it or correct its name"
    text = text.removeprefix("Input should ").replace("Field required", "is missing")
    # What pydantic says of its own ways is of no use to who wrote the file.
    text = text.partition(", unable to ")[0].replace("a valid ", "a ").replace("a integer", "a whole number")
    location = _location(first["loc"])
    given = "" if first["type"] == "missing" else f", not {_shorten(first['input'])}"
    return f"field “{location}”: {'must ' if text.startswith('be ') else ''}{text}{given}"


def recipe_from_data(data: Any, where: str) -> Recipe:
    """A recipe from parsed JSON; `where` (a file name) stands in front of every error.

    Raises:
        StudioError: with the step and the field that is wrong.
    """
    if not isinstance(data, Mapping) or data.get("format", FORMAT) != FORMAT or "steps" not in data:
        raise StudioError(f"{where} is not a recipe: it must be a JSON object with a list “steps”.")
    version = data.get("version", VERSION)
    if isinstance(version, int) and version > VERSION:
        raise StudioError(
            f"{where} was written by a newer version (recipe format {version}; this studio knows {VERSION}): "
            "update Compression Studio to open it."
        )
    try:
        return Recipe.model_validate(dict(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if isinstance(first.get("ctx", {}).get("error"), _StepError):
            raise StudioError(f"{where}: {first['msg'].removeprefix('Value error, ')}.") from None
        raise StudioError(f"{where}: {describe_validation(error)}.") from None


def recipe_from_json(text: str, where: str) -> Recipe:
    """A recipe from JSON text.

    Raises:
        StudioError: as `recipe_from_data`, and where the text is no JSON, with line and column.
    """
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        at = (
            f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        )
        raise StudioError(f"{where} is not valid JSON{at}: correct it or save the recipe again.") from None
    return recipe_from_data(data, where)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        StudioError: if it cannot be read or is not a valid recipe.
    """
    return recipe_from_json(read_text(path, "recipe"), path.name)


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe file whole or not at all.

    Raises:
        StudioError: if the folder cannot be written.
    """
    write_text(path, recipe.to_json())


def matches(name: str, pattern: str) -> bool:
    """Whether a layer name is meant by a pattern: the exact name, or a shell pattern such as `layer1.*`."""
    return name == pattern or fnmatchcase(name, pattern)


@dataclass(frozen=True)
class RecipeProblem:
    """Something that keeps a recipe from running on a model.

    Attributes:
        step: index of the step (from 0), or None where it concerns the whole recipe.
        field: the step's field, or None.
        text: what is wrong and what to do, without saying where.
    """

    step: int | None
    field: str | None
    text: str

    def sentence(self, recipe: Recipe) -> str:
        """One sentence that also says where."""
        if self.step is None:
            return f"The recipe “{recipe.name}” {self.text}."
        place = f"Recipe “{recipe.name}”, step {self.step + 1} ({recipe.steps[self.step].step})"
        return f"{place}, field “{self.field}”: {self.text}."


def find_problems(recipe: Recipe, layer_names: Iterable[str]) -> tuple[RecipeProblem, ...]:
    """All that keeps a recipe from running on a model with these prunable layers, in the order of the steps."""
    names = list(layer_names)
    if not recipe.steps:
        return (RecipeProblem(None, None, "has no steps: add one, for example Prune"),)
    problems: list[RecipeProblem] = []
    for index, settings in enumerate(recipe.steps):
        if (wrong := length_problem(recipe.steps, index)) is not None:
            # What comes later cannot be judged where the steps before it are not known.
            return (*problems, RecipeProblem(index, *wrong))
        for field in ("overrides", "exclude"):
            for pattern in getattr(settings, field, ()):
                if not any(matches(name, pattern) for name in names):
                    text = f"the model has no prunable layer “{pattern}”{_did_you_mean(pattern, names)}"
                    problems.append(RecipeProblem(index, field, text))
        excluded: tuple[str, ...] = getattr(settings, "exclude", ())
        if excluded and all(any(matches(name, pattern) for pattern in excluded) for name in names):
            problems.append(RecipeProblem(index, "exclude", "leaves no layer to prune; remove an entry"))
    return tuple(problems)


def check_recipe(recipe: Recipe, layer_names: Iterable[str]) -> None:
    """Check a recipe against the names of a model's prunable layers.

    Raises:
        StudioError: for an empty recipe, and for a layer pattern that names no layer (with the nearest names).
    """
    if problems := find_problems(recipe, layer_names):
        raise StudioError(problems[0].sentence(recipe))


def _known_kinds() -> str:
    return ", ".join(f"“{kind}”" for kind in STEP_KINDS)


def _did_you_mean(word: str, words: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(words), n=2, cutoff=0.5)
    return f" (did you mean {' or '.join(f'“{name}”' for name in near)}?)" if near else ""


def _location(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part != "[key]") or "recipe"


def _shorten(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 40 else text[:37] + "…"
