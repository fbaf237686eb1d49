"""What can be typed: commands, options and their help. Imports nothing but argparse."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

PROGRAM = "compression-studio"

MODEL_HELP = """\
MODEL is one of
  sample                        the built-in digits model
  zoo:NAME                      a built-in network with fresh weights: zoo:lenet-300-100, zoo:resnet20 …
  torchvision:NAME              a torchvision network with fresh weights: torchvision:resnet18
  torchvision:NAME@WEIGHTS      with published weights: torchvision:resnet18@DEFAULT
  PATH                          a file or folder of weights (.safetensors, .pt, .pth, .pt2, .onnx, .npz …), whose
                                architecture is recognised, or with --trust a Python file that builds a network"""

TASK_HELP = """\
TASK is one of
  digits                        8×8 handwritten digits, built in
  mnist, fashion-mnist, cifar10 read from COMPRESSION_STUDIO_DATA or downloaded once
  folder:DIR                    one sub-folder of images for each class, or train/, val/, test/ of such"""

EXIT_HELP = """\
exit codes: 0 done · 1 a defect of the studio · 2 something you can put right, told in one sentence ·
130 cancelled · 143 ended from outside (a run can then be resumed)"""


WINDOW_OPTIONS = ("profile", "theme", "screenshot", "size", "workspace")
"""Options of `open` that go to the window under the same names."""


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one sentence, as every other error is told."""

    def error(self, message: str) -> NoReturn:
        command = self.prog.removeprefix(PROGRAM).strip()
        help_command = f"{PROGRAM} {command} --help" if command else f"{PROGRAM} --help"
        self.exit(2, f"{PROGRAM}: {message} (see {help_command}).\n")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"Compression Studio {version(PROGRAM)}")
        parser.exit(0)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; the chosen one stands in `command` (None: open the window)."""
    parser = _Parser(
        prog=PROGRAM,
        description="Make neural networks smaller and faster, and see what that does to them.\n"
        "Without a command the window opens.",
        epilog="examples:\n"
        f"  {PROGRAM}                                     open the window with the sample model\n"
        f"  {PROGRAM} open resnet20.th                    open the window with this model\n"
        f"  {PROGRAM} inspect resnet20.th                 list its layers\n"
        f"  {PROGRAM} presets                             list the recipes that are built in\n"
        f"  {PROGRAM} run prune-80-and-fine-tune          run one of them on the sample\n"
        f"  {PROGRAM} run my.json --model resnet20.th --task folder:images --out result\n"
        f"  {PROGRAM} evaluate result/model.safetensors --task folder:images\n"
        f"  {PROGRAM} history                             list what was run\n"
        f"  {PROGRAM} compare 1 2                         put two runs side by side\n\n"
        f"{EXIT_HELP}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    parser.add_argument("--db", metavar="FILE", default=None, help=_DB_HELP)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for add in (
        _add_open,
        _add_run,
        _add_inspect,
        _add_evaluate,
        _add_history,
        _add_pack,
        _add_unpack,
        _add_compare,
        _add_flips,
        _add_trials,
        _add_report,
        _add_script,
        _add_presets,
        _add_trust,
    ):
        add(commands)
    return parser


_SEARCH_HELP = """\
SEARCH is any number of words, which are looked for in name, tags, model, task, method and status, and conditions:
  accuracy > 97 %   size < 100 kB   latency <= 2 ms   created >= 2026-11-01   status:failed   tag:paper
  prune.sparsity = 0.8 (any setting)   before.loss < 0.5 (any measurement)   is:starred   is:archived
