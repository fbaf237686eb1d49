"""Run as a process of its own: what the window does while it starts and while a job trains; prints one line of JSON.

`start T0 PROFILE`: seconds from T0 (the parent's clock) to the first paint and to the first histogram.
`window NETWORK PROFILE`: a job trains for some seconds in the studio; a 5-ms timer in the event loop notes its gaps.
`alone NETWORK`: the same training in a process without a window.
"""

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import json
import time
from pathlib import Path
from typing import Any

SECONDS = 8.0
WARMUP_SECONDS = 2.0
# More updates than fit into the time, and points of the curve often enough to tell the throughput.
EXAMPLES = {"lenet-300-100": 12_000, "resnet20": 6_000}
EPOCHS = {"lenet-300-100": 300, "resnet20": 20}
NETWORK = sys.argv[2] if len(sys.argv) > 2 else ""


def train(request: Any, context: Any) -> None:
    """The network at batch 60 for a fixed time; the throughput goes to `train.result`, in updates per second."""
    import torch

    from core.data.spec import TaskSpec
    from core.data.split import Split
    from core.data.task import Task
    from core.device import use_threads
    from core.events import Finished, MetricPoint
    from core.models.description import ModelDescription
    from core.models.modules import architecture_of, build_module
    from core.models.source import SAMPLE
    from core.recipe import Recipe
    from core.request import RunRequest
    from core.run_state import RunState
    from core.steps import FineTuneSettings
    from core.training.step import fine_tune

    use_threads(None)
    generator = torch.Generator().manual_seed(0)
    architecture = architecture_of(f"zoo:{NETWORK}")
    count = EXAMPLES[NETWORK]
    images = torch.randint(0, 256, (count, *architecture.input_shape), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (count,), generator=generator)
    channels = architecture.input_shape[0]
    split = Split("train", images, labels, (0.13,) * channels, (0.31,) * channels)
    tiny = Split("validation", images[:60], split.labels[:60], split.mean, split.std)
    task = Task(TaskSpec("mnist"), "MNIST", tuple("0123456789"), split, tiny, tiny, split.mean, split.std)
    state = RunState(
        RunRequest(Recipe(), SAMPLE, None),
        build_module(architecture.name),
        ModelDescription(SAMPLE, None, "", (), 0),
        task,
        torch.device("cpu"),
    )
    split.normalised()
    # CPU time tells what the training got done whatever else the machine is busy with; wall time what a user sees.
    marks: list[tuple[float, int]] = []
    began = time.perf_counter()
    emit = context.emit

    def watch(event: Any) -> None:
        if isinstance(event, MetricPoint) and (event.split, event.metric) == ("train", "loss"):
            now = time.perf_counter() - began
            if now >= WARMUP_SECONDS:
                marks.append((now, event.iteration))
            if now >= WARMUP_SECONDS + SECONDS:
                context.request_stop()
        emit(event)

    context.emit = watch
    fine_tune(FineTuneSettings(epochs=EPOCHS[NETWORK], batch_size=60, keep="last"), state, context)
    (first, start), (last, end) = marks[0], marks[-1]
    train.result = (end - start) / (last - first)  # type: ignore[attr-defined]
    emit(Finished(context.run_id, time.time()))


def alone() -> dict[str, float]:
    import tempfile

    from core.job import JobContext

    with tempfile.TemporaryDirectory() as folder:
        train(None, JobContext("run", lambda event: None, Path(folder)))
    return {"updates_per_second": train.result}  # type: ignore[attr-defined]


def window(profile: str) -> dict[str, float]:
    from PySide6.QtCore import Qt, QTimer
    from PySide6.QtWidgets import QApplication

    from core.data.spec import TaskSpec
    from core.events import Finished
    from core.models.source import SAMPLE
    from core.recipe import Recipe
    from core.request import RunRequest
    from core.steps import FineTuneSettings
    from studio.app import StartOptions, build

    studio = build(StartOptions(profile=profile, size="1440x900"))
    app = QApplication.instance()
    assert app is not None
    gaps: list[float] = []
    last = [0.0]
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(5)

    def tick() -> None:
        now = time.perf_counter()
        gaps.append(now - last[0])
        last[0] = now

    timer.timeout.connect(tick)

    def begin_to_count() -> None:
        last[0] = time.perf_counter()
        timer.start()

    def start_job() -> None:
        assert studio.runner is not None
        studio.runner._run = train
        studio.runner.bridge.events.connect(look_for_end)
        studio.parts.workspaces.compress()
        studio.runner.submit(RunRequest(Recipe(steps=(FineTuneSettings(),)), SAMPLE, TaskSpec("digits")))
        # torch and the data come first; the time that counts begins when training is under way.
        QTimer.singleShot(int(1000 * (WARMUP_SECONDS + 1)), begin_to_count)

    def look_for_end(events: Any) -> None:
        if any(isinstance(event, Finished) for event in events):
            timer.stop()
            app.quit()

    studio.ready.connect(lambda: QTimer.singleShot(5000, start_job))
    studio.start()
    app.exec()
    studio.close()
    gaps.sort()
    return {
        "updates_per_second": train.result,  # type: ignore[attr-defined]
        "p99_ms": 1e3 * gaps[int(0.99 * len(gaps))],
        "max_ms": 1e3 * gaps[-1],
        "ticks": len(gaps),
    }


def start(began: float, profile: str) -> dict[str, float]:
    from PySide6.QtWidgets import QApplication

    from studio.app import StartOptions, build

    found: dict[str, float] = {}
    studio = build(StartOptions(profile=profile, size="1440x900"))
    app = QApplication.instance()
    assert app is not None

    def painted() -> None:
        found.setdefault("painted_s", time.time() - began)

    def look() -> None:
        from studio.views.inspector import Inspector

        inspector = studio.window.findChild(Inspector)
        if "usable_s" not in found and inspector is not None and "conv1" in inspector.heading.text():
            found["usable_s"] = time.time() - began
            found["torch_imported"] = float("torch" in sys.modules)
            app.quit()

    from PySide6.QtCore import QTimer

    timer = QTimer()
    timer.timeout.connect(look)
    studio.window.painted.connect(painted)
    studio.start()
    timer.start(5)
    app.exec()
    studio.close()
    return found


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "start":
        result = start(float(arguments[0]), arguments[1])
    elif what == "window":
        result = window(arguments[1])
    else:
        result = alone()
    print(json.dumps(result), flush=True)
    os._exit(0)
