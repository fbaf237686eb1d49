"""The command line: what each command prints, records and returns."""

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.cli import main
from core.cli.monitor import JsonLines
from core.events import MetricPoint
from core.history.store import open_history

PRUNE = {"step": "prune", "sparsity": 0.6}
TUNE = {"step": "fine-tune", "epochs": 1, "batch_size": 128}


@pytest.fixture
def recipe(tmp_path) -> Path:
    """A quick recipe that trains."""
    return write_recipe(tmp_path / "quick.json", PRUNE, TUNE)


@pytest.fixture
def db(tmp_path) -> Path:
    """A history of its own."""
    return tmp_path / "history" / "runs.db"


def write_recipe(path: Path, *steps: dict) -> Path:
    path.write_text(json.dumps({"name": path.stem, "steps": steps}))
    return path


def run_json(capsys, *arguments: object) -> tuple[int, list[dict]]:
    code = main([*map(str, arguments), "--json"])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def answer(capsys, *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# -- help


@pytest.mark.parametrize(
    "command", ["", "open", "run", "inspect", "evaluate", "history", "compare", "presets"]
)
def test_help_explains_and_gives_examples(capsys, command):
    text = answer(capsys, *command.split(), "--help")
    assert "examples:" in text
    assert "compression-studio" in text


def test_the_examples_name_a_preset_that_exists(capsys):
    assert "prune-80-and-fine-tune" in answer(capsys, "run", "--help")
    names = [line.split()[0] for line in answer(capsys, "presets").splitlines() if not line.startswith(" ")]
    assert "prune-80-and-fine-tune" in names
    for recipe in json.loads(answer(capsys, "presets", "--json")):
        assert recipe["format"] == "compression-studio-recipe"


def test_a_preset_is_printed_as_a_recipe_that_runs(capsys, tmp_path):
    text = answer(capsys, "presets", "Prune 80 % and fine-tune")
    (tmp_path / "mine.json").write_text(text, encoding="utf-8")
    assert answer(capsys, "presets", tmp_path / "mine.json") == text


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--help"], ("numpy", "torch", "pydantic", "sqlalchemy", "PySide6")),
        (["inspect", "sample"], ("torch", "sqlalchemy", "PySide6")),
        (["presets"], ("torch", "sqlalchemy", "PySide6")),
    ],
)
def test_commands_load_no_more_than_they_need(arguments, absent):
    code = (
        "import sys; from core.cli import main; "
        f"assert main({arguments!r}) == 0; print([m for m in {absent!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_version(capsys):
    assert answer(capsys, "--version").startswith("Compression Studio ")


# -- the window


def test_without_a_command_the_window_opens(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("core.cli.open_window", lambda options: asked.append(dict(options)) or 0)
    model = tmp_path / "model.pt"
    model.write_bytes(b"")
    assert main([]) == 0
    assert main(["--db", "x.db"]) == 0
    assert main(["open", "zoo:resnet20"]) == 0
    assert main(["open", str(model), "--db", "y.db", "--theme", "dark", "--size", "800x600"]) == 0
    assert asked == [
        {},
        {"db": "x.db"},
        {"path": "zoo:resnet20"},
        {"path": str(model), "db": "y.db", "theme": "dark", "size": "800x600"},
    ]


# -- inspect and evaluate


def test_inspect_lists_layers_and_totals(capsys):
    text = answer(capsys, "inspect", "sample")
    for word in ("conv1", "fc2", "5 layers", "SHA-256", "Sparsity"):
        assert word in text
    data = json.loads(answer(capsys, "inspect", "sample", "--json"))
    assert [layer["name"] for layer in data["layers"]] == ["conv1", "conv2", "conv3", "fc1", "fc2"]
    assert data["weights"] == sum(layer["weights"] for layer in data["layers"])
    assert data["macs"] == sum(layer["macs"] for layer in data["layers"])
    assert data["sparsity"] == 0
    assert data["input_shape"] == [1, 8, 8]


def test_evaluate_states_split_count_and_interval(capsys):
    text = answer(capsys, "evaluate", "sample", "--task", "digits", "--no-latency")
    assert "450 examples (test split of Digits" in text
    assert "95 % interval" in text
    data = json.loads(answer(capsys, "evaluate", "sample", "--task", "digits", "--json"))
    accuracy = data["measurement"]["accuracy"]
    assert accuracy["count"] == 450
    assert accuracy["split"] == "test"
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert data["measurement"]["latency"]["repetitions"] >= 20
    assert len(data["layers"]) == 5


def test_an_undivided_folder_is_judged_on_all_images(capsys, tmp_path):
    from PIL import Image

    for name in "0123456789":
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8), int(name) * 20).save(tmp_path / name / "image.png")
    data = json.loads(
        answer(
            capsys,
            *("evaluate", "sample", "--task", f"folder:{tmp_path}", "--mean", "0.3", "--std", "0.4"),
            *("--no-latency", "--json"),
        )
    )
    assert data["measurement"]["accuracy"]["count"] == 10
    assert data["measurement"]["accuracy"]["split"] == "all"


