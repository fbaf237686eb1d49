"""The whole thread as a new user walks it, with mouse and keyboard, on the built-in sample and the real engine."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QCheckBox,
    QLabel,
    QTableView,
    QTabWidget,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot
from safetensors import safe_open

from studio.app import Application, StartOptions, build
from studio.views.job_strip import JobStrip

from .user import JOB_TIMEOUT, User


def test_three_clicks_prune_the_sample_and_two_runs_compare(user: User, tmp_path: Path) -> None:
    state, store = user.studio.state, user.studio.store
    assert store is not None

    # The sample is open, its layers stand in the table, the first one is shown.
    assert state.model is not None
    assert state.model.description.architecture == "zoo:digits-cnn"
    table = user.see(QTableView, "layerTable")
    assert table.model().rowCount() == 5
    user.row(table, 3)
    assert state.layers == ("fc1",)
    user.until(lambda: "fc1" in user.see(QLabel, "inspectorHeading").text())

    # Click 1: "Prune this model" loads the preset. Click 2: Run. (The third is spare.)
    user.click(user.button("Prune this model"))
    assert [step.step for step in state.recipe.steps] == ["prune", "fine-tune"]
    user.until(lambda: "45,786 of 57,232" in " ".join(w.text() for w in user.window.findChildren(QLabel)))
    first = user.run_and_wait()
    assert first.after is not None
    assert first.after.sparsity == pytest.approx(0.8, abs=1e-4)
    assert first.after.accuracy is not None
    assert first.after.accuracy.value > 0.95
    assert state.accuracy == (first.before.accuracy if first.before else None)

    # Another sparsity by the keyboard: the second run.
    user.row(user.see(QAbstractItemView, "stepList"), 0)
    number = user.see(QWidget, "number_sparsity")
    user.click(number)
    user.key(Qt.Key.Key_A)
    user.qtbot.keyClicks(number, "95")
    user.key(Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier)
    user.until(lambda: getattr(state.recipe.steps[0], "sparsity", 0) == 0.95)
    second = user.run_and_wait()
    assert second.after is not None
    assert second.after.packed_bytes < first.after.packed_bytes

    # The history shows both with their curves; Ctrl-click selects them, Compare sets them side by side.
    user.key(Qt.Key.Key_3)
    assert user.studio.workspaces.current == "history"
    runs = user.see(QTableView, "runTable")
    user.until(lambda: runs.model().rowCount() == 2)
    user.row(runs, 0)
    assert state.runs == (second.run_id,)
    assert {(p.split, p.metric) for p in store.metrics(second.run_id)} >= {
        (split, metric) for split in ("train", "validation") for metric in ("loss", "accuracy")
    }
    user.row(runs, 1, Qt.KeyboardModifier.ControlModifier)
    assert set(state.runs) == {first.run_id, second.run_id}
    user.click(user.button("Compare"))
    comparison = user.see(QAbstractItemView, "compareTable")
    user.until(lambda: comparison.model().rowCount() > 3)
    shown = {str(comparison.model().index(row, 0).data()) for row in range(comparison.model().rowCount())}
    assert any("Sparsity" in label for label in shown)
    only = user.see(QCheckBox, "onlyDifferences")
    few = comparison.model().rowCount()
    user.click(only, QPoint(8, only.height() // 2))
    user.until(lambda: comparison.model().rowCount() > few)
    tabs = user.see(QTabWidget, "compareTabs")
    for index in range(tabs.count()):
        user.click(tabs.tabBar(), tabs.tabBar().tabRect(index).center())
        assert tabs.currentIndex() == index

    # A job leads back to its run, out of the comparison.
    user.click(user.see(JobStrip, "jobStrip").row(first.run_id).findChild(QToolButton, "jobShow"))
    assert state.runs == (first.run_id,)
    assert runs.isVisible()

    # The result file holds exactly the zeros that the history tells, and opens with the same accuracy.
    artifact = next(a for a in store.artifacts(second.run_id) if a.kind == "model")
    with safe_open(artifact.path, "np") as file:
        zeros = sum(
            int(np.count_nonzero(file.get_tensor(layer.weight_name) == 0))
            for layer in state.model.description.layers
        )
    assert zeros == second.after.weights - second.after.nonzero_weights
    user.drop(Path(artifact.path))
    user.until(lambda: state.model is not None and state.model.description.source.kind == "file")
    user.click(user.button("Measure"))
    user.until(lambda: state.accuracy is not None, JOB_TIMEOUT)
    assert state.accuracy == second.after.accuracy


def test_a_bad_file_keeps_the_model_and_says_one_sentence(user: User, tmp_path: Path) -> None:
    model = user.studio.state.model
    page = tmp_path / "resnet.pt"
    page.write_text("<!doctype html><html><body>404</body></html>")
    user.drop(page)
    user.until(lambda: "resnet.pt" in user.see(QLabel, "noticeBarText").text())
    text = user.see(QLabel, "noticeBarText").text()
    assert "Traceback" not in text
    assert user.studio.state.model is model


def test_stop_keeps_the_best_and_the_window_stays_usable(user: User) -> None:
    from core.steps import FineTuneSettings

    studio, store = user.studio, user.studio.store
    assert store is not None
    user.click(user.button("Prune this model"))
    studio.state.set_recipe(studio.state.recipe.replacing_step(1, FineTuneSettings(epochs=500)))
    user.click(user.see(QAbstractButton, "runButton"))
    user.until(lambda: any(run.status == "running" for run in store.runs()), JOB_TIMEOUT)
    table = user.see(QTableView, "layerTable")
    for row in (4, 1, 2):
        user.row(table, row)
        user.until(lambda: studio.state.layers[0] in user.see(QLabel, "inspectorHeading").text())
    user.until(lambda: bool(store.metrics(store.runs()[0].run_id)), JOB_TIMEOUT)
    user.click(user.button("Pause"))
    user.click(user.button("Go on"))
    user.click(user.button("Stop"))
    user.until(lambda: store.runs()[0].is_over, JOB_TIMEOUT)
    record = store.runs()[0]
    assert record.status == "finished"
    assert record.stopped_early
    assert record.after is not None
    assert record.after.sparsity == pytest.approx(0.8, abs=1e-4)


def test_closing_in_the_middle_of_a_run_leaves_it_resumable(qtbot: QtBot, profile: Path) -> None:
    from core.steps import FineTuneSettings

    def start() -> Application:
        application = build(StartOptions(profile=str(profile), theme="light"))
        with qtbot.waitSignal(application.ready, timeout=30_000):
            application.start()
        return application

    first = start()
    user = User(qtbot, first)
    user.click(user.button("Prune this model"))
    first.state.set_recipe(first.state.recipe.replacing_step(1, FineTuneSettings(epochs=6)))
    user.click(user.see(QAbstractButton, "runButton"))
    store = first.store
    assert store is not None
    user.until(lambda: any(run.status == "running" for run in store.runs()), JOB_TIMEOUT)
    user.until(lambda: bool(store.metrics(store.runs()[0].run_id)), JOB_TIMEOUT)
    first.window.close()
    first.close()

    second = start()
    store = second.store
    assert store is not None
    try:
        (record,) = store.runs()
        assert record.status == "interrupted"
        user = User(qtbot, second)
        user.key(Qt.Key.Key_3)
        runs = user.see(QTableView, "runTable")
        user.until(lambda: runs.model().rowCount() == 1)
        user.row(runs, 0)
        user.click(user.button("Resume"))
        user.until(
            lambda: store.run(record.run_id).is_over and store.run(record.run_id).status == "finished",
            JOB_TIMEOUT,
        )
    finally:
        second.window.close()
        second.close()


def test_a_recipe_saved_in_the_window_gives_the_same_bits_on_the_command_line(
    user: User, tmp_path: Path
) -> None:
    store = user.studio.store
    assert store is not None
    user.click(user.button("Prune this model"))
    record = user.run_and_wait()
    recipe = tmp_path / "mine.json"
    user.studio.parts.recipe.save_recipe(recipe)
    user.until(recipe.exists)
    command = ["run", str(recipe), "--model", "sample", "--task", "digits", "--seed", str(record.seed)]
    subprocess.run(
        [
            sys.executable,
            "-m",
            "core.cli",
            *command,
            "--out",
            str(tmp_path / "out"),
            "--no-history",
            "--no-latency",
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=120,
    )
    artifact = next(a for a in store.artifacts(record.run_id) if a.kind == "model")
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == Path(artifact.path).read_bytes()
