"""The recipes that ship with the studio."""

from core.recipe import Recipe, load_recipe
from resources import RESOURCES


def load_presets() -> tuple[Recipe, ...]:
    """All shipped recipes, in the order of their file names."""
    return tuple(load_recipe(path) for path in sorted((RESOURCES / "presets").glob("*.json")))
