"""Recipes: round trips, and one clear sentence for everything that can be wrong with one."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import StudioError
from core.presets import load_presets
from core.recipe import Recipe, check_recipe, find_problems, load_recipe, recipe_from_json, save_recipe
from core.registry import STEPS, definition_of
from core.repetition import write_out
from core.steps import FineTuneSettings, PruneSettings
from core.steps_flow import RepeatSettings

RECIPE = Recipe(name="Mine", steps=(PruneSettings(sparsity=0.5, overrides={"fc*": 0.9}), FineTuneSettings()))


def test_round_trip_through_a_file(tmp_path: Path) -> None:
    save_recipe(RECIPE, tmp_path / "deep" / "recipe.json")
    assert load_recipe(tmp_path / "deep" / "recipe.json") == RECIPE
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["recipe.json"]


@given(
    st.builds(
        PruneSettings,
        sparsity=st.floats(0, 0.999),
        scope=st.sampled_from(["global", "layer"]),
        overrides=st.dictionaries(st.text(min_size=1, max_size=5), st.floats(0, 0.9), max_size=3),
        exclude=st.lists(st.text(min_size=1, max_size=5), max_size=3).map(tuple),
    )
)
def test_every_valid_step_survives_json(settings: PruneSettings) -> None:
    recipe = Recipe(steps=(settings,))
    assert recipe_from_json(recipe.to_json(), "x").steps == (settings,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "not valid JSON (line 1, column 2)"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "is not a recipe"),
        ('{"steps": [{"step": "prun"}]}', "step 1 has the unknown kind “prun” (did you mean “prune”?)"),
        ('{"steps": [{}]}', "step 1 lacks the field “step”"),
        ('{"steps": [7]}', "step 1 must be an object"),
        ('{"steps": 7}', "field “steps”: must be a list"),
        (
            '{"steps": [{"step": "prune"}, {"step": "prune", "sparsity": 1.5}]}',
            "step 2 (prune), field “sparsity”",
        ),
        ('{"steps": [{"step": "prune", "sparsity": 1}]}', "must be less than 1, not 1"),
        ('{"steps": [{"step": "prune", "sparsity": NaN}]}', "must be a finite number"),
        ('{"steps": [{"step": "prune", "sparsity": "much"}]}', "must be a number, not 'much'"),
        ('{"steps": [{"step": "prune", "sparsty": 0.5}]}', "field “sparsty”: is not known"),
        ('{"steps": [{"step": "fine-tune", "epochs": 0}]}', "must be greater than or equal to 1, not 0"),
        ('{"steps": [{"step": "fine-tune", "epochs": 1.5}]}', "must be a whole number"),
        ('{"steps": [{"step": "prune", "scope": "x"}]}', "must be 'global', 'layer'"),
        ('{"version": 2, "steps": []}', "written by a newer version"),
        ('{"steps": [], "name": ""}', "field “name”"),
    ],
)
def test_bad_recipes_are_told_in_one_sentence(text: str, expected: str) -> None:
    with pytest.raises(StudioError) as caught:
        recipe_from_json(text, "my.json")
    assert caught.value.message.startswith("my.json")
    assert expected in caught.value.message
    assert "\n" not in caught.value.message


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda c: st.lists(c) | st.dictionaries(st.text(), c),
    )
)
def test_no_json_value_gives_anything_but_a_recipe_or_a_sentence(value: object) -> None:
    import json

    for text in (json.dumps(value), json.dumps({"steps": value}), json.dumps({"steps": [value]})):
        with contextlib.suppress(StudioError):
            assert isinstance(recipe_from_json(text, "x"), Recipe)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="does not exist"):
        load_recipe(tmp_path / "none.json")
    with pytest.raises(StudioError, match="is a folder"):
        load_recipe(tmp_path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudioError, match="not a text file"):
        load_recipe(tmp_path / "binary.json")


def test_a_layer_that_the_model_lacks_is_named_with_the_nearest() -> None:
    recipe = Recipe(name="R", steps=(FineTuneSettings(), PruneSettings(exclude=("layer1.0.conv3",))))
    with pytest.raises(
        StudioError, match=r"step 2.*“exclude”.*“layer1.0.conv3”.*did you mean “layer1.0.conv1”"
    ):
        check_recipe(recipe, ["layer1.0.conv1", "linear"])
    check_recipe(recipe, ["layer1.0.conv3", "linear"])


def test_nothing_left_to_prune_and_nothing_to_do_are_refused() -> None:
    with pytest.raises(StudioError, match="leaves no layer"):
        check_recipe(Recipe(steps=(PruneSettings(exclude=("*",)),)), ["a", "b"])
    with pytest.raises(StudioError, match="has no steps"):
        check_recipe(Recipe(), ["a"])


def test_editing_makes_new_recipes() -> None:
    longer = RECIPE.with_step(PruneSettings(sparsity=0.1), 1)
    assert [step.step for step in longer.steps] == ["prune", "prune", "fine-tune"]
    assert longer.without_step(1) == RECIPE
    assert [s.step for s in RECIPE.moving_step(0, 1).steps] == ["fine-tune", "prune"]
    assert RECIPE.replacing_step(1, PruneSettings()).steps[1] == PruneSettings()
    assert len(RECIPE.steps) == 2


def test_presets_are_valid_and_have_different_names() -> None:
    presets = load_presets()
    assert any(preset.name == "Prune 80 % and fine-tune" for preset in presets)
    assert len({preset.name for preset in presets}) == len(presets)


def test_every_step_is_whole() -> None:
    """Settings class, function and work function exist; every field has a title and a help text."""
    for definition in STEPS:
        if definition.settings is not RepeatSettings:  # written out before a recipe runs
            assert callable(definition.load())
            assert callable(definition.load_work())
        settings = definition.settings()
        assert definition_of(settings) is definition
        assert settings.summary()
        assert definition.settings.__doc__
        for name, field in definition.settings.model_fields.items():
            if name != "step":
                assert field.title, name
                assert field.description, name


def test_recipes_are_read_without_torch() -> None:
    code = (
        "import sys, core.events, core.job, core.presets, core.request; core.presets.load_presets(); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_papers_are_recipes_with_a_short_and_a_full_form() -> None:
    """Optimal Brain Damage and the Lottery Ticket are nothing but steps; written out they are the papers' loops."""
    presets = {preset.name: preset for preset in load_presets()}
    for paper in ("Optimal Brain Damage", "Lottery Ticket"):
        assert sum(name.startswith(f"{paper} (") for name in presets) == 2
    full = write_out(presets["Lottery Ticket (full protocol)"].steps)
    kinds = [planned.settings.step for planned in full]
    assert kinds == ["fine-tune"] + ["prune", "rewind", "fine-tune"] * 15
    first = full[0].settings
    assert isinstance(first, FineTuneSettings)
    assert (first.iterations, first.batch_size, first.learning_rate, first.evaluate_every) == (
        50_000,
        60,
        1.2e-3,
        100,
    )
    cut = full[1].settings
    assert isinstance(cut, PruneSettings)
    assert (cut.sparsity, cut.of, cut.scope, cut.output_sparsity) == (0.2, "remaining", "layer", 0.1)
    assert not find_problems(presets["Lottery Ticket (full protocol)"], ["fc1", "fc2", "fc3"])
    for preset in presets.values():
        length = len(write_out(preset.steps))
        assert length >= len(preset.steps) - 1, preset.name
