"""Recipes by file or by a preset's name."""

import argparse
import difflib
import re
from pathlib import Path

from core.cli.tables import text_table, to_json
from core.errors import StudioError
from core.presets import load_presets
from core.recipe import Recipe, load_recipe


def short_name(recipe: Recipe) -> str:
    """A recipe's name as it is typed: `prune-80-and-fine-tune`."""
    return re.sub(r"[^a-z0-9]+", "-", recipe.name.lower()).strip("-")


def find_recipe(text: str) -> Recipe:
    """The recipe in a file, or the preset of that name (as shown or as typed).

    Raises:
        StudioError: if there is neither, or the file holds no valid recipe.
    """
    path = Path(text).expanduser()
    if path.exists():
        return load_recipe(path)
    presets = load_presets()
    for preset in presets:
        if text.lower() in (preset.name.lower(), short_name(preset)):
            return preset
    if path.suffix or path.parent != Path():
        return load_recipe(path)
    near = difflib.get_close_matches(
        text.lower(), [short_name(preset) for preset in presets], n=1, cutoff=0.6
    )
    hint = f"did you mean {near[0]}?" if near else "see compression-studio presets."
    raise StudioError(f"{text} is neither a recipe file nor the name of a preset: {hint}")


def list_presets(options: argparse.Namespace) -> int:
    """The command `presets`."""
    if options.name is not None:
        print(find_recipe(options.name).to_json(), end="")
    elif options.json:
        print(to_json([recipe.model_dump(mode="json") for recipe in load_presets()]))
    else:
        rows = []
        for recipe in load_presets():
            rows.append((short_name(recipe), recipe.description))
            rows += [("", f"  {settings.title}: {settings.summary()}") for settings in recipe.steps]
        print(text_table(("Name", "What it does"), rows))
    return 0
