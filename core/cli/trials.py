"""Independent trials: `run --trials N` in processes of their own; `trials` lays their rounds over each other.

Trials that were stopped or killed are runs like any other: `run --resume` goes on with as many at once.

Processes instead of threads: small networks spend most of their time in Python, which runs in one thread at a time.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core import formatting
from core.cli.requests import check_resumable, check_resume_options
from core.cli.tables import text_table, to_json
from core.errors import StudioError
from core.files import write_text
from core.findings import Lines, read_finding
from core.history.rounds import Round, round_findings
from core.history.store import open_history
from core.history.trials import last_mask_overlap, trials_of

DONE, DEFECT = 0, 1
_TAG = "trials of run"
REPORT_EVERY = 0.1
"""Progress of a trial is told each time so large a fraction more is done."""


@dataclass
class Trial:
    """One process that runs one seed.

    Attributes:
        arguments: of the command line that runs it.
        result: its last JSON line, the outcome; empty before that.
    """

    number: int
    seed: int
    arguments: tuple[str, ...]
    result: dict[str, Any] = field(default_factory=dict)
    code: int | None = None
    complaint: str = ""
    told: float = 0.0


def run_trials(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """The command `run … --trials N`: the same run with seeds from `--seed` on, as many at once as `--jobs` says.

    Or `run --resume A B …`: runs that were interrupted, side by side in the same way.

    Raises:
        StudioError: for options that do not go together, and for runs that cannot be resumed.
    """
    if options.trials is None:
        trials = _interrupted_trials(options)
    elif options.resume is not None or options.no_history:
        given = "--resume" if options.resume is not None else "--no-history"
        raise StudioError(f"--trials records every trial as a run of its own: leave out {given}.")
    else:
        trials = _new_trials(options, arguments)
    jobs = _jobs(options, len(trials))
    waiting = iter(trials)
    lock = threading.Lock()
    stopped = threading.Event()
    running: set[subprocess.Popen[str]] = set()

    def work() -> None:
        while not stopped.is_set():
            with lock:
                trial = next(waiting, None)
            if trial is None:
                return
            _carry_out(trial, options, running)

    workers = [threading.Thread(target=work, name=f"trials-{n}") for n in range(jobs)]
    for worker in workers:
        worker.start()
    presses = 0
    while any(worker.is_alive() for worker in workers):
        try:
            for worker in workers:
                worker.join(0.2)
        except KeyboardInterrupt:
            # The trials get the key press themselves: the first keeps the best so far, the second cancels.
            stopped.set()
            presses += 1
            if presses > 2:
                for process in list(running):
                    process.kill()
    _tag(trials, options)
    if options.json:
        print(to_json({"trials": [trial.result for trial in trials]}))
    else:
        print(_summary(trials))
    worst = [trial.code for trial in trials if trial.code]
    return max(worst) if worst else DONE


def tell_rounds(options: argparse.Namespace) -> int:
    """The command `trials`: what the rounds of one run, or of several with different seeds, did.

    Raises:
        StudioError: for runs without rounds.
    """
    with open_history(options.db) as store:
        trials, networks = trials_of(store, options.runs)
    print(rounds_table(trials))
    overlap = last_mask_overlap(networks)
    if overlap is not None:
        print(f"\nOverlap of the last masks between trials. {overlap.note}")
    if options.out is not None:
        for path in _write_figures(trials, Path(options.out).expanduser()):
            print(f"Wrote {path}.")
        if overlap is not None:
            from core.export.vector_plot import matrix_svg

            path = _beside(Path(options.out).expanduser(), "mask-overlap.svg")
            write_text(path, matrix_svg(overlap, "Overlap of the last masks between trials"))
            print(f"Wrote {path}.")
    return DONE


def rounds_table(trials: Sequence[Sequence[Round]]) -> str:
    """Early stop and accuracy by remaining weights and start: means over the trials, lowest and highest in brackets."""
    by_key: dict[tuple[float, str], list[Round]] = {}
    for rounds in trials:
        for one in rounds:
            by_key.setdefault((round(100 * one.remaining, 2), one.start), []).append(one)
    rows = []
    for (level, start), found in sorted(
        by_key.items(), key=lambda item: (-item[0][0], item[0][1] != "ticket")
    ):
        rows.append(
            (
                f"{level:.2f} %",
                start,
                str(len(found)),
                _spread([one.stop for one in found], 0),
                _spread([100 * one.accuracy for one in found], 2),
                _spread([100 * one.last_accuracy for one in found], 2),
            )
        )
    split = next((one.split for rounds in trials for one in rounds), "test")
    headers = ("Remaining", "Start", "Trials", "Early stop", f"{split} accuracy then %", "at the end %")
    return text_table(headers, rows, right=(0, 2, 3, 4, 5))


def _spread(values: Sequence[float], decimals: int) -> str:
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:,.{decimals}f}"
    return f"{mean:,.{decimals}f} ({min(values):,.{decimals}f} – {max(values):,.{decimals}f})"


def _write_figures(trials: Sequence[Sequence[Round]], out: Path) -> list[Path]:
    from core.export.vector_plot import lines_svg

    written = []
    for finding in round_findings("", trials):
        form = read_finding(finding.data)
        assert isinstance(form, Lines)
        path = _beside(out, f"{finding.key.replace(' ', '-')}.svg")
        write_text(path, lines_svg(form, finding.title))
        written.append(path)
    path = _beside(out, "rounds.json")
    write_text(path, json.dumps([[asdict(one) for one in rounds] for rounds in trials], indent=1) + "\n")
    written.append(path)
    return written


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(f"{out.stem}-{ending}")


def without_options(arguments: Sequence[str], valued: Iterable[str], flags: Iterable[str]) -> list[str]:
    """Command-line arguments less some options, in their `--name value` and `--name=value` forms."""
    kept: list[str] = []
    skip = False
    valued, flags = set(valued), set(flags)
    for argument in arguments:
        if skip:
            skip = False
        elif argument in valued:
            skip = True
        elif argument not in flags and argument.partition("=")[0] not in valued:
            kept.append(argument)
    return kept


def _new_trials(options: argparse.Namespace, arguments: Sequence[str]) -> list[Trial]:
    plain = without_options(
        arguments, ("--trials", "--jobs", "--seed", "--threads", "--name", "--out"), ("--json",)
    )
    threads = options.threads or max(1, (os.cpu_count() or 1) // _jobs(options, options.trials))
    trials = []
    for number in range(1, options.trials + 1):
        seed = (options.seed or 0) + number - 1
        own = ["--seed", str(seed), "--threads", str(threads), "--json", *_out(options, number)]
        if options.name:
            own += ["--name", f"{options.name}, trial {number}"]
        trials.append(Trial(number, seed, (*plain, *own)))
    return trials


def _interrupted_trials(options: argparse.Namespace) -> list[Trial]:
    check_resume_options(options)
    trials = []
    with open_history(options.db) as store:
        for number, name in enumerate(dict.fromkeys(options.resume), start=1):
            record = store.run(name)
            check_resumable(record)
            database = [] if options.db is None else ["--db", str(options.db)]
            own = [*database, "run", "--resume", record.run_id, "--json", *_out(options, number)]
            trials.append(Trial(number, record.seed, tuple(own)))
    return trials


def _jobs(options: argparse.Namespace, trials: int) -> int:
    return min(options.jobs or os.cpu_count() or 1, trials)


def _out(options: argparse.Namespace, number: int) -> list[str]:
    return [] if options.out is None else ["--out", str(Path(options.out).expanduser() / f"trial-{number}")]


def _carry_out(trial: Trial, options: argparse.Namespace, running: set["subprocess.Popen[str]"]) -> None:
    complaints: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-m", "core.cli", *trial.arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        running.add(process)
        assert process.stdout is not None
        assert process.stderr is not None
        reader = threading.Thread(target=complaints.extend, args=(process.stderr,), name="trials-stderr")
        reader.start()
        for line in process.stdout:
            with suppress(json.JSONDecodeError):
                _take(trial, json.loads(line), options)
        trial.code = process.wait()
        reader.join()
        running.discard(process)
    trial.complaint = next((line.strip() for line in reversed(complaints) if line.strip()), "")
    if trial.code:
        _say(trial, trial.complaint or f"ended with exit code {trial.code}.")


def _take(trial: Trial, event: Mapping[str, Any], options: argparse.Namespace) -> None:
    match event.get("event"):
        case "Result":
            trial.result = dict(event)
            _say(trial, "done.")
        case "Progress" if event["fraction"] >= trial.told + REPORT_EVERY:
            trial.told = event["fraction"]
            left = event["seconds_left"]
            _say(
                trial,
                f"{100 * trial.told:.0f} %  {event['activity']}"
                + ("" if left is None else f", {formatting.duration(left)} left"),
            )


def _say(trial: Trial, text: str) -> None:
    print(f"trial {trial.number} (seed {trial.seed}): {text}", file=sys.stderr, flush=True)


def _tag(trials: Sequence[Trial], options: argparse.Namespace) -> None:
    """Give the runs of these trials a tag by which they are found together, unless they have one."""
    finished = [trial for trial in trials if trial.result.get("number") is not None]
    if not finished:
        return
    words = f"{_TAG} {finished[0].result['number']}"
    with open_history(options.db) as store:
        for trial in finished:
            tags = store.run(trial.result["run_id"]).tags
            if not any(tag.startswith(_TAG) for tag in tags):
                store.update(trial.result["run_id"], tags=[*tags, words])


def _summary(trials: Sequence[Trial]) -> str:
    rows = []
    for trial in trials:
        after = trial.result.get("after") or trial.result.get("before") or {}
        accuracy = (after.get("accuracy") or {}).get("value")
        rows.append(
            (
                str(trial.number),
                str(trial.seed),
                formatting.NOT_MEASURED
                if trial.result.get("number") is None
                else str(trial.result["number"]),
                str(trial.result.get("status") or "failed"),
                formatting.percent(accuracy),
                formatting.percent(after.get("sparsity")),
                trial.result.get("error") or ("" if trial.code == 0 else trial.complaint),
            )
        )
    return text_table(
        ("Trial", "Seed", "Run", "Status", "Accuracy", "Sparsity", ""), rows, right=(0, 1, 2, 4, 5)
    )
