"""Somebody before the screen of the real application: sees what is visible, clicks it, types, drops files."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QApplication, QWidget
from pytestqt.qtbot import QtBot

from core.history.records import RunRecord
from studio.app import Application

W = TypeVar("W", bound=QWidget)
JOB_TIMEOUT = 60_000


class User:
    """Sees only what is on the screen, and clicks it."""

    def __init__(self, qtbot: QtBot, studio: Application) -> None:
        self.qtbot = qtbot
        self.studio = studio
        self.window = studio.window

    def see(self, kind: type[W], name: str) -> W:
        def visible() -> list[W]:
            return [w for w in self.window.findChildren(kind, name) if w.isVisible()]

        self.qtbot.waitUntil(lambda: bool(visible()), timeout=5_000)
        return visible()[0]

    def click(self, widget: QWidget, at: QPoint | None = None) -> None:
        assert widget.isEnabled(), widget.objectName()
        self.qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=at or widget.rect().center())

    def button(self, text: str) -> QAbstractButton:
        def visible() -> list[QAbstractButton]:
            return [
                button
                for button in self.window.findChildren(QAbstractButton)
                if button.isVisible() and text in (button.text() or button.accessibleName())
            ]

        self.qtbot.waitUntil(lambda: bool(visible()), timeout=5_000)
        return visible()[0]

    def until(self, condition: Callable[[], bool], timeout: int = 10_000) -> None:
        self.qtbot.waitUntil(condition, timeout=timeout)

    def row(self, table: QAbstractItemView, row: int, modifier: Qt.KeyboardModifier | None = None) -> None:
        index = table.model().index(row, 0)
        table.scrollTo(index)
        self.qtbot.mouseClick(
            table.viewport(),
            Qt.MouseButton.LeftButton,
            modifier or Qt.KeyboardModifier.NoModifier,
            table.visualRect(index).center(),
        )

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.ControlModifier) -> None:
        self.qtbot.keyClick(QApplication.focusWidget() or self.window, key, modifier)

    def run_and_wait(self) -> RunRecord:
        """Click Run and wait until the run is in the history with its end."""
        store = self.studio.store
        assert store is not None
        before = len(store.runs())
        self.click(self.see(QAbstractButton, "runButton"))
        self.until(lambda: len(store.runs()) > before and store.runs()[0].is_over, JOB_TIMEOUT)
        record = max(store.runs(), key=lambda run: run.number)
        assert record.status == "finished", record.error
        return record

    def drop(self, path: Path) -> None:
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        for kind in (QEvent.Type.DragEnter, QEvent.Type.Drop):
            event = QDropEvent(
                QPointF(200, 300),
                Qt.DropAction.CopyAction,
                data,
                Qt.MouseButton.LeftButton,
                Qt.KeyboardModifier.NoModifier,
                kind,
            )
            if kind == QEvent.Type.DragEnter:
                enter = QDragEnterEvent(
                    QPoint(200, 300),
                    Qt.DropAction.CopyAction,
                    data,
                    Qt.MouseButton.LeftButton,
                    Qt.KeyboardModifier.NoModifier,
                )
                QApplication.sendEvent(self.window, enter)
                assert enter.isAccepted()
            else:
                QApplication.sendEvent(self.window, event)