# -- run


def test_a_run_tells_its_events_as_json_lines_and_its_outcome_last(capsys, recipe, db, tmp_path):
    code, lines = run_json(capsys, "run", recipe, "--db", db, "--out", tmp_path / "out", "--no-latency")
    assert code == 0
    kinds = [line["event"] for line in lines]
    assert kinds[0] == "RunStarted"
    assert kinds[-2:] == ["Finished", "Result"]
    assert sum(kind in ("Finished", "Failed", "Cancelled", "Interrupted") for kind in kinds) == 1
    result = lines[-1]
    assert result["status"] == "finished"
    assert result["after"]["sparsity"] == pytest.approx(0.6, abs=1e-4)
    assert result["after"]["accuracy"]["count"] == 450
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "measurements.json",
        "model.packed",
        "model.safetensors",
        "recipe.json",
    ]
    model = next(file for file in result["artifacts"] if file["kind"] == "model")
    assert sha256(out / "model.safetensors") == model["sha256"]
    assert model["path"] == str(out / "model.safetensors")
    written = json.loads((out / "measurements.json").read_text(encoding="utf-8"))
    assert written["after"] == result["after"]
    # The result reopens with the accuracy that was measured, and the saved recipe runs again.
    again = json.loads(answer(capsys, "evaluate", out / "model.safetensors", "--task", "digits", "--json"))
    assert again["measurement"]["accuracy"]["correct"] == result["after"]["accuracy"]["correct"]
    answer(capsys, "run", out / "recipe.json", "--no-history", "--no-latency", "--out", tmp_path / "again")
    assert sha256(tmp_path / "again" / "model.safetensors") == model["sha256"]
    with open_history(db) as store:
        (record,) = store.runs()
        assert record.status == "finished"
        assert record.number == result["number"]
        assert len(store.metrics(record.run_id)) == kinds.count("MetricPoint")


def test_a_run_for_people(capsys, recipe, db):
    assert main(["run", str(recipe), "--db", str(db), "--seed", "3", "--name", "my first"]) == 0
    captured = capsys.readouterr()
    assert "my first on Digits sample" in captured.err
    assert "Step 2 of 2: Fine-tune" in captured.err
    assert "validation accuracy" in captured.err
    for word in ("before", "after", "Accuracy", "sparsity", "Packed", "Latency", "Recorded as run 1"):
        assert word in captured.out


def test_history_and_compare(capsys, tmp_path, db):
    assert "No runs yet" in answer(capsys, "history", "--db", db)
    for number, sparsity in enumerate((0.5, 0.7)):
        path = write_recipe(tmp_path / f"prune-{number}.json", {"step": "prune", "sparsity": sparsity})
        answer(capsys, "run", path, "--db", db, "--no-latency")
    text = answer(capsys, "history", "--db", db)
    assert text.splitlines()[1].split()[0] == "2"
    assert "50.00 %" in text
    records = json.loads(answer(capsys, "--db", db, "history", "--json"))
    assert [record["number"] for record in records] == [2, 1]
    assert records[0]["after"]["sparsity"] == pytest.approx(0.7, abs=1e-4)
    table = answer(capsys, "compare", "1", records[0]["run_id"][:8], "--db", db)
    assert table.startswith("“prune-1” is 1.")
    assert "smaller than “prune-0”" in table.splitlines()[0]
    assert "Run 1" in table
    assert "Run 2" in table
    assert "≠" in table
    assert "Model" in table
    short = answer(capsys, "compare", "1", "2", "--differences", "--db", db)
    assert len(short.splitlines()) < len(table.splitlines())
    data = json.loads(answer(capsys, "compare", "1", "2", "--json", "--differences", "--db", db))
    assert all(row["differs"] for row in data["rows"])
    assert data["finding"] == table.splitlines()[0]