joined by and, or, not and brackets. = finds figures that read so when rounded, : finds a part of a text."""

_DB_HELP = "the history's database file (default: the one in your user data folder)"


def _command(
    commands: Any, name: str, summary: str, description: str, examples: Sequence[str], notes: str = ""
) -> argparse.ArgumentParser:
    shown = "\n".join(f"  {PROGRAM} {example}" for example in examples)
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=(f"{notes}\n\n" if notes else "") + f"examples:\n{shown}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return command


def _add_open(commands: Any) -> None:
    command = _command(
        commands,
        "open",
        "open the window, with a model if one is named",
        "Open the window with MODEL (without one, with the sample).",
        ["open", "open resnet20.th", "open torchvision:resnet18@DEFAULT"],
        MODEL_HELP,
    )
    command.add_argument(
        "model", metavar="MODEL", nargs="?", help="what to open (a recipe file is opened too)"
    )
    _add_trust_option(command)
    _add_db(command)
    command.add_argument("--profile", metavar="DIR", help="a folder for settings and history of their own")
    command.add_argument("--theme", choices=("system", "light", "dark"), help="colours, for this start only")
    developers = command.add_argument_group("for developers")
    developers.add_argument(
        "--screenshot", metavar="PNG", help="save a picture of the finished window and end"
    )
    developers.add_argument(
        "--size", metavar="WxH", type=_window_size, help="the window's size, such as 1440x900"
    )
    developers.add_argument(
        "--workspace", choices=("inspect", "compress", "history", "export"), help="shown first"
    )


def _add_run(commands: Any) -> None:
    command = _command(
        commands,
        "run",
        "run a recipe on a model",
        "Run a recipe on a model: measure it, carry out the steps, measure again, save the result.\n"
        "On one machine, the same recipe, model, task, seed and threads give the same weights to the bit.\n"
        "Press Ctrl+C to stop and keep the best so far, and once more to cancel.",
        [
            "run prune-80-and-fine-tune",
            "run my.json --model zoo:lenet-300-100 --task mnist --seed 1",
            "run my.json --model resnet20.th --task folder:cifar10 --out result --json > events.jsonl",
            "run --resume 12",
            "run --resume 12 13 14 --jobs 2",
            "run lottery-ticket-minutes --model zoo:lenet-300-100 --task mnist --trials 5",
        ],
        f"{MODEL_HELP}\n\n{TASK_HELP}\n\n"
        "With --json, standard output gets one JSON object a line: first the events of the run in their order\n"
        '(the kind is in "event"), last the outcome ("event": "Result") with measurements and files.',
    )
    command.add_argument(
        "recipe", metavar="RECIPE", nargs="?", help="a recipe file (JSON) or the name of a preset"
    )
    command.add_argument("--model", metavar="MODEL", help="the model to compress (default: sample)")
    _add_trust_option(command)
    command.add_argument("--task", metavar="TASK", help="the data (default for the sample: digits)")
    _add_preprocessing(command)
    command.add_argument("--seed", metavar="N", type=_whole(0), help="fixes every random number (default: 0)")
    command.add_argument(
        "--trials",
        metavar="N",
        type=_whole(1),
        help="run N times, with seeds from --seed on, each as a run and a process of its own",
    )
    command.add_argument(
        "--jobs", metavar="N", type=_whole(1), help="trials at the same time (default: one per core)"
    )
    command.add_argument(
        "--name", metavar="TEXT", help="the run's name in the history (default: the recipe's)"
    )
    command.add_argument(
        "--out",
        metavar="DIR",
        help="put model.safetensors, recipe.json and measurements.json into this folder",
    )
    _add_machine(command)
    _add_db(command)
    command.add_argument("--no-history", action="store_true", help="do not record the run")
    command.add_argument(
        "--resume",
        metavar="RUN",
        nargs="+",
        help="go on with an interrupted run (its number or id) instead of a new one; with several runs, such as "
        "trials, side by side",
    )
    _add_json(command, "print events and outcome as JSON lines")


def _add_inspect(commands: Any) -> None:
    command = _command(
        commands,
        "inspect",
        "list a model's layers",
        "List the layers of a model that can be pruned: shape, weights, exact zeros, multiply-accumulates (MACs).\n"
        "Files are read without torch, and nothing in them is executed unless you trust it.",
        ["inspect sample", "inspect resnet20.th --json", "inspect torchvision:mobilenet_v2"],
        MODEL_HELP,
    )
    command.add_argument("model", metavar="MODEL", help="the model")
    _add_trust_option(command)
    _add_json(command, "print one JSON object")


def _add_evaluate(commands: Any) -> None:
    command = _command(
        commands,
        "evaluate",
        "measure a model's accuracy, size and speed",
        "Measure a model on the test split of a task. An image folder without a test part is judged on all its images.",
        [
            "evaluate sample --task digits",
            "evaluate resnet20.th --task folder:cifar10-jpeg",
            "evaluate torchvision:resnet18@DEFAULT --task folder:imagenet/val --image-size 224 --json",
        ],
        f"{MODEL_HELP}\n\n{TASK_HELP}",
    )
    command.add_argument("model", metavar="MODEL", help="the model")
    _add_trust_option(command)
    command.add_argument("--task", metavar="TASK", required=True, help="the data")
    _add_preprocessing(command)
    command.add_argument(
        "--seed", metavar="N", type=_whole(0), help="fixes the fresh weights of zoo: and torchvision: models"
    )
    _add_machine(command)
    _add_json(command, "print one JSON object")


def _add_history(commands: Any) -> None:
    command = _command(
        commands,
        "history",
        "list the runs",
        "List what was run, newest first; only the runs that a search finds, if there is one.",
        [
            "history",
            'history "accuracy > 97 % and size < 100 kB"',
            "history tag:paper not status:failed",
            'history "prune.sparsity >= 80 % created > 2026-11-01" --json',
            "history --csv > runs.csv",
            "history --db team.db",
        ],
        _SEARCH_HELP,
    )
    command.add_argument(
        "search", metavar="SEARCH", nargs="*", help="words and conditions that runs must meet"
    )
    command.add_argument("--limit", metavar="N", type=_whole(1), help="list at most N runs")
    _add_db(command)
    formats = command.add_mutually_exclusive_group()
    _add_json(formats, "print a JSON list of runs")
    formats.add_argument("--csv", action="store_true", help="print a table in CSV, figures in full precision")


def _add_pack(commands: Any) -> None:
    command = _command(
        commands,
        "pack",
        "put whole runs with their files into zip files",
        "Write a zip file of a run: record, curves, layers, findings, and all files that it wrote, with hashes.\n"
        "RUN is a number from the history, or the beginning of a run's id.",
        ["pack 12", "pack 12 --out paper/run-12.zip"],
    )
    command.add_argument("run", metavar="RUN", help="the run")
    command.add_argument("--out", metavar="FILE", help="the zip file (default: run-NUMBER.zip here)")
    _add_db(command)


def _add_unpack(commands: Any) -> None:
    command = _command(
        commands,
        "unpack",
        "take a run from a zip file into the history",
        "Add a run that `pack` wrote, with its files, after checking every one of them.",
        ["unpack run-12.zip", "unpack run-12.zip --again"],
    )
    command.add_argument("file", metavar="FILE", help="the zip file")
    command.add_argument(
        "--again", action="store_true", help="add it under a new id if the history has this run already"
    )
    _add_db(command)


def _add_compare(commands: Any) -> None:
    command = _command(
        commands,
        "compare",
        "put runs side by side",
        "Compare two or more runs: their settings, their measurements, where they come from.\n"
        "RUN is a number from the history, or the beginning of a run's id.",
        ["compare 1 2", "compare 3 5 8 --differences"],
    )
    command.add_argument("runs", metavar="RUN", nargs="+", help="two or more runs")
    command.add_argument("--differences", action="store_true", help="show only what differs")
    _add_db(command)
    _add_json(command, "print one JSON object")


def _add_flips(commands: Any) -> None:
    command = _command(
        commands,
        "flips",
        "tell which test examples changed their prediction, and whether that is more than noise",
        "Set the predictions of the first run against the others', or those before and after one run: how many test\n"
        "examples became wrong and right, McNemar's exact test, and the 95 % interval of the difference.\n"
        "RUN is a number from the history, or the beginning of a run's id.",
        ["flips 3", "flips 1 2 --csv flipped.csv", "flips 1 2 3 4"],
    )
    command.add_argument("runs", metavar="RUN", nargs="+", help="one run, or the baseline and other runs")
    command.add_argument("--csv", metavar="FILE", help="also write every example that changed to FILE")
    _add_db(command)
    _add_json(command, "print one JSON array")


def _add_trials(commands: Any) -> None:
    command = _command(
        commands,
        "trials",
        "lay the rounds of Lottery Ticket runs over each other",
        "For every fraction of weights that was left: the iteration of the lowest validation loss and the accuracy\n"
        "there, as means over the runs named, with the lowest and the highest.",
        ["trials 12", "trials 12 13 14 --out lottery.svg"],
    )
    command.add_argument("runs", metavar="RUN", nargs="+", help="runs of one recipe with different seeds")
    command.add_argument("--out", metavar="FILE", help="also draw: FILE-early-stop.svg, FILE-accuracy.svg …")
    _add_db(command)


def _add_report(commands: Any) -> None:
    command = _command(
        commands,
        "report",
        "write a run or a comparison as HTML or PDF",
        "Write everything known of a run, or of several side by side, as one file that needs nothing else:\n"
        "measurements with their protocols, curves, layers, findings, settings, environment.\n"
        "RUN is a number from the history, or the beginning of a run's id; the first is the baseline.",
        ["report 12 --out run.html", "report 3 5 8 --out comparison.pdf"],
    )
    command.add_argument("runs", metavar="RUN", nargs="+", help="one run, or several to compare")
    command.add_argument("--out", metavar="FILE", required=True, help="the file, ending in .html or .pdf")
    _add_db(command)


def _add_script(commands: Any) -> None:
    command = _command(
        commands,
        "script",
        "write a Python script that repeats a run",
        "Write a script that repeats a run with the engine alone and says whether the same came out.",
        ["script 12 --out repeat.py"],
    )
    command.add_argument("run", metavar="RUN", help="the run")
    command.add_argument("--out", metavar="FILE", help="the file (default: standard output)")
    _add_db(command)


def _add_presets(commands: Any) -> None:
    command = _command(
        commands,
        "presets",
        "list the built-in recipes, or print one",
        "List the built-in recipes; with NAME, print that recipe's JSON as a start for one of your own.",
        ["presets", "presets prune-80-and-fine-tune > my.json"],
    )
    command.add_argument("name", metavar="NAME", nargs="?", help="the recipe to print")
    _add_json(command, "print a JSON list of recipes")


def _add_trust(commands: Any) -> None:
    command = _command(
        commands,
        "trust",
        "list the files whose code may run, or take trust back",
        "A Python file that builds a network, or a network pickled whole, can only be opened by running its code.\n"
        "That happens once you trust its contents (their SHA-256), in the window or with --trust where you name it.",
        ["trust list", "trust revoke 3f2a9c", "inspect net.py --trust"],
    )
    command.add_argument("action", choices=("list", "revoke"), metavar="ACTION", help="list or revoke")
    command.add_argument(
        "sha256", metavar="SHA256", nargs="?", help="of the file to revoke, or its beginning"
    )
    _add_json(command, "print a JSON list of trusted files")


def _add_trust_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--trust",
        action="store_true",
        help="trust MODEL's file from now on: its code may run (see trust --help)",
    )


def _add_preprocessing(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("preprocessing (default: what is usual for the task)")
    group.add_argument(
        "--image-size",
        metavar="SIZE",
        type=_image_size,
        help="resize images to SIZE: 32, or HEIGHTxWIDTH such as 224x224",
    )
    group.add_argument(
        "--mean",
        metavar="A,B,C",
        type=_numbers,
        help="subtracted from pixels in [0, 1], one value per channel; a single value reads a folder as grey",
    )
    group.add_argument("--std", metavar="A,B,C", type=_numbers, help="what pixels are then divided by")


def _add_machine(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", metavar="NAME", help="auto, cpu, cuda or mps (default: auto)")
    command.add_argument("--threads", metavar="N", type=_whole(1), help="CPU threads (default: one per core)")
    command.add_argument("--no-latency", action="store_true", help="do not measure latency")


def _add_db(command: argparse.ArgumentParser) -> None:
    # Without a default of its own, so that `--db` before the command holds as well.
    command.add_argument("--db", metavar="FILE", default=argparse.SUPPRESS, help=_DB_HELP)


def _add_json(command: argparse._ActionsContainer, text: str) -> None:
    command.add_argument("--json", action="store_true", help=text)


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"“{text}” is not a whole number") from None
        if not least <= value < 1 << 63:
            raise argparse.ArgumentTypeError(f"{text} must be at least {least}")
        return value

    return read


def _image_size(text: str) -> tuple[int, int]:
    height, times, width = text.lower().replace("×", "x").partition("x")
    try:
        return int(height), int(width if times else height)
    except ValueError:
        raise argparse.ArgumentTypeError(f"“{text}” is not a size such as 32 or 224x224") from None


def _window_size(text: str) -> str:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"“{text}” is not a size such as 1440x900")
    return text


def _numbers(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(abs(value) < 1e6 for value in values):
        raise argparse.ArgumentTypeError(f"“{text}” is not a list of numbers such as 0.485,0.456,0.406")
    return values
