"""The runner and the bridge: order, exactly one end, what pause, stop, cancel and close do, and no flood of signals."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from core.errors import StudioError
from core.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Interrupted,
    MetricPoint,
    PausedChanged,
    Progress,
    RunStarted,
)
from core.job import JobContext
from core.request import RunRequest
from studio.jobs.bridge import END_EVENTS, Bridge, coalesced
from studio.jobs.mailbox import Mailbox
from studio.jobs.runner import JobRunner

from .fake_runs import FakeStore, FakeWriter, finish, request


class Bench:
    """A runner with fakes around it, and everything that reached the GUI thread."""

    def __init__(self, mailbox: Mailbox, folder: Path) -> None:
        self.mailbox = mailbox
        self.writer = FakeWriter()
        self.store = FakeStore(folder=folder)
        self.seen: list[Event] = []
        self.runners: list[JobRunner] = []

    def runner(self, run: Callable[[RunRequest, JobContext], None]) -> JobRunner:
        runner = JobRunner(self.mailbox, self.writer, self.store, run)
        runner.bridge.events.connect(self.seen.extend)
        self.runners.append(runner)
        return runner

    def of(self, run_id: str) -> list[type]:
        return [type(event) for event in self.seen if event.run_id == run_id]

    def ends(self, run_id: str) -> list[Event]:
        return [event for event in self.seen if event.run_id == run_id and isinstance(event, END_EVENTS)]


@pytest.fixture
def bench(mailbox: Mailbox, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(mailbox, tmp_path)
    yield made
    for runner in made.runners:
        runner.close()


class Steps:
    """A job that works until told otherwise, one checkpoint at a time."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.worked = 0

    def __call__(self, request: RunRequest, context: JobContext) -> None:
        context.emit(RunStarted(context.run_id, 0.0, (), None, context.resume))
        while not context.stop_requested:
            self.worked += 1
            self.started.set()
            context.checkpoint()
            threading.Event().wait(0.002)
        context.emit(Finished(context.run_id, 1.0, stopped_early=True))


def test_runs_follow_each_other_in_order_and_are_recorded(bench: Bench, qtbot: QtBot) -> None:
    order: list[str] = []

    def run(request: RunRequest, context: JobContext) -> None:
        order.append(request.name)
        assert context.folder.is_dir()
        finish(request, context)

    runner = bench.runner(run)
    recorded: list[str] = []
    runner.bridge.recorded.connect(recorded.append)
    requests = [request(name) for name in "abc"]
    for each in requests:
        runner.submit(each)
    qtbot.waitUntil(lambda: all(bench.ends(each.run_id) for each in requests))
    assert order == ["a", "b", "c"]
    assert bench.store.added == [each.run_id for each in requests]
    qtbot.waitUntil(lambda: recorded == bench.store.added)
    assert bench.writer.events == bench.seen
    assert runner.unfinished == ()
    qtbot.waitUntil(lambda: not runner.bridge.active)


@pytest.mark.parametrize("error", [ValueError("broken"), MemoryError(), KeyboardInterrupt()])
def test_an_exception_is_a_bug_with_a_report(bench: Bench, qtbot: QtBot, error: BaseException) -> None:
    def run(request: RunRequest, context: JobContext) -> None:
        raise error

    runner = bench.runner(run)
    broken, next_one = request("broken"), request("next")
    runner.submit(broken)
    runner.submit(next_one)
    qtbot.waitUntil(lambda: bool(bench.ends(broken.run_id) and bench.ends(next_one.run_id)))
    (end,) = bench.ends(broken.run_id)
    assert isinstance(end, Failed)
    assert end.bug
    assert type(error).__name__ in end.message
    assert "Traceback" in end.details


