"""Reports and scripts from the History menu, with the real dialogs, on a history that is a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from core.events import Event, Finished, LayersMeasured, Measured, RunStarted
from core.history.store import HistoryStore, open_history
from studio.controllers.report import PDF, ReportController
from studio.jobs.background import Background
from studio.problem import Problem
from studio.settings import Settings
from studio.state import AppState

from .fake_runs import layers, measurement, metrics, request


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HistoryStore]:
    with open_history(tmp_path / "history.db") as opened:
        for number in (1, 2):
            asked = request(f"run {number}", run_id=f"{number:032x}")
            opened.add_run(asked)
            events: list[Event] = [
                RunStarted(asked.run_id, 1.0, (), None),
                Measured(asked.run_id, "before", measurement(0.97)),
                *metrics(asked.run_id),
                Measured(asked.run_id, "after", measurement(0.96, 0.8)),
                LayersMeasured(asked.run_id, "after", layers(0.8)),
                Finished(asked.run_id, 2.0),
            ]
            opened.record(events)
        yield opened


class Bench:
    def __init__(
        self, qtbot: QtBot, state: AppState, background: Background, store: HistoryStore, profile: Path
    ) -> None:
        self.qtbot, self.state, self.background = qtbot, state, background
        self.window = QWidget()
        qtbot.addWidget(self.window)
        self.window.show()
        self.controller = ReportController(state, background, Settings(profile), store, self.window)
        self.messages: list[str] = []
        self.problems: list[Problem] = []
        state.message.connect(self.messages.append)
        state.problem.connect(self.problems.append)

    def save(self, path: Path, kind: str = "") -> None:
        """Type a path into the dialog that is open and press Save."""
        (dialog,) = self.window.findChildren(QFileDialog)
        if kind:
            dialog.selectNameFilter(kind)
            dialog.filterSelected.emit(kind)
        (line,) = [field for field in dialog.findChildren(QLineEdit) if field.objectName() == "fileNameEdit"]
        line.setText(str(path))
        (box,) = dialog.findChildren(QDialogButtonBox)
        box.button(QDialogButtonBox.StandardButton.Save).click()
        self.qtbot.waitUntil(
            lambda: self.background.idle and self.messages[-1:] != [f"Writing {path.name} …"], timeout=30_000
        )


@pytest.fixture
def bench(qtbot: QtBot, state: AppState, background: Background, store: HistoryStore, profile: Path) -> Bench:
    return Bench(qtbot, state, background, store, profile)


def test_a_run_is_saved_as_a_web_page(bench: Bench, tmp_path: Path) -> None:
    bench.state.set_runs((f"{1:032x}",))
    bench.controller.save_report()
    bench.save(tmp_path / "mine.html")
    assert "Run 1: run 1" in (tmp_path / "mine.html").read_text()
    assert bench.messages[-1] == f"✓ Saved {tmp_path / 'mine.html'}: Run 1: run 1."


def test_several_runs_are_saved_as_pdf(bench: Bench, tmp_path: Path) -> None:
    bench.state.set_runs((f"{2:032x}", f"{1:032x}"))
    bench.controller.save_report()
    bench.save(tmp_path / "both", PDF)
    assert (tmp_path / "both.pdf").read_bytes().startswith(b"%PDF-")
    assert bench.messages[-1].endswith("Comparison of runs 2, 1.")


def test_a_script_is_saved_for_the_run_selected_last(bench: Bench, tmp_path: Path) -> None:
    bench.state.set_runs((f"{1:032x}", f"{2:032x}"))
    bench.controller.save_script()
    bench.save(tmp_path / "again")
    assert "Repeats run 2" in (tmp_path / "again.py").read_text()


def test_what_cannot_be_written_is_told_in_one_sentence(bench: Bench, tmp_path: Path) -> None:
    bench.state.set_runs((f"{1:032x}",))
    (tmp_path / "file").touch()
    bench.controller.write_report(bench.state.runs, tmp_path / "file" / "a.html")
    bench.qtbot.waitUntil(lambda: bool(bench.problems))
    assert "a.html was not written" in bench.problems[0].message
    assert bench.messages[-1] == ""


def test_without_a_run_nothing_is_asked(bench: Bench) -> None:
    bench.controller.save_report()
    bench.controller.save_script()
    assert not bench.window.findChildren(QFileDialog)
