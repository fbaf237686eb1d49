"""The recipes that ship: each is valid, described, and runs on a model of any kind of layer names."""

import json

import pytest

from core.presets import load_presets
from core.recipe import Recipe, check_recipe, recipe_from_json
from resources import RESOURCES

PRESETS = load_presets()


def test_there_is_a_useful_choice():
    assert len(PRESETS) >= 6
    assert PRESETS[0].name == "Prune 80 % and fine-tune"
    assert len({preset.name for preset in PRESETS}) == len(PRESETS)


@pytest.mark.parametrize("preset", PRESETS, ids=[preset.name for preset in PRESETS])
def test_each_fits_any_model_and_says_what_it_is_for(preset: Recipe):
    check_recipe(preset, ["conv1", "fc"])
    assert len(preset.description) > 40
    assert preset.description.endswith(".")
    assert recipe_from_json(preset.to_json(), "again") == preset


@pytest.mark.parametrize("path", sorted((RESOURCES / "presets").glob("*.json")), ids=lambda path: path.stem)
def test_each_file_names_its_format_and_version(path):
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["format"] == "compression-studio-recipe"
    assert data["version"] == 1
