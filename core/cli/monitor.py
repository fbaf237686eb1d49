"""Showing a run while it goes: a progress bar on a terminal, plain lines elsewhere, JSON lines for programs."""

import math
import shutil
import sys
import time
from dataclasses import asdict
from typing import Any, Protocol, TextIO

from core import formatting
from core.cli.tables import to_json
from core.events import Event, LayersMeasured, Measured, MetricPoint, Notice, Progress, StepStarted
from core.measurement.records import LayerStatistics, measurement_to_json

REDRAW_SECONDS = 0.1
PLAIN_STEP = 0.1
"""Plain lines report every so much of the whole run."""
EPOCH_SECONDS = 1.0
"""Epochs that follow each other faster than this do not all get a line."""


class Monitor(Protocol):
    """Shows events as they come."""

    def show(self, event: Event) -> None:
        """Take one event."""

    def say(self, text: str) -> None:
        """Tell the user one sentence at once."""

    def close(self) -> None:
        """The run is over; leave the terminal tidy."""


def make_monitor(as_json: bool) -> Monitor:
    """JSON lines on standard output, or progress on standard error, as a bar where that is a terminal."""
    if as_json:
        return JsonLines(sys.stdout, sys.stderr)
    return Bar(sys.stderr) if sys.stderr.isatty() else PlainLines(sys.stderr)


class JsonLines:
    """One JSON object a line, its kind in "event"."""

    def __init__(self, stream: TextIO, messages: TextIO) -> None:
        self._stream = stream
        self._messages = messages

    def show(self, event: Event) -> None:
        """Write the event."""
        self.write(event_to_json(event))

    def write(self, data: dict[str, Any]) -> None:
        """Write any object as one line."""
        print(to_json(data, indent=None), file=self._stream, flush=True)

    def say(self, text: str) -> None:
        """On standard error, so that standard output stays JSON."""
        print(text, file=self._messages, flush=True)

    def close(self) -> None:
        """Nothing to tidy."""


class Lines:
    """Turns events into the lines that stay, and leaves out epochs that come too fast to be read."""

    def __init__(self) -> None:
        self._last_epoch = -math.inf

    def line_of(self, event: Event) -> str | None:
        """The line that an event leaves behind, or None if it is only of the moment."""
        match event:
            case StepStarted():
                return f"Step {event.index + 1} of {event.count}: {event.title}"
            case MetricPoint(split="validation", metric="accuracy"):
                now = time.monotonic()
                if now - self._last_epoch < EPOCH_SECONDS:
                    return None
                self._last_epoch = now
                return f"  epoch {event.epoch:g}: validation accuracy {formatting.percent(event.value)}"
            case Notice():
                return event.text
            case _:
                return None


class PlainLines:
    """One line for each step, each tenth of the run and each validation: readable in a log file."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines = Lines()
        self._next = 0.0

    def show(self, event: Event) -> None:
        """Write a line if the event deserves one."""
        match event:
            case Progress() if event.fraction >= self._next:
                self._next = (int(event.fraction / PLAIN_STEP) + 1) * PLAIN_STEP
                left = (
                    "" if event.seconds_left is None else f", {formatting.duration(event.seconds_left)} left"
                )
                self.say(f"{100 * event.fraction:3.0f} %  {event.activity}{left}")
            case _ if (text := self._lines.line_of(event)) is not None:
                self.say(text)

    def say(self, text: str) -> None:
        """Write a line."""
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to tidy."""


class Bar:
    """One line at the bottom of a terminal that is drawn again and again, with finished things above it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines = Lines()
        self._drawn = False
        self._last = 0.0
        self._progress: Progress | None = None
        self._figures: dict[str, str] = {}
        blocks = "█░"
        try:
            blocks.encode(stream.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            blocks = "#-"
        self._blocks = blocks

    def show(self, event: Event) -> None:
        """Redraw, or write a line above the bar."""
        if isinstance(event, Progress):
            self._progress = event
        match event:
            case MetricPoint(split="train", metric="loss"):
                self._figures["loss"] = f"loss {formatting.significant(event.value)}"
            case MetricPoint(split="validation", metric="accuracy"):
                self._figures["accuracy"] = f"val {formatting.percent(event.value)}"
        if (text := self._lines.line_of(event)) is not None:
            self.say(text)
        now = time.monotonic()
        if self._progress is not None and now - self._last >= REDRAW_SECONDS:
            self._last = now
            self._draw(self._progress)

    def say(self, text: str) -> None:
        """Write a line above the bar."""
        self._erase()
        print(text, file=self._stream, flush=True)
        self._last = 0.0

    def close(self) -> None:
        """Take the bar away."""
        self._erase()
        self._stream.flush()

    def _draw(self, progress: Progress) -> None:
        width = shutil.get_terminal_size().columns - 1
        size = max(10, min(40, width // 3))
        full = int(progress.fraction * size)
        bar = self._blocks[0] * full + self._blocks[1] * (size - full)
        parts = [f"{bar} {100 * progress.fraction:3.0f} %", progress.activity]
        if progress.seconds_left is not None:
            parts.append(f"{formatting.duration(progress.seconds_left)} left")
        parts += self._figures.values()
        line = "  ".join(parts)
        self._erase()
        self._stream.write(line if len(line) <= width else line[: width - 1] + "…")
        self._stream.flush()
        self._drawn = True

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write("\r\x1b[2K")
            self._drawn = False


def event_to_json(event: Event) -> dict[str, Any]:
    """A JSON-ready dict of an event, its kind in "event"; measurements carry their derived figures."""
    data = {"event": type(event).__name__, **asdict(event)}
    match event:
        case Measured():
            data["measurement"] = measurement_to_json(event.measurement)
        case LayersMeasured():
            data["layers"] = [layer_to_json(layer) for layer in event.layers]
    if "environment" in data:
        data["environment"] = dict(data["environment"])
    return data


def layer_to_json(layer: LayerStatistics) -> dict[str, Any]:
    """A JSON-ready dict of one layer's statistics with its sparsity."""
    return {**asdict(layer), "sparsity": layer.sparsity}
