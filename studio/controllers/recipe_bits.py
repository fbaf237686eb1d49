"""Bits of their own for layers, put into a recipe's quantize step."""

from collections.abc import Mapping

from core.quantization.settings import CodebookSettings, GridSettings, QuantizeSettings
from core.recipe import Recipe

FLOAT32 = 32
"""Bits that mean: leave the layer alone."""


def quantize_step(recipe: Recipe, selected: int | None) -> tuple[int | None, GridSettings]:
    """The selected step that puts weights on grids, else the first; without any, None and the usual settings."""
    steps = list(enumerate(recipe.steps))
    if selected is not None and selected < len(steps):
        steps.insert(0, steps[selected])
    for step, settings in steps:
        if isinstance(settings, GridSettings):
            return step, settings
    return None, QuantizeSettings()


def with_own_bits(recipe: Recipe, selected: int | None, bits: Mapping[str, int | None]) -> tuple[Recipe, int]:
    """The recipe in which these layers have so many bits of their own (None: the step's), and the step that says so.

    A recipe without a quantize step gets one at its end.

    Raises:
        pydantic.ValidationError: for bits that no layer can have.
    """
    step, settings = quantize_step(recipe, selected)
    # The first that matches a layer counts: names stand before patterns.
    overrides = {name: value for name, value in bits.items() if value is not None}
    overrides |= {name: value for name, value in settings.overrides.items() if name not in bits}
    exclude = tuple(name for name in settings.exclude if name not in bits)
    changed = type(settings).model_validate(
        {**settings.model_dump(), "overrides": overrides, "exclude": exclude}
    )
    if step is None:
        return recipe.with_step(changed, len(recipe.steps)), len(recipe.steps)
    return recipe.replacing_step(step, changed), step


def with_own_books(recipe: Recipe, step: int, bits: Mapping[str, int | None]) -> Recipe:
    """The recipe whose step of shared weights gives these layers indices of so many bits of their own.

    Args:
        bits: None follows the step again, `FLOAT32` leaves the layer alone.

    Raises:
        pydantic.ValidationError: for bits that no codebook can have.
    """
    settings = recipe.steps[step]
    assert isinstance(settings, CodebookSettings)
    # The first that matches a layer counts: names stand before patterns.
    overrides = {name: value for name, value in bits.items() if value is not None and value != FLOAT32}
    overrides |= {name: value for name, value in settings.overrides.items() if name not in bits}
    alone = tuple(name for name, value in bits.items() if value == FLOAT32)
    exclude = (*(name for name in settings.exclude if name not in bits), *alone)
    return recipe.replacing_step(
        step,
        CodebookSettings.model_validate(
            {**settings.model_dump(), "overrides": overrides, "exclude": exclude}
        ),
    )
