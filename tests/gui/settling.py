"""Waiting for the background, shared by tests of the inspector."""

from pytestqt.qtbot import QtBot

from studio.jobs.background import Background


def settle(qtbot: QtBot, background: Background) -> None:
    """Wait until nothing is asked and nothing is about to be asked."""
    for _ in range(2):
        qtbot.wait(1)
        qtbot.waitUntil(lambda: background.idle, timeout=20_000)
