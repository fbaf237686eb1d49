"""The commands `run` and `evaluate`: the pipeline in this very thread, with its events shown and recorded."""

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from core.cli.monitor import JsonLines, Monitor, make_monitor
from core.cli.outcome import Outcome, check_output_folder, copy_artifacts, measurement_table, protocol_lines
from core.cli.requests import check_resumable, check_resume_options, requested_evaluation, requested_run
from core.cli.signals import Interruption
from core.cli.tables import to_json
from core.errors import StudioError
from core.events import Cancelled, Event, Failed, Interrupted
from core.job import JobContext
from core.request import RunRequest

if TYPE_CHECKING:
    from core.history.store import HistoryStore

DEFECT, CANCELLED, ENDED = 1, 130, 143


def run_recipe(options: argparse.Namespace) -> int:
    """The command `run`."""
    if options.resume is not None:
        check_resume_options(options)
    out = None if options.out is None else Path(options.out).expanduser()
    request = requested_run(options) if options.resume is None else None
    if out is not None:
        check_output_folder(out)
    monitor = make_monitor(options.json)
    with _place(request, options, monitor) as (request, number, folder, record, settle):
        outcome = Outcome(request)
        outcome.number = number
        monitor.say(_headline(request, number)) if not options.json else None
        _carry_out(
            request,
            folder,
            (monitor.show, outcome.take, record),
            monitor,
            resume=options.resume is not None,
            settle=settle,
        )
        files = [] if out is None or outcome.after is None else copy_artifacts(outcome, out)
        if options.no_history and out is None:
            # The run's folder was a temporary one and goes with its files.
            outcome.artifacts = []
    if isinstance(monitor, JsonLines):
        monitor.write({"event": "Result", **outcome.to_json()})
    elif outcome.end is not None and not isinstance(outcome.end, Failed | Cancelled | Interrupted):
        _tell(outcome, files)
    return _exit_code(outcome)


def evaluate(options: argparse.Namespace) -> int:
    """The command `evaluate`; nothing is recorded."""
    request = requested_evaluation(options)
    monitor = make_monitor(False) if not options.json else _Silent()
    outcome = Outcome(request)
    with tempfile.TemporaryDirectory(prefix="compression-studio-") as folder:
        _carry_out(request, Path(folder), (monitor.show, outcome.take), monitor, keeps_best=False)
    code = _exit_code(outcome)
    if code == 0 and outcome.before is not None:
        accuracy = outcome.before.accuracy
        if accuracy is not None and not math.isfinite(accuracy.loss):
            raise StudioError(
                f"{request.source.title} answers with NaN or infinity, so its accuracy means nothing: see which layer "
                f"is damaged with compression-studio inspect {request.source.to_text()}."
            )
        if options.json:
            data = outcome.to_json()
            dropped = ("run_id", "number", "stopped_early", "error", "recipe", "after", "artifacts")
            data["measurement"] = data.pop("before")
            data["layers"] = data["layers"].get("before", [])
            print(to_json({key: value for key, value in data.items() if key not in dropped}))
        else:
            assert request.task is not None
            print(f"{request.source.title} on {request.task.title}\n")
            print(measurement_table(outcome.before, None))
            print("\n" + "\n".join(protocol_lines(outcome.before)))
    return code


class _Silent:
    """Shows nothing of a run; for programs that want one answer."""

    def show(self, event: Event) -> None:
        """Ignore it."""

    def say(self, text: str) -> None:
        """On standard error."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to tidy."""


def _carry_out(
    request: RunRequest,
    folder: Path,
    listeners: tuple[Callable[[Event], None], ...],
    monitor: Monitor,
    *,
    resume: bool = False,
    settle: Callable[[], object] | None = None,
    keeps_best: bool = True,
) -> None:
    def emit(event: Event) -> None:
        for listener in listeners:
            listener(event)

    context = JobContext(request.run_id, emit, folder, resume=resume, settle=settle)
    try:
        with Interruption(context, monitor.say, keeps_best=keeps_best):
            from core.pipeline import run

            run(request, context)
    finally:
        monitor.close()


@contextmanager
def _place(
    request: RunRequest | None, options: argparse.Namespace, monitor: Monitor
) -> Iterator[tuple[RunRequest, int | None, Path, Callable[[Event], None], Callable[[], object]]]:
    """The request, the run's number, its folder, where its events are recorded, and what waits until they are."""
    if options.no_history:
        assert request is not None
        with tempfile.TemporaryDirectory(prefix="compression-studio-") as temporary:
            yield request, None, Path(temporary), _nowhere, _nothing
        return

    from core.history.store import open_history
    from core.history.writer import HistoryWriter

    def problem(error: StudioError) -> None:
        monitor.say(f"The history: {error.message}")

    with open_history(options.db) as store:
        request = _resumed(store, options.resume[0]) if request is None else request
        # Imported (torch takes seconds) between the checks that are quick and the entry in the history.
        import core.pipeline  # noqa: F401

        record = store.add_run(request)
        folder = store.run_folder(request.run_id)
        _make_folder(folder)
        writer = HistoryWriter(store, on_problem=problem)
        try:
            yield request, record.number, folder, writer.put, writer.flush
        finally:
            writer.close()


def _resumed(store: "HistoryStore", name: str) -> RunRequest:
    record = store.run(name)
    check_resumable(record)
    return store.request_of(record.run_id)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudioError(
            f"{folder} cannot be made ({error.strerror}): choose another database with --db."
        ) from error


def _nowhere(event: Event) -> None:
    """Not recorded."""


def _nothing() -> None:
    """Nothing to wait for."""


def _headline(request: RunRequest, number: int | None) -> str:
    parts = [f"{request.title} on {request.source.title}"]
    if request.task is not None:
        parts.append(request.task.title)
    parts.append(f"seed {request.seed}")
    if number is not None:
        parts.append(f"run {number}")
    return " · ".join(parts)


def _tell(outcome: Outcome, files: list[Path]) -> None:
    print()
    print(measurement_table(outcome.before, outcome.after))
    measured = outcome.after or outcome.before
    if measured is not None:
        print("\n" + "\n".join(protocol_lines(measured)))
    for file in files:
        print(f"Written: {file}")
    if not files:
        for artifact in outcome.artifacts:
            if artifact.kind == "model" and outcome.number is not None:
                print(f"Written: {artifact.path}")
    if outcome.number is not None:
        print(f"Recorded as run {outcome.number}.")


def _exit_code(outcome: Outcome) -> int:
    """The exit code of an outcome.

    Raises:
        StudioError: if the run failed with something that the user can act on.
    """
    match outcome.end:
        case Failed(bug=True) as failed:
            print(f"{failed.details}\ncompression-studio: {failed.message}", file=sys.stderr)
            return DEFECT
        case Failed() as failed:
            raise StudioError(failed.message, details=failed.details)
        case Cancelled():
            print("compression-studio: cancelled; nothing was kept.", file=sys.stderr)
            return CANCELLED
        case Interrupted():
            how = (
                ""
                if outcome.number is None
                else f"; go on with: compression-studio run --resume {outcome.number}"
            )
            print(f"compression-studio: interrupted{how}.", file=sys.stderr)
            return ENDED
        case _:
            return 0
