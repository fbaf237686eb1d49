"""Deep Compression on MNIST (Han, Mao, Dally, ICLR 2016, tables 1 to 3): pruned, shared, coded, as a file that opens.

The presets train a dense network first; the reference is the mean of three dense networks with other seeds that are
trained as long as preset's network in all of its steps. The compressed file is measured as it lies on disk, opened by
our reader and judged on the test split. About half an hour on one core, most of it for LeNet-5.
"""

import json
import os
from pathlib import Path
from statistics import mean

import pytest

from core.cli import main
from core.presets import load_presets

pytestmark = pytest.mark.reproduction

PAPER = {
    # error before and after in %, times smaller
    "lenet-300-100": (1.64, 1.58, 40),
    "lenet-5": (0.80, 0.74, 39),
}
AIMED_AT = {"lenet-300-100": 60, "lenet-5": 100}
TRIALS = 3
EXAMPLES = 10_000


def result_of(arguments: list[str], out: Path) -> dict[str, object]:
    common = ["--task", "mnist", "--threads", "1", "--no-history", "--no-latency", "--out", str(out)]
    assert main(["run", *arguments, *common]) == 0
    data: dict[str, object] = json.loads((out / "measurements.json").read_text())
    return data


@pytest.mark.parametrize(("network", "title"), [("lenet-300-100", "LeNet-300-100"), ("lenet-5", "LeNet-5")])
def test_files_are_as_much_smaller_as_in_the_paper(
    network: str, title: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "COMPRESSION_STUDIO_DATA" not in os.environ:
        pytest.skip("needs MNIST in COMPRESSION_STUDIO_DATA")
    preset = next(one for one in load_presets() if one.name == f"Deep Compression of {title}")
    epochs = sum(getattr(step, "epochs", 0) for step in preset.steps)
    dense = preset.steps[0].model_copy(update={"epochs": epochs})
    recipe = tmp_path / "dense.json"
    recipe.write_text(preset.model_copy(update={"steps": (dense,)}).to_json())
    out = tmp_path / network
    name = preset.name.lower().replace(" ", "-")
    result_of([name, "--model", f"zoo:{network}", "--seed", "1"], out)
    packed = out / "model.packed"
    capsys.readouterr()
    assert main(["evaluate", str(packed), "--task", "mnist", "--threads", "1", "--json"]) == 0
    error = error_of(json.loads(capsys.readouterr().out)["measurement"])
    size = packed.stat().st_size
    times = (out / "model.safetensors").stat().st_size / size
    errors = []
    for seed in range(2, 2 + TRIALS):
        found = result_of(
            [str(recipe), "--model", f"zoo:{network}", "--seed", str(seed)], tmp_path / f"dense-{seed}"
        )
        errors.append(error_of(found["after"]))
        with capsys.disabled():
            print(f"dense, seed {seed}: {errors[-1]:.2f} %", flush=True)
    before, after, paper = PAPER[network]
    with capsys.disabled():
        print(
            f"{title}: {error:.2f} % in {size:,} B, {times:.1f}× smaller; dense {mean(errors):.2f} %; paper: {before} "
            f"→ {after} %, {paper}× (aimed at {AIMED_AT[network]}×)",
            flush=True,
        )
    assert times >= paper
    # The mean of a few networks is known to within a few examples only.
    assert error <= mean(errors) + 0.05


def error_of(measurement: object) -> float:
    """The error in %."""
    assert isinstance(measurement, dict)
    accuracy = measurement["accuracy"]
    assert accuracy["count"] == EXAMPLES
    return 100 * (1 - accuracy["correct"] / accuracy["count"])
