"""Optimal Brain Damage on MNIST (LeCun, Denker, Solla, NIPS 1989, figures 1 and 2): LeNet-1 and LeNet-300-100.

The preset “Figures of Optimal Brain Damage”: trained on the squared error, deleted by saliency and by magnitude,
retrained with the deleted weights held at zero. About a quarter of an hour on one core.

COMPRESSION_STUDIO_FIGURES names a folder for the figures.
"""

import os
from pathlib import Path

import pytest

from core.cli import main
from core.export.vector_plot import lines_svg
from core.findings import Line, Lines, read_finding
from core.history.store import open_history
from core.presets import load_presets
from core.pruning.deletion_study import FINDING

pytestmark = pytest.mark.reproduction

NETWORKS = {"lenet-1": ("LeNet-1", "16"), "lenet-300-100": ("LeNet-300-100", "28")}
"""Title and image size."""
PRESET = "Figures of Optimal Brain Damage"
FORETOLD, BY_SALIENCY, BY_MAGNITUDE, RETRAINED, ON_TEST = range(5)


@pytest.fixture(scope="module", params=list(NETWORKS))
def curves(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Line]:
    if "COMPRESSION_STUDIO_DATA" not in os.environ:
        pytest.skip("needs MNIST in COMPRESSION_STUDIO_DATA")
    folder = tmp_path_factory.mktemp("obd")
    recipe = folder / "recipe.json"
    recipe.write_text(next(preset for preset in load_presets() if preset.name == PRESET).to_json())
    database = str(folder / "history.db")
    network = request.param
    title, size = NETWORKS[network]
    arguments = [
        "run",
        str(recipe),
        "--model",
        f"zoo:{network}",
        "--task",
        "mnist",
        "--image-size",
        size,
        "--seed",
        "1",
        "--threads",
        "1",
    ]
    assert main(["--db", database, *arguments, "--no-latency"]) == 0
    with open_history(database) as store:
        (run,) = store.runs()
        (finding,) = store.findings(run.run_id, FINDING)
    form = read_finding(finding.data)
    assert isinstance(form, Lines)
    print(f"\n{title}: mean squared error\ndeleted" + "".join(f"{line.name:>30}" for line in form.lines))
    for row in zip(form.lines[0].x, *(line.y for line in form.lines), strict=True):
        print(f"{row[0]:5.0f} %" + "".join(f"{value:30.4f}" for value in row[1:]))
    if figures := os.environ.get("COMPRESSION_STUDIO_FIGURES"):
        heading = f"Optimal Brain Damage, {title} on MNIST"
        (Path(figures) / f"optimal-brain-damage-{network}.svg").write_text(lines_svg(form, heading))
    return list(form.lines)


def at(line: Line, percent: float) -> float:
    place = min(range(len(line.x)), key=lambda n: abs(line.x[n] - percent))
    assert abs(line.x[place] - percent) < 0.1
    value = line.y[place]
    assert value is not None
    return value


def test_the_foretold_loss_is_the_measured_one_up_to_30_percent(curves: list[Line]) -> None:
    # The paper: "until about 800 deletions" of 2,578, by eye. Here: within a tenth of the loss.
    for percent in (5, 10, 15, 20, 25, 30):
        assert at(curves[BY_SALIENCY], percent) == pytest.approx(at(curves[FORETOLD], percent), rel=0.1)


def test_deleting_by_saliency_costs_less_than_by_magnitude(curves: list[Line]) -> None:
    start = at(curves[BY_SALIENCY], 0)
    for percent in (20, 30, 40, 50):
        rise = at(curves[BY_SALIENCY], percent) - start
        assert rise < at(curves[BY_MAGNITUDE], percent) - start


def test_with_retraining_the_loss_stays_flat_up_to_60_percent(curves: list[Line]) -> None:
    for line in (curves[RETRAINED], curves[ON_TEST]):
        for percent in (10, 20, 30, 40, 50, 60):
            assert at(line, percent) < 1.1 * at(line, 0)
    # It would not without.
    assert at(curves[BY_SALIENCY], 60) > 1.5 * at(curves[RETRAINED], 60)
