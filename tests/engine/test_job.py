"""The rope between a job and its watcher."""

import threading
from pathlib import Path

import pytest

from core.events import PausedChanged, Progress
from core.job import JobCancelled, JobContext, JobInterrupted


def context(events: list[object]) -> JobContext:
    return JobContext("r", events.append, Path())


def test_progress_never_falls_and_ends_at_one() -> None:
    events: list[object] = []
    job = context(events)
    job.plan_work(10)
    for amount in (1, 4, 5, 3):
        job.advance(amount, "x")
    assert [e.fraction for e in events if isinstance(e, Progress)] == [0.1, 0.5, 1.0, 1.0]


def test_skipped_work_is_not_waited_for() -> None:
    events: list[object] = []
    job = context(events)
    job.plan_work(10)
    job.advance(2, "x")
    job.skip(6)
    job.advance(2, "x")
    assert [e.fraction for e in events if isinstance(e, Progress)] == [0.2, 1.0]


def test_a_resumed_run_starts_where_it_was() -> None:
    events: list[object] = []
    job = context(events)
    job.plan_work(10, done=5)
    job.advance(0, "x")
    assert events == [Progress("r", 0.5, "x", None)]


def test_requests_take_effect_at_the_next_checkpoint() -> None:
    job = context([])
    job.checkpoint()
    job.request_interrupt()
    with pytest.raises(JobInterrupted):
        job.checkpoint()
    job.request_cancel()
    with pytest.raises(JobCancelled):
        job.checkpoint()


@pytest.mark.parametrize(("act", "ends"), [("resume", None), ("stop", None), ("cancel", JobCancelled)])
def test_a_paused_job_waits_until_something_is_asked(act: str, ends: type[BaseException] | None) -> None:
    events: list[object] = []
    job = context(events)
    job.request_pause()
    outcome: list[BaseException | None] = []

    def work() -> None:
        try:
            job.checkpoint()
            outcome.append(None)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    assert events == [PausedChanged("r", True)]
    getattr(job, f"request_{act}")()
    thread.join(5)
    assert [type(error) if error else None for error in outcome] == [ends]
    assert events[-1] == PausedChanged("r", False)
    assert job.stop_requested == (act == "stop")
    assert job.active_seconds < 0.05