# -- being interrupted


@pytest.fixture
def press(monkeypatch):
    """Sends this process signals when the first points of a curve are shown."""

    def arrange(*signals: signal.Signals) -> None:
        waiting = list(signals)
        shown = JsonLines.show

        def show(self: JsonLines, event: object) -> None:
            shown(self, event)
            if isinstance(event, MetricPoint) and event.iteration > 0 and waiting:
                signal.raise_signal(waiting.pop(0))

        monkeypatch.setattr(JsonLines, "show", show)

    return arrange


@pytest.fixture
def endless(tmp_path) -> Path:
    """A recipe that nobody would wait for."""
    return write_recipe(tmp_path / "endless.json", PRUNE, {**TUNE, "epochs": 5000, "batch_size": 512})


def test_ctrl_c_stops_and_keeps_the_best(capsys, press, endless, tmp_path):
    press(signal.SIGINT)
    out = tmp_path / "out"
    code = main(["run", str(endless), "--no-history", "--no-latency", "--out", str(out), "--json"])
    captured = capsys.readouterr()
    assert code == 0
    assert "keeping the best" in captured.err
    assert json.loads(captured.out.splitlines()[-1])["stopped_early"] is True
    assert (out / "model.safetensors").is_file()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_twice_cancels_and_keeps_nothing(capsys, press, endless, tmp_path, monkeypatch):
    from core.job import JobContext

    # The second press must come before the first one has ended the run.
    monkeypatch.setattr(JobContext, "stop_requested", False)
    press(signal.SIGINT, signal.SIGINT)
    out = tmp_path / "out"
    code = main(["run", str(endless), "--no-history", "--no-latency", "--out", str(out), "--json"])
    captured = capsys.readouterr()
    assert code == 130
    assert "cancelled" in captured.err
    assert json.loads(captured.out.splitlines()[-1])["status"] == "cancelled"
    assert list(out.iterdir()) == []


def test_a_run_that_was_ended_goes_on_to_the_same_weights(capsys, press, tmp_path, db):
    recipe = write_recipe(tmp_path / "quick.json", PRUNE, {**TUNE, "epochs": 2})
    answer(capsys, "run", recipe, "--no-history", "--no-latency", "--out", tmp_path / "whole")
    press(signal.SIGTERM)
    code, ended = run_json(capsys, "run", recipe, "--db", db, "--no-latency")
    assert code == 143
    assert ended[-1]["status"] == "interrupted"
    number = ended[-1]["number"]
    code, resumed = run_json(capsys, "run", "--resume", number, "--db", db, "--out", tmp_path / "resumed")
    assert code == 0
    assert resumed[0]["resumed"] is True
    resumed_model, whole_model = (tmp_path / name / "model.safetensors" for name in ("resumed", "whole"))
    assert sha256(resumed_model) == sha256(whole_model)
    assert main(["run", "--resume", str(number), "--db", str(db)]) == 2
    assert "is finished" in capsys.readouterr().err


def test_a_defect_is_told_as_one(capsys, monkeypatch, recipe):
    import core.pipeline

    def broken(request, context):
        raise RuntimeError("something")

    monkeypatch.setattr(core.pipeline, "load_module", broken)
    assert main(["run", str(recipe), "--no-history"]) == 1
    captured = capsys.readouterr()
    assert "Traceback" in captured.err
    assert captured.err.splitlines()[-1].startswith("compression-studio: ")
    monkeypatch.setattr(core.pipeline, "run", broken)
    assert main(["run", str(recipe), "--no-history"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_before_a_run_begins(capsys, monkeypatch):
    def pressed(options):
        raise KeyboardInterrupt

    monkeypatch.setattr("core.cli.open_window", pressed)
    assert main([]) == 130
    assert "cancelled" in capsys.readouterr().err


def test_a_reader_that_has_enough_is_no_error():
    command = [sys.executable, "-m", "core.cli", "presets"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
