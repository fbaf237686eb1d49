"""The writer: batches, outages, bugs, and its end. Real time is never asserted; fakes stand in for slow stores."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.errors import StudioError
from core.events import Event, Finished, PausedChanged, Progress, StepStarted
from core.history.store import open_history
from core.history.writer import HistoryWriter

from .history_samples import FakeStore, points, request, started, whole_run


def test_a_run_written_in_the_background_is_whole(tmp_path: Path) -> None:
    changed: list[frozenset[str]] = []
    asked = request()
    with open_history(tmp_path / "history.db") as store:
        store.add_run(asked)
        writer = HistoryWriter(store, changed.append)
        for event in whole_run(asked.run_id):
            writer.put(event)
        writer.close()
        assert store.run(asked.run_id).status == "finished"
        assert len(store.metrics(asked.run_id)) == 6
    assert changed
    assert set(changed) == {frozenset({asked.run_id})}


def test_events_keep_their_order_and_gather_into_batches() -> None:
    store = FakeStore()
    gate = threading.Event()
    store.fail = lambda events: (gate.wait(10), None)[1]
    writer = HistoryWriter(store, interval=0.0)
    events = points("r", 1_000)
    for event in events:
        writer.put(event)
    gate.set()
    writer.close()
    assert store.events == events
    # While the first batch was held up, all the others gathered.
    assert len(store.batches) <= 3


def test_what_the_history_does_not_keep_is_not_written() -> None:
    store = FakeStore()
    changed: list[frozenset[str]] = []
    writer = HistoryWriter(store, changed.append)
    writer.put(Progress("r", 0.5, "Fine-tune", None))
    writer.put(StepStarted("r", 0, 1, "Prune"))
    writer.put(PausedChanged("r", True))
    writer.close()
    assert store.batches == []
    assert changed == []


def test_flush_waits_for_what_was_put() -> None:
    store = FakeStore()
    writer = HistoryWriter(store, interval=3600.0)
    for round_number in range(3):
        writer.put(started(f"r{round_number}"))
        assert writer.flush()
        assert len(store.events) == round_number + 1
    writer.close()


def test_flush_gives_up_after_its_time() -> None:
    store = FakeStore()
    gate = threading.Event()
    store.fail = lambda events: (gate.wait(10), None)[1]
    writer = HistoryWriter(store)
    writer.put(started("r"))
    assert not writer.flush(timeout=0.01)
    gate.set()
    assert writer.flush()
    writer.close()


def test_many_threads_may_put_at_once() -> None:
    store = FakeStore()
    writer = HistoryWriter(store, interval=0.001)

    def work(run_id: str) -> None:
        for event in points(run_id, 500):
            writer.put(event)

    threads = [threading.Thread(target=work, args=(f"r{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    for n in range(6):
        assert [event for event in store.events if event.run_id == f"r{n}"] == points(f"r{n}", 500)


def test_an_outage_is_reported_once_and_nothing_is_lost() -> None:
    disk_full = threading.Event()
    attempts = threading.Semaphore(0)
    problems: list[str] = []

    def fail(events: Sequence[Event]) -> None:
        if disk_full.is_set():
            attempts.release()
            raise StudioError("The disk is full.")

    store = FakeStore(fail)
    writer = HistoryWriter(store, None, lambda problem: problems.append(problem.message), interval=0.001)
    events = points("r", 50)
    for outage in (1, 2):
        disk_full.set()
        for event in events[25 * (outage - 1) : 25 * outage]:
            writer.put(event)
        for _ in range(3):
            assert attempts.acquire(timeout=10)
        disk_full.clear()
        assert writer.flush()
        assert problems == ["The disk is full."] * outage
    writer.close()
    assert store.events == events


def test_what_could_not_be_written_in_the_end_is_told() -> None:
    def fail(events: Sequence[Event]) -> None:
        raise StudioError("The disk is full.")

    problems: list[StudioError] = []
    writer = HistoryWriter(FakeStore(fail), None, problems.append, interval=0.001)
    for event in points("r", 5):
        writer.put(event)
    writer.close()
    assert [problem.message for problem in problems] == [
        "The disk is full.",
        "The last 5 events were not kept, because the history could still not be written when the studio ended.",
    ]
    assert writer.flush()


def test_a_bug_in_one_event_costs_only_that_event() -> None:
    def fail(events: Sequence[Event]) -> None:
        if any(isinstance(event, Finished) for event in events):
            raise TypeError("a bug")

    problems: list[StudioError] = []
    store = FakeStore(fail)
    writer = HistoryWriter(store, None, problems.append, interval=3600.0)
    first, rest = points("r", 3), points("r", 3, first=3)
    for event in [*first, Finished("r", 1.0), *rest]:
        writer.put(event)
    writer.close()
    assert store.events == first + rest
    (problem,) = problems
    assert problem.message.startswith("An event of run r (Finished) could not be kept in the history")
    assert "TypeError: a bug" in problem.details


def test_a_listeners_bug_does_not_end_the_writer(caplog: pytest.LogCaptureFixture) -> None:
    def broken(changed: frozenset[str]) -> None:
        raise RuntimeError("a listener's bug")

    store = FakeStore()
    writer = HistoryWriter(store, broken)
    with caplog.at_level(logging.ERROR):
        writer.put(started("a"))
        assert writer.flush()
        writer.put(started("b"))
        writer.close()
    assert [event.run_id for event in store.events] == ["a", "b"]
    assert "A listener of the history failed" in caplog.text
    caplog.clear()


def test_closing_twice_is_fine_and_later_events_are_ignored() -> None:
    store = FakeStore()
    writer = HistoryWriter(store)
    writer.put(started("a"))
    writer.close()
    writer.put(started("b"))
    writer.close()
    assert [event.run_id for event in store.events] == ["a"]
    assert not any(thread.name == "history-writer" for thread in threading.enumerate())


def test_the_history_may_be_closed_while_the_writer_still_waits(tmp_path: Path) -> None:
    problems: list[StudioError] = []
    store = open_history(tmp_path / "history.db")
    store.close()
    writer = HistoryWriter(store, None, problems.append, interval=0.001)
    writer.put(started("a"))
    writer.close()
    assert "is already closed" in problems[0].message
