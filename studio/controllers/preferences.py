"""Preferences in force: theme at once, device and threads for the next run, and the window in which they are set."""

from dataclasses import replace
from typing import Any, cast

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QApplication, QWidget

from core.request import RunRequest
from studio import theme
from studio.settings import DEVICE, THEME, THREADS, Preference, Settings
from studio.views.preferences import SHOWN, PreferencesDialog


class PreferencesController(QObject):
    """Reads and changes preferences and puts them in force."""

    changed = Signal()
    reset_done = Signal()

    def __init__(self, app: QApplication, settings: Settings, window: QWidget) -> None:
        super().__init__(window)
        self._app = app
        self._settings = settings
        self._window = window
        self._dialog: PreferencesDialog | None = None

    def open(self) -> None:
        """Show the preferences."""
        dialog = PreferencesDialog(self._values(), self._window)
        dialog.changed.connect(self._set)
        dialog.reset_wanted.connect(self.reset)
        dialog.destroyed.connect(self._closed)
        self._dialog = dialog
        dialog.open()

    def theme_system(self) -> None:
        """Follow the desktop."""
        self._set(THEME, "system")

    def theme_light(self) -> None:
        """Light, whatever the desktop says."""
        self._set(THEME, "light")

    def theme_dark(self) -> None:
        """Dark, whatever the desktop says."""
        self._set(THEME, "dark")

    def reset(self) -> None:
        """Put everything back to its default: preferences, hints, layouts, recent files."""
        self._settings.reset()
        theme.apply(self._app, cast(theme.Mode, self._settings.get(THEME)))
        if self._dialog is not None:
            self._dialog.show_values(self._values())
        self.changed.emit()
        self.reset_done.emit()

    def prepared(self, request: RunRequest) -> RunRequest:
        """A request with the device and the threads that the user prefers."""
        return replace(
            request, device=self._settings.get(DEVICE), threads=self._settings.get(THREADS) or None
        )

    def machine(self) -> str:
        """Device and threads for the status bar."""
        device = self._settings.get(DEVICE)
        words = next(words for value, words in DEVICE.choices if value == device)
        threads = self._settings.get(THREADS)
        return (
            f"{words} device · {threads or 'all'} threads"
            if device == "auto"
            else (f"{words} · {threads or 'all'} threads")
        )

    def _set(self, preference: Any, value: Any) -> None:
        assert isinstance(preference, Preference)
        if value == self._settings.get(preference):
            return
        self._settings.set(preference, value)
        if preference is THEME:
            theme.apply(self._app, value)
        if self._dialog is not None:
            self._dialog.show_values(self._values())
        self.changed.emit()

    def _values(self) -> dict[str, Any]:
        return {preference.name: self._settings.get(preference) for preference in SHOWN}

    def _closed(self) -> None:
        self._dialog = None
