"""Preferences of the user: each declared once with name, type, default, title and help; kept in one INI file."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from platformdirs import user_config_path, user_data_path
from PySide6.QtCore import QByteArray, QSettings

from studio.theme import MODES

APPLICATION = "compression-studio"
RECENT_LIMIT = 10

T = TypeVar("T")


@dataclass(frozen=True)
class Preference(Generic[T]):
    """One preference.

    Attributes:
        name: its key in the file, `group/name`.
        default: the value without an entry, or with one that makes no sense.
        valid: whether a value read from the file can be used.
        title, help: for the preferences window; without a title it is not shown there.
        choices: values and their words, for the ones chosen from a list.
    """

    name: str
    default: T
    valid: Callable[[Any], bool]
    title: str = ""
    help: str = ""
    choices: tuple[tuple[Any, str], ...] = ()


def _one_of(choices: tuple[tuple[Any, str], ...]) -> Callable[[Any], bool]:
    values = [value for value, _ in choices]
    return lambda value: value in values and not isinstance(value, bool)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _texts_by_name(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


_THEMES = tuple(zip(MODES, ("Like the system", "Light", "Dark")))
_DEVICES = (
    ("auto", "Automatic"),
    ("cpu", "CPU"),
    ("cuda", "NVIDIA GPU (CUDA)"),
    ("mps", "Apple GPU (Metal)"),
)

THEME: Preference[str] = Preference(
    "look/theme",
    "system",
    _one_of(_THEMES),
    "Theme",
    "Light or dark; “Like the system” follows the desktop, also when it changes.",
    _THEMES,
)
DEVICE: Preference[str] = Preference(
    "jobs/device",
    "auto",
    _one_of(_DEVICES),
    "Device",
    "Where jobs compute. Automatic takes a GPU where there is one. A device that is missing is reported when a job "
    "starts.",
    _DEVICES,
)
THREADS: Preference[int] = Preference(
    "jobs/threads",
    0,
    lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1024,
    "CPU threads",
    "How many threads a job on the CPU uses; 0 means as many as there are cores.",
)
DATABASE: Preference[str] = Preference(
    "history/database",
    "",
    _is_text,
    "History database",
    "The file in which runs are recorded; empty means the studio's own data folder. Takes effect at the next start.",
)
NEAR_ZERO: Preference[float] = Preference(
    "layers/near-zero",
    0.001,
    lambda value: isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e30,
)
LAYER_COLUMNS: Preference[dict[str, Any]] = Preference(
    "layers/columns", {}, lambda value: isinstance(value, dict)
)
RUN_COLUMNS: Preference[list[str]] = Preference("history/columns", [], _texts)
RUN_GROUPING: Preference[str] = Preference("history/grouping", "", _is_text)
LAYER_TREE: Preference[bool] = Preference("layers/tree", False, lambda value: isinstance(value, bool))
RECENT: Preference[list[str]] = Preference("files/recent", [], _texts)
LAST_FOLDER: Preference[str] = Preference("files/folder", "", _is_text)
LAST_TASK_FOLDER: Preference[str] = Preference("files/task-folder", "", _is_text)
INTERRUPTED: Preference[int] = Preference(
    "jobs/interrupted", 0, lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0
)
DISMISSED: Preference[list[str]] = Preference("hints/dismissed", [], _texts)
LAYOUTS: Preference[dict[str, str]] = Preference("window/layouts", {}, _texts_by_name)
GEOMETRY: Preference[str] = Preference("window/geometry", "", _is_text)

PREFERENCES: tuple[Preference[Any], ...] = (
    THEME,
    DEVICE,
    THREADS,
    DATABASE,
    NEAR_ZERO,
    LAYER_COLUMNS,
    RUN_COLUMNS,
    RUN_GROUPING,
    LAYER_TREE,
    RECENT,
    LAST_FOLDER,
    LAST_TASK_FOLDER,
    INTERRUPTED,
    DISMISSED,
    LAYOUTS,
    GEOMETRY,
)


class Settings:
    """Reads and writes preferences in `FOLDER/settings.ini`.

    Args:
        profile: a folder for settings and history together, for a clean start beside the user's own; None means the
            user's folders.
    """

    def __init__(self, profile: Path | None = None) -> None:
        self.folder = profile or user_config_path(APPLICATION, appauthor=False)
        self._profile = profile
        self._store = QSettings(str(self.folder / "settings.ini"), QSettings.Format.IniFormat)

    def get(self, preference: Preference[T]) -> T:
        """The value, or the default where the file has none that makes sense."""
        text = self._store.value(preference.name)
        if not isinstance(text, str):
            return preference.default
        try:
            value = json.loads(text)
        except ValueError:
            return preference.default
        return value if preference.valid(value) else preference.default

    def set(self, preference: Preference[T], value: T) -> None:
        """Keep a value (as JSON, so that types survive the INI file)."""
        if not preference.valid(value):
            raise ValueError(f"{value!r} is no value for {preference.name}")
        self._store.setValue(preference.name, json.dumps(value, ensure_ascii=True))

    def reset(self) -> None:
        """Forget everything: all preferences are at their defaults."""
        self._store.clear()
        self._store.sync()

    def sync(self) -> bool:
        """Write to disk now; False if that was not possible."""
        self._store.sync()
        return self._store.status() == QSettings.Status.NoError

    @property
    def database(self) -> Path | None:
        """The history's file by profile or preference; None means the history's own default place."""
        if self._profile is not None:
            return self._profile / "history.db"
        chosen = self.get(DATABASE)
        return Path(chosen).expanduser() if chosen else None

    @property
    def data_folder(self) -> Path:
        """Where the studio keeps data that it downloads or writes."""
        return self._profile or user_data_path(APPLICATION, appauthor=False)

    def add_recent(self, source: str) -> None:
        """Put a model source (its text form) first in the list of recent ones."""
        others = [item for item in self.get(RECENT) if item != source]
        self.set(RECENT, [source, *others][:RECENT_LIMIT])

    def forget_recent(self, source: str) -> None:
        """Take a source off the list."""
        self.set(RECENT, [item for item in self.get(RECENT) if item != source])

    def dismiss(self, hint: str) -> None:
        """Never show that hint again."""
        if hint not in self.get(DISMISSED):
            self.set(DISMISSED, [*self.get(DISMISSED), hint])


def to_text(state: QByteArray) -> str:
    """A window's saved state as text."""
    return bytes(state.toBase64().data()).decode("ascii")


def from_text(text: str) -> QByteArray:
    """The inverse of `to_text`."""
    return QByteArray.fromBase64(text.encode("ascii", "replace"))
