"""From arguments to a command, and from every outcome to an exit code."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from core.cli.parser import PROGRAM, WINDOW_OPTIONS, make_parser
from core.errors import StudioError

OpenWindow = Callable[[Mapping[str, str | None]], int]
DONE, DEFECT, USER_ERROR, CANCELLED = 0, 1, 2, 130


def carry_out(arguments: Sequence[str], open_window: OpenWindow) -> int:
    """Carry out one command; returns the exit code and raises nothing."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks “×” must not end a run.
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="replace")
    try:
        code = _command(make_parser().parse_args(arguments), arguments, open_window)
        sys.stdout.flush()
        return code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else DONE
    except StudioError as error:
        _say(error.message)
        return USER_ERROR
    except KeyboardInterrupt:
        _say("cancelled.")
        return CANCELLED
    except BrokenPipeError:
        # Whoever read the output (`| head`) has enough. Python would complain once more when it flushes at its end.
        with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return DONE
    except Exception as error:
        traceback.print_exc()
        _say(
            f"something in the studio itself went wrong ({type(error).__name__}): please report the lines above."
        )
        return DEFECT


def _command(options: argparse.Namespace, arguments: Sequence[str], open_window: OpenWindow) -> int:
    if getattr(options, "trust", False):
        from core.cli.trusting import trust_model

        trust_model(options.model)
    # Each command is imported when it is wanted: listing a history should not wait for numpy.
    match options.command:
        case None | "open":
            return _open(options, open_window)
        case "run" if options.trials is not None or len(options.resume or ()) > 1:
            from core.cli.trials import run_trials

            return run_trials(options, arguments)
        case "trials":
            from core.cli.trials import tell_rounds

            return tell_rounds(options)
        case "run":
            from core.cli.runs import run_recipe

            return run_recipe(options)
        case "evaluate":
            from core.cli.runs import evaluate

            return evaluate(options)
        case "inspect":
            from core.cli.inspection import inspect_model

            return inspect_model(options)
        case "history":
            from core.cli.past import list_history

            return list_history(options)
        case "pack":
            from core.cli.archives import pack

            return pack(options)
        case "unpack":
            from core.cli.archives import unpack

            return unpack(options)
        case "compare":
            from core.cli.past import compare

            return compare(options)
        case "flips":
            from core.cli.flips import tell_flips

            return tell_flips(options)
        case "report":
            from core.cli.reports import write_report

            return write_report(options)
        case "script":
            from core.cli.reports import write_script

            return write_script(options)
        case "trust":
            from core.cli.trusting import trusted_files

            return trusted_files(options)
        case _:
            from core.cli.recipes import list_presets

            return list_presets(options)


def _open(options: argparse.Namespace, open_window: OpenWindow) -> int:
    from core.models.source import parse_source

    given = {name: getattr(options, name, None) for name in ("db", *WINDOW_OPTIONS)}
    if getattr(options, "model", None) is not None:
        # A path that does not exist is told here, before a window appears.
        given["path"] = parse_source(options.model).to_text()
    return open_window({name: value for name, value in given.items() if value is not None})


def _say(text: str) -> None:
    with suppress(OSError):
        print(f"{PROGRAM}: {text}", file=sys.stderr)
