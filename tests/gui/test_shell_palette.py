"""The command palette: fuzzy order, and everything by keyboard."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from core.history.records import RunRecord
from studio import fuzzy
from studio.actions import Actions, Situation
from studio.controllers.palette import PaletteController
from studio.jobs.background import Background
from studio.state import AppState
from studio.views.palette import CommandPalette, Entry

from .fake_runs import record
from .shell_fakes import small_model


@pytest.mark.parametrize(
    ("query", "texts", "best"),
    [
        ("l1c", ["layer2.0.conv1", "layer1.0.conv1"], "layer1.0.conv1"),
        ("run", ["Prune this", "Run recipe"], "Run recipe"),
        ("conv1", ["layer1.0.conv1", "conv1"], "conv1"),
        ("recipe save", ["Open recipe", "Save recipe"], "Save recipe"),
        ("HEAT", ["Heatmap", "Cheater"], "Heatmap"),
    ],
)
def test_the_best_match_stands_first(query: str, texts: list[str], best: str) -> None:
    assert texts[fuzzy.rank(query, texts)[0]] == best


def test_texts_that_lack_a_letter_are_left_out() -> None:
    assert fuzzy.rank("xyz", ["conv1", "xy"]) == []
    assert fuzzy.rank("", ["b", "a"]) == [0, 1]


class _Recorder:
    def __init__(self) -> None:
        self.ran = 0

    def run(self) -> None:
        self.ran += 1


class _Store:
    def __init__(self, runs: list[RunRecord]) -> None:
        self._runs = runs

    def latest(self, limit: int) -> list[RunRecord]:
        return self._runs[:limit]


class _Scene:
    def __init__(self, qtbot: QtBot, state: AppState, background: Background) -> None:
        self.window = QWidget()
        self.window.resize(900, 600)
        self.before = QLineEdit(self.window)
        qtbot.addWidget(self.window)
        self.window.show()
        self.before.setFocus()
        self.actions = Actions()
        self.recorder = _Recorder()
        self.actions.join("recipe", self.recorder)
        self.actions.update(Situation(has_model=True, steps=1))
        self.palette = CommandPalette(self.window)
        self.controller = PaletteController(state, background, self.actions, self.palette)
        self.input = self.palette.findChild(QLineEdit, "paletteInput")

    def titles(self) -> list[str]:
        return [entry.title for entry in self.palette.shown]


@pytest.fixture
def scene(qtbot: QtBot, state: AppState, background: Background) -> _Scene:
    state.set_model(small_model())
    return _Scene(qtbot, state, background)


def test_an_action_by_keyboard_alone(qtbot: QtBot, scene: _Scene) -> None:
    scene.controller.open()
    qtbot.keyClicks(scene.input, "run rec")
    assert scene.titles()[0] == "Run recipe"
    qtbot.keyClick(scene.input, Qt.Key.Key_Return)
    assert scene.recorder.ran == 1
    assert scene.palette.isHidden()
    qtbot.waitUntil(scene.before.hasFocus)


def test_a_layer_is_selected(qtbot: QtBot, state: AppState, scene: _Scene) -> None:
    scene.controller.open()
    qtbot.keyClicks(scene.input, "fc2")
    with qtbot.waitSignal(scene.controller.layer_chosen):
        qtbot.keyClick(scene.input, Qt.Key.Key_Return)
    assert state.layers == ("fc2",)


def test_arrow_keys_go_round_and_escape_closes(qtbot: QtBot, scene: _Scene) -> None:
    chosen: list[Entry] = []
    scene.palette.chosen.connect(chosen.append)
    scene.controller.open()
    qtbot.keyClicks(scene.input, "fc")
    layers = [title for title in scene.titles() if title.startswith("fc")]
    assert layers == ["fc1", "fc2"]
    qtbot.keyClick(scene.input, Qt.Key.Key_Up)
    qtbot.keyClick(scene.input, Qt.Key.Key_Down)
    qtbot.keyClick(scene.input, Qt.Key.Key_Down)
    qtbot.keyClick(scene.input, Qt.Key.Key_Return)
    assert [entry.title for entry in chosen] == ["fc2"]
    scene.controller.open()
    qtbot.keyClick(scene.input, Qt.Key.Key_Escape)
    assert scene.palette.isHidden()
    assert len(chosen) == 1


def test_runs_join_from_the_history(qtbot: QtBot, state: AppState, scene: _Scene) -> None:
    run = record(7, name="half as many")
    scene.controller.set_store(_Store([run]))
    scene.controller.open()
    qtbot.waitUntil(lambda: "7 · half as many" in scene.titles())
    qtbot.keyClicks(scene.input, "half")
    with qtbot.waitSignal(scene.controller.run_chosen):
        qtbot.keyClick(scene.input, Qt.Key.Key_Return)
    assert state.runs == (run.run_id,)


def test_nothing_found_is_said(qtbot: QtBot, scene: _Scene) -> None:
    scene.controller.open()
    qtbot.keyClicks(scene.input, "zzzzz")
    assert scene.titles() == []
    qtbot.keyClick(scene.input, Qt.Key.Key_Return)
    assert not scene.palette.isHidden()


def test_disabled_actions_are_not_offered(scene: _Scene) -> None:
    scene.actions.update(Situation())
    scene.controller.open()
    assert "Run recipe" not in scene.titles()


def test_losing_the_focus_closes_it(qtbot: QtBot, scene: _Scene) -> None:
    scene.controller.open()
    scene.before.setFocus()
    qtbot.waitUntil(scene.palette.isHidden)
