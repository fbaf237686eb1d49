"""What recording a live run costs: the time its events take to be written, as a part of the time it trains."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from core.data.spec import TaskSpec
from core.data.split import Split
from core.data.task import Task
from core.events import Event, RunStarted
from core.history.store import open_history
from core.job import JobContext
from core.models.opening import load_module
from core.models.source import parse_source
from core.recipe import Recipe
from core.request import RunRequest
from core.run_state import RunState
from core.steps import FineTuneSettings
from core.training.step import fine_tune

UPDATES = 2_000
BATCHES_A_SECOND = 4
"""The writer waits up to a quarter of a second for further events before it writes them together."""


@pytest.mark.parametrize("network", ["lenet-300-100", "lenet-5"])
def test_recording_a_live_run(network: str, tmp_path: Path, say: Callable[[str], None]) -> None:
    torch.set_num_threads(2)
    generator = torch.Generator().manual_seed(0)

    def split(name: str, count: int) -> Split:
        images = torch.randint(0, 256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
        return Split(name, images, torch.randint(0, 10, (count,), generator=generator), (0.1,), (0.3,))

    names = tuple(str(n) for n in range(10))
    parts = (split("train", 6_000), split("validation", 500), split("test", 500))
    task = Task(TaskSpec("mnist"), "Noise", names, *parts, (0.1,), (0.3,))
    settings = FineTuneSettings(iterations=UPDATES, batch_size=60, keep="last", evaluate_every=100)
    source = parse_source(f"zoo:{network}")
    request = RunRequest(Recipe(steps=(settings,)), source, None)
    loaded = load_module(source)
    state = RunState(request, loaded.module, loaded.description, task, torch.device("cpu"))
    events: list[Event] = []
    context = JobContext(request.run_id, events.append, tmp_path)
    start = time.perf_counter()
    fine_tune(settings, state, context)
    trained = time.perf_counter() - start

    with open_history(tmp_path / "history.db") as store:
        store.add_run(request)
        store.record([RunStarted(request.run_id, 1.0, (), "0" * 64)])
        portions = max(1, round(trained * BATCHES_A_SECOND))
        size = -(-len(events) // portions)
        start = time.perf_counter()
        for first in range(0, len(events), size):
            store.record(events[first : first + size])
        wrote = time.perf_counter() - start
        points = len(store.metrics(request.run_id))
    assert points > 0
    say(
        f"{network}, {UPDATES} updates: trained in {trained:.2f} s; its {points} points take {1e3 * wrote:.1f} ms to "
        f"write in {portions} transactions: {100 * wrote / trained:.2f} % of the training"
    )
