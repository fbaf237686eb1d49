"""PanelNotice: the four states of a panel."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from studio.problem import Problem
from studio.views.notice import PanelNotice
from studio.views.report import ReportWindow


def _panel(qtbot: QtBot) -> tuple[QWidget, PanelNotice, QLabel]:
    panel = QWidget()
    content = QLabel("content")
    notice = PanelNotice(content)
    layout = QVBoxLayout(panel)
    layout.addWidget(notice)
    layout.addWidget(content)
    qtbot.addWidget(panel)
    panel.show()
    return panel, notice, content


def test_ready_shows_the_content_and_no_text(qtbot: QtBot) -> None:
    _, notice, content = _panel(qtbot)
    assert notice.state == "ready"
    assert content.isVisible()
    assert notice.text == ""


def test_empty_hides_the_content_and_offers_an_action(qtbot: QtBot) -> None:
    panel, notice, content = _panel(qtbot)
    notice.show_empty("Layers of the open model appear here.", "Open a model…")
    assert notice.state == "empty"
    assert not content.isVisible()
    button = panel.findChild(QPushButton, "noticeAction")
    with qtbot.waitSignal(notice.action):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    notice.clear()
    assert content.isVisible()


def test_failed_shows_the_sentence_a_report_and_try_again(qtbot: QtBot) -> None:
    panel, notice, content = _panel(qtbot)
    notice.show_problem(Problem("weights.pt is no model: choose another.", "offset 12"), retry=True)
    assert notice.state == "failed"
    assert notice.text == "weights.pt is no model: choose another."
    assert not content.isVisible()
    with qtbot.waitSignal(notice.retry):
        qtbot.mouseClick(panel.findChild(QPushButton, "noticeRetry"), Qt.MouseButton.LeftButton)
    qtbot.mouseClick(panel.findChild(QPushButton, "noticeDetails"), Qt.MouseButton.LeftButton)
    report = panel.findChild(ReportWindow)
    report.copy()
    assert QGuiApplication.clipboard().text() == "weights.pt is no model: choose another.\n\noffset 12"
    report.close()


def test_busy_keeps_the_content_and_draws_a_line_only_after_a_while(qtbot: QtBot) -> None:
    panel, notice, content = _panel(qtbot)
    height = notice.height()
    notice.show_busy()
    assert not notice.busy
    qtbot.waitUntil(lambda: notice.busy)
    assert content.isVisible()
    assert notice.height() == height
    panel.grab()
    notice.clear()
    assert not notice.busy
