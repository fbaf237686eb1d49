"""The job strip driven by real clicks and keys, with a runner that only takes notes."""

import gc
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QApplication, QMessageBox, QPushButton, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from core.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Interrupted,
    Measured,
    MetricPoint,
    Notice,
    PausedChanged,
    Progress,
    RunStarted,
)
from core.models.description import ModelDescription
from core.models.opened import from_arrays
from core.models.source import SAMPLE, ModelSource
from core.request import RunRequest
from studio.controllers.jobs import JobsController
from studio.jobs.bridge import Bridge
from studio.jobs.mailbox import Mailbox
from studio.state import AppState
from studio.views.job_strip import JobStrip
from studio.views.report import ReportWindow

from .fake_runs import measurement, metrics, request


class FakeRunner:
    """Notes every wish."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.bridge = Bridge(mailbox)
        self.calls: list[tuple[str, str]] = []

    def submit(self, request: RunRequest, *, resume: bool = False) -> None:
        self.calls.append(("resume run" if resume else "submit", request.run_id))

    def pause(self, run_id: str) -> None:
        self.calls.append(("pause", run_id))

    def resume(self, run_id: str) -> None:
        self.calls.append(("resume", run_id))

    def stop(self, run_id: str) -> None:
        self.calls.append(("stop", run_id))

    def cancel(self, run_id: str) -> None:
        self.calls.append(("cancel", run_id))


class Bench:
    """Strip, controller and fake runner, and short ways to look and click."""

    def __init__(self, qtbot: QtBot, state: AppState, mailbox: Mailbox) -> None:
        self.qtbot, self.state = qtbot, state
        self.runner = FakeRunner(mailbox)
        self.strip = JobStrip()
        qtbot.addWidget(self.strip)
        self.controller = JobsController(state, self.runner, self.strip)
        self.strip.resize(1600, 160)
        self.strip.show()
        self.said: list[str] = []
        state.message.connect(self.said.append)

    def submit(self, name: str) -> str:
        asked = request(name)
        self.controller.submit(asked)
        return asked.run_id

    def tell(self, *events: Event) -> None:
        self.controller.take_events(events)

    def started(self, name: str) -> str:
        run_id = self.submit(name)
        self.tell(RunStarted(run_id, 0.0, (), None), Progress(run_id, 0.25, "Fine-tune: epoch 1 of 3", 42.0))
        return run_id

    def click(self, run_id: str, button: str) -> None:
        found = self.strip.row(run_id).findChild(QToolButton, button)
        assert found.isVisible()
        assert found.isEnabled()
        assert found.accessibleName()
        assert found.toolTip()
        self.qtbot.mouseClick(found, Qt.MouseButton.LeftButton)

    def text(self, run_id: str, label: str) -> str:
        found = self.strip.row(run_id).findChild(QWidget, label)
        return found.text() if found.isVisible() else ""  # type: ignore[attr-defined]


@pytest.fixture
def bench(qtbot: QtBot, state: AppState, mailbox: Mailbox) -> Iterator[Bench]:
    yield Bench(qtbot, state, mailbox)
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()


def test_the_empty_strip_says_what_will_be_here(bench: Bench) -> None:
    assert "appear here" in bench.strip.notice.text
    run_id = bench.submit("first")
    assert bench.strip.notice.state == "ready"
    assert bench.strip.current == run_id


def test_a_running_job_shows_how_far_it_is(bench: Bench) -> None:
    run_id = bench.started("prune 80 %")
    bench.tell(*metrics(run_id, epochs=1))
    assert bench.text(run_id, "jobShare") == "25 %"
    assert bench.text(run_id, "jobTimeLeft") == "0:42 left"
    assert bench.text(run_id, "jobActivity") == "Fine-tune: epoch 1 of 3"
    assert bench.text(run_id, "jobLoss").startswith("loss 0.4")
    assert bench.text(run_id, "jobAccuracy").startswith("val 90.1")
    assert set(bench.strip.curves.drawn) == {
        "loss/train", "loss/validation", "accuracy/train", "accuracy/validation",
    }  # fmt: skip
    assert bench.said == ["“prune 80 %” started."]


def test_zeros_and_the_teacher_are_followed_live(bench: Bench) -> None:
    run_id = bench.started("prune and distil")
    bench.strip.resize(1400, 160)
    bench.tell(*metrics(run_id, epochs=1))
    assert bench.text(run_id, "jobZeros") == ""
    points = [
        MetricPoint(run_id, 0, 0.0, 10, "model", "sparsity", 0.5, 1.0),
        MetricPoint(run_id, 0, 1.0, 20, "model", "sparsity", 0.632, 2.0),
        MetricPoint(run_id, 0, 1.0, 20, "teacher", "accuracy", 0.97, 2.0),
    ]
    bench.tell(*points)
    assert bench.text(run_id, "jobZeros") == "zeros 63.2 %"
    bench.qtbot.waitUntil(lambda: "sparsity/model" in bench.strip.curves.drawn)
    assert "accuracy/teacher" in bench.strip.curves.drawn
    bench.tell(Finished(run_id, 3.0))
    assert bench.text(run_id, "jobZeros") == ""


def test_waiting_jobs_show_their_place(bench: Bench) -> None:
    first, second, third = bench.started("a"), bench.submit("b"), bench.submit("c")
    assert bench.text(second, "jobActivity") == "waiting, number 1 in the queue"
    assert bench.text(third, "jobActivity") == "waiting, number 2 in the queue"
    bench.tell(Cancelled(second, 1.0), Finished(first, 1.0))
    assert bench.text(third, "jobActivity") == "waiting, number 1 in the queue"


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (Finished("", 1.0), "finished · 98.22 %  ▲ +1.11 pp"),
        (Finished("", 1.0, stopped_early=True), "stopped early, best kept · 98.22 %  ▲ +1.11 pp"),
        (Failed("", 1.0, "The disk is full.", "errno 28", bug=False), "failed: The disk is full."),
        (Cancelled("", 1.0), "cancelled: nothing of it was kept"),
        (Interrupted("", 1.0), "interrupted: resume it from the history"),
    ],
)
def test_an_ended_job_stays_with_its_outcome_until_dismissed(bench: Bench, end: Event, expected: str) -> None:
    run_id = bench.started("x")
    bench.tell(Measured(run_id, "before", measurement(0.971)), Measured(run_id, "after", measurement(0.982)))
    bench.tell(type(end)(**{**end.__dict__, "run_id": run_id}))
    assert bench.text(run_id, "jobOutcome") == expected
    assert bench.text(run_id, "jobShare") == ""
    assert not bench.strip.row(run_id).findChild(QToolButton, "jobPause").isVisible()
    bench.click(run_id, "jobRemove")
    assert bench.controller.jobs == ()
    assert bench.strip.notice.state == "empty"
    assert bench.runner.calls == [("submit", run_id)]


def test_pause_and_go_on_by_button_and_by_space(bench: Bench) -> None:
    run_id = bench.started("x")
    bench.click(run_id, "jobPause")
    assert bench.text(run_id, "jobActivity") == "Pausing …"
    bench.tell(PausedChanged(run_id, True))
    assert bench.text(run_id, "jobActivity") == "paused · Fine-tune: epoch 1 of 3"
    bench.strip.list.setFocus()
    bench.qtbot.keyClick(bench.strip.list, Qt.Key.Key_Space)
    bench.tell(PausedChanged(run_id, False))
    assert bench.text(run_id, "jobActivity") == "Fine-tune: epoch 1 of 3"
    assert bench.runner.calls[1:] == [("pause", run_id), ("resume", run_id)]


def test_stop_keeps_the_best_and_is_asked_for_once(bench: Bench) -> None:
    run_id = bench.started("x")
    bench.click(run_id, "jobStop")
    assert bench.text(run_id, "jobActivity") == "Stopping, keeping the best …"
    assert not bench.strip.row(run_id).stop.isEnabled()
    bench.controller.stop_selected()
    assert bench.runner.calls[1:] == [("stop", run_id)]


@pytest.mark.parametrize("answer", ["Cancel run", "Let it run"])
def test_cancelling_work_asks_first(bench: Bench, answer: str) -> None:
    run_id = bench.started("x")
    bench.qtbot.keyClick(bench.strip.list, Qt.Key.Key_Delete)
    box = bench.strip.findChild(QMessageBox, "confirmCancel")
    assert "25 %" in box.informativeText()
    (button,) = [button for button in box.findChildren(QPushButton) if button.text() == answer]
    bench.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert bench.runner.calls[1:] == ([("cancel", run_id)] if answer == "Cancel run" else [])


def test_cancelling_a_waiting_job_loses_nothing_and_does_not_ask(bench: Bench) -> None:
    run_id = bench.submit("x")
    bench.controller.cancel_selected()
    assert bench.strip.findChild(QMessageBox, "confirmCancel") is None
    assert bench.runner.calls[1:] == [("cancel", run_id)]
    assert bench.text(run_id, "jobActivity") == "Cancelling …"


def test_details_of_a_failure_can_be_read_and_copied(bench: Bench) -> None:
    run_id = bench.started("x")
    bench.tell(Failed(run_id, 1.0, "Something broke.", "Traceback …", bug=True))
    bench.click(run_id, "jobDetails")
    (report,) = bench.strip.findChildren(ReportWindow)
    assert report.report == "Something broke.\n\nTraceback …"
    report.close()


def test_a_click_selects_and_shows_that_jobs_curves(bench: Bench) -> None:
    first, second = bench.started("a"), bench.submit("b")
    bench.tell(*metrics(first))
    assert bench.strip.current == second
    assert bench.strip.curves.drawn == ()
    bench.qtbot.mouseClick(bench.strip.row(first).name, Qt.MouseButton.LeftButton)
    assert bench.strip.current == first
    assert "loss/train" in bench.strip.curves.drawn
    bench.strip.list.setFocus()
    bench.qtbot.keyClick(bench.strip.list, Qt.Key.Key_Down)
    assert bench.strip.current == second
    assert "waits" in bench.strip.curves.notice.text


def test_an_ended_job_is_shown_in_the_history(bench: Bench) -> None:
    run_id = bench.started("x")
    bench.tell(Finished(run_id, 1.0))
    with bench.qtbot.waitSignal(bench.controller.show_run_requested) as asked:
        bench.click(run_id, "jobShow")
    assert asked.args == [run_id]
    assert bench.state.runs == (run_id,)


@pytest.mark.parametrize("source", [SAMPLE, ModelSource("file", "/models/other.pt")])
def test_the_accuracy_before_is_known_for_the_open_model_only(bench: Bench, source: ModelSource) -> None:
    bench.state.set_model(from_arrays(ModelDescription(source, None, "", (), 0), {}))
    asked = request("x")
    bench.state.set_task(asked.task)
    bench.controller.submit(asked)
    before = measurement(0.971)
    after = Measured(asked.run_id, "after", measurement(0.5))
    bench.tell(Measured(asked.run_id, "before", before), after)
    assert bench.state.accuracy == (before.accuracy if source == SAMPLE else None)


def test_events_of_other_runs_and_notices(bench: Bench) -> None:
    run_id = bench.started("x")
    bench.tell(Progress("unknown", 0.5, "", None), Notice(run_id, "Two images were skipped."))
    assert bench.said[-1] == "“x”: Two images were skipped."
    assert len(bench.controller.jobs) == 1


def test_the_strip_is_usable_when_small(bench: Bench) -> None:
    run_id = bench.started("a run with a name that is much too long for its place")
    bench.strip.resize(760, 150)
    bench.qtbot.wait(1)
    row = bench.strip.row(run_id)
    assert row.width() <= bench.strip.list.viewport().width()
    for button in (row.pause, row.stop, row.remove):
        assert button.isVisible()
        assert row.rect().contains(button.geometry())


@pytest.mark.parametrize(("height", "expected"), [(400, "accuracy (%)"), (124, "%")], ids=["high", "low"])
def test_titles_of_axes_are_shortened_where_they_would_be_cut_off(
    bench: Bench, height: int, expected: str
) -> None:
    run_id = bench.started("prune 80 %")
    bench.tell(*metrics(run_id, epochs=2))
    bench.strip.resize(1200, height)
    QApplication.processEvents()
    plot = bench.strip.findChild(QWidget, "accuracyPlot")
    axis = plot.plot.getAxis("left")  # type: ignore[union-attr]
    assert axis.labelText == expected
    assert axis.label.boundingRect().width() <= axis.size().height() + 4


def test_a_job_that_runs_is_not_said_to_wait(bench: Bench) -> None:
    run_id = bench.submit("measure")
    assert "waits for the jobs before it" in bench.strip.curves.notice.text
    bench.tell(RunStarted(run_id, 0.0, (), None))
    assert bench.strip.curves.notice.text == "The curves of “measure” appear here as soon as it trains."