def test_a_studio_error_is_told_in_its_own_words(bench: Bench, qtbot: QtBot) -> None:
    def run(request: RunRequest, context: JobContext) -> None:
        raise StudioError("x.pt is empty: choose another file.", details="0 bytes")

    asked = request()
    bench.runner(run).submit(asked)
    qtbot.waitUntil(lambda: bool(bench.ends(asked.run_id)))
    end = bench.ends(asked.run_id)[0]
    assert isinstance(end, Failed)
    assert (end.message, end.details, end.bug) == ("x.pt is empty: choose another file.", "0 bytes", False)


def test_an_engine_that_ends_twice_or_never_still_gives_one_end(bench: Bench, qtbot: QtBot) -> None:
    def run(request: RunRequest, context: JobContext) -> None:
        if request.name == "twice":
            finish(request, context)
            context.emit(Progress(context.run_id, 0.5, "after the end", None))
            context.emit(Cancelled(context.run_id, 2.0))

    runner = bench.runner(run)
    twice, never = request("twice"), request("never")
    runner.submit(twice)
    runner.submit(never)
    qtbot.waitUntil(lambda: bool(bench.ends(never.run_id)))
    assert bench.of(twice.run_id) == [Finished]
    assert bench.of(never.run_id) == [Failed]


def test_what_breaks_after_the_end_is_logged_and_changes_nothing(
    bench: Bench, qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    def run(request: RunRequest, context: JobContext) -> None:
        finish(request, context)
        raise OSError("too late")

    runner = bench.runner(run)
    late, after = request("late"), request("after")
    runner.submit(late)
    runner.submit(after)
    qtbot.waitUntil(lambda: bool(bench.ends(after.run_id)))
    assert bench.of(late.run_id) == [Finished]
    assert "too late" in caplog.text


def test_pause_resume_and_stop(bench: Bench, qtbot: QtBot) -> None:
    steps = Steps()
    runner = bench.runner(steps)
    asked = request()
    runner.submit(asked)
    assert steps.started.wait(5)
    runner.pause(asked.run_id)
    qtbot.waitUntil(lambda: PausedChanged(asked.run_id, True) in bench.seen)
    worked = steps.worked
    qtbot.wait(20)
    assert steps.worked == worked
    runner.resume(asked.run_id)
    qtbot.waitUntil(lambda: steps.worked > worked)
    runner.stop(asked.run_id)
    qtbot.waitUntil(lambda: bool(bench.ends(asked.run_id)))
    assert bench.of(asked.run_id) == [RunStarted, PausedChanged, PausedChanged, Finished]


def test_cancel_a_running_and_a_paused_job(bench: Bench, qtbot: QtBot) -> None:
    for pause in (False, True):
        steps = Steps()
        runner = bench.runner(steps)
        asked = request()
        runner.submit(asked)
        assert steps.started.wait(5)
        if pause:
            runner.pause(asked.run_id)
            qtbot.waitUntil(lambda asked=asked: PausedChanged(asked.run_id, True) in bench.seen)
        runner.cancel(asked.run_id)
        qtbot.waitUntil(lambda asked=asked: bool(bench.ends(asked.run_id)))
        assert bench.of(asked.run_id)[-1] is Cancelled


def test_a_waiting_job_is_recorded_at_once_and_can_be_held_cancelled_and_stopped(
    bench: Bench, qtbot: QtBot
) -> None:
    steps = Steps()
    runner = bench.runner(steps)
    first, held, cancelled, stopped, last = (request(name) for name in ("1", "held", "c", "s", "last"))
    for each in (first, held, cancelled, stopped, last):
        runner.submit(each)
    assert steps.started.wait(5)
    qtbot.waitUntil(lambda: len(bench.store.added) == 5)
    runner.pause(held.run_id)
    runner.cancel(cancelled.run_id)
    runner.stop(stopped.run_id)
    qtbot.waitUntil(lambda: bool(bench.ends(cancelled.run_id) and bench.ends(stopped.run_id)))
    assert bench.of(cancelled.run_id) == bench.of(stopped.run_id) == [Cancelled]
    assert runner.unfinished == (first.run_id, held.run_id, last.run_id)
    runner.stop(first.run_id)
    # The held one is passed over.
    qtbot.waitUntil(lambda: RunStarted in bench.of(last.run_id))
    assert bench.of(held.run_id) == [PausedChanged]
    runner.resume(held.run_id)
    runner.stop(last.run_id)
    qtbot.waitUntil(lambda: RunStarted in bench.of(held.run_id))


def test_the_same_run_is_not_queued_twice(bench: Bench) -> None:
    runner = bench.runner(Steps())
    asked = request("twin")
    runner.submit(asked)
    with pytest.raises(StudioError, match="twin"):
        runner.submit(asked)


def test_close_interrupts_the_running_job_and_the_waiting_ones(bench: Bench) -> None:
    steps = Steps()
    runner = bench.runner(steps)
    running, waiting, held = request(), request(), request()
    for each in (running, waiting, held):
        runner.submit(each)
    runner.pause(held.run_id)
    assert steps.started.wait(5)
    runner.close()
    for each in (running, waiting, held):
        assert [type(event) for event in bench.ends(each.run_id)] == [Interrupted]
    with pytest.raises(StudioError, match="closing"):
        runner.submit(request())


def test_an_interrupted_run_is_resumed_under_its_own_name(bench: Bench, qtbot: QtBot) -> None:
    resumed: list[bool] = []

    def run(request: RunRequest, context: JobContext) -> None:
        resumed.append(context.resume)
        finish(request, context)

    asked = request()
    runner = bench.runner(run)
    runner.submit(asked, resume=True)
    qtbot.waitUntil(lambda: bool(bench.ends(asked.run_id)))
    assert resumed == [True]


def test_a_history_that_cannot_take_the_run_fails_it_in_one_sentence(bench: Bench, qtbot: QtBot) -> None:
    def refuse(request: RunRequest) -> None:
        raise StudioError("runs.db cannot be written: the disk is full.")

    bench.store.add_run = refuse  # type: ignore[method-assign]
    asked = request()
    bench.runner(finish).submit(asked)
    qtbot.waitUntil(lambda: bool(bench.ends(asked.run_id)))
    end = bench.ends(asked.run_id)[0]
    assert isinstance(end, Failed)
    assert "disk is full" in end.message
    assert bench.writer.events == []


def test_coalescing_keeps_order_and_the_newest_progress_of_each_run() -> None:
    events = (
        RunStarted("a", 0.0, (), None),
        Progress("a", 0.1, "", None),
        Progress("b", 0.2, "", None),
        MetricPoint("a", 0, 0.5, 1, "train", "loss", 1.0, 0.1),
        Progress("a", 0.3, "", None),
        MetricPoint("a", 0, 1.0, 2, "train", "loss", 0.5, 0.2),
    )
    assert coalesced(events) == (events[0], events[2], events[3], events[4], events[5])


def test_five_thousand_events_are_a_few_signals(mailbox: Mailbox, qtbot: QtBot) -> None:
    bridge = Bridge(mailbox)
    batches: list[tuple[Event, ...]] = []
    bridge.events.connect(batches.append)

    def flood() -> None:
        for n in range(4999):
            bridge.put(Progress("a", n / 5000, "", None))
            if n % 100 == 0:
                bridge.put(MetricPoint("a", 0, n, n, "train", "loss", 1.0, 0.0))
        bridge.put(Finished("a", 1.0))

    # The GUI thread does not come round while the flood lasts, as when it is busy painting.
    thread = threading.Thread(target=flood)
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: bool(batches) and isinstance(batches[-1][-1], Finished))
    assert len(batches) == 1
    assert sum(isinstance(event, Progress) for event in batches[0]) == 1
    assert sum(isinstance(event, MetricPoint) for event in batches[0]) == 50
    assert not bridge.active
    # It wakes again for the next run.
    bridge.put(RunStarted("b", 0.0, (), None))
    qtbot.waitUntil(lambda: len(batches) == 2)
    assert bridge.active
    bridge.close()
