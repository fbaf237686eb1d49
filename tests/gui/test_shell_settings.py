"""Settings: typed values that survive the file, and nonsense in the file that does no harm."""

from pathlib import Path

import pytest

from studio.settings import (
    DISMISSED,
    LAYOUTS,
    PREFERENCES,
    RECENT,
    RECENT_LIMIT,
    THEME,
    THREADS,
    Settings,
)


def test_defaults_without_a_file(profile: Path) -> None:
    settings = Settings(profile)
    for preference in PREFERENCES:
        assert settings.get(preference) == preference.default
        assert preference.valid(preference.default)


def test_values_survive_a_restart_with_their_types(profile: Path) -> None:
    settings = Settings(profile)
    settings.set(THEME, "dark")
    settings.set(THREADS, 3)
    settings.set(RECENT, ["/tmp/ä, b.pt", "sample"])
    settings.set(LAYOUTS, {"inspect": "AAA="})
    assert settings.sync()
    again = Settings(profile)
    assert again.get(THEME) == "dark"
    assert again.get(THREADS) == 3
    assert again.get(RECENT) == ["/tmp/ä, b.pt", "sample"]
    assert again.get(LAYOUTS) == {"inspect": "AAA="}


@pytest.mark.parametrize("nonsense", ["garbage{", '"pink"', "12", "null", "[1]"])
def test_nonsense_in_the_file_gives_the_default(profile: Path, nonsense: str) -> None:
    profile.mkdir()
    quoted = nonsense.replace('"', '\\"')
    (profile / "settings.ini").write_text(f'[look]\ntheme="{quoted}"\n', encoding="utf-8")
    assert Settings(profile).get(THEME) == "system"


def test_a_value_that_makes_no_sense_is_refused(profile: Path) -> None:
    with pytest.raises(ValueError, match="look/theme"):
        Settings(profile).set(THEME, "pink")


def test_recent_files_are_unique_newest_first_and_few(profile: Path) -> None:
    settings = Settings(profile)
    for number in range(RECENT_LIMIT + 3):
        settings.add_recent(f"model-{number}")
    settings.add_recent("model-5")
    recent = settings.get(RECENT)
    assert recent[0] == "model-5"
    assert len(recent) == len(set(recent)) == RECENT_LIMIT


def test_a_dismissed_hint_stays_dismissed_until_reset(profile: Path) -> None:
    settings = Settings(profile)
    settings.dismiss("welcome")
    settings.dismiss("welcome")
    assert Settings(profile).get(DISMISSED) == ["welcome"]
    settings.reset()
    assert Settings(profile).get(DISMISSED) == []


def test_a_profile_keeps_the_history_beside_the_settings(profile: Path) -> None:
    assert Settings(profile).database == profile / "history.db"


def test_preferences_are_declared_completely() -> None:
    assert len({preference.name for preference in PREFERENCES}) == len(PREFERENCES)
    for preference in PREFERENCES:
        if preference.title:
            assert preference.help.endswith(".")
            assert not preference.choices or preference.default in dict(preference.choices)
