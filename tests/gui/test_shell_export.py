"""The Export page: sizes are bytes that really are written, and the words say what zeros do."""

import zipfile
from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog, QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from core.export.packed_file import save_opened_packed
from core.export.safetensors_file import save_opened
from core.measurement.opened_sizes import opened_sizes
from core.models.checkpoint import open_checkpoint
from core.recipe import Recipe
from core.steps import PruneSettings
from studio.controllers.export import ExportController, size_rows, words_about
from studio.jobs.background import Background
from studio.settings import Settings
from studio.state import AppState
from studio.views.export_page import ExportPage

from .shell_fakes import small_model


def _check() -> None:
    return None


def test_dense_and_zipped_are_the_bytes_of_real_files(tmp_path: Path) -> None:
    model = small_model(zeros=200)
    sizes = opened_sizes(model, _check)
    path = tmp_path / "model.safetensors"
    save_opened(model, path)
    assert sizes.dense == path.stat().st_size
    archive = tmp_path / "model.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as zipped:
        zipped.write(path, "model.safetensors")
    # A file that is streamed carries its length behind itself, in 16 bytes that `write` does not need.
    assert sizes.zipped == pytest.approx(archive.stat().st_size, abs=16)
    assert (sizes.weights, sizes.nonzero_weights, sizes.other) == (444, 244, 16)


def test_packed_is_the_size_of_the_real_file_and_leaves_the_zeros_out(tmp_path: Path) -> None:
    dense, sparse = opened_sizes(small_model(), _check), opened_sizes(small_model(zeros=300), _check)
    save_opened_packed(small_model(zeros=300), tmp_path / "model.packed")
    assert sparse.packed == (tmp_path / "model.packed").stat().st_size
    assert dense.packed - sparse.packed > 300 * 3
    assert dense.dense == sparse.dense


def test_the_words_say_why_and_what_would_help() -> None:
    assert "no zeros to leave out" in words_about(opened_sizes(small_model(), _check))
    assert "too few zeros" in words_about(opened_sizes(small_model(zeros=3), _check))
    words = words_about(opened_sizes(small_model(zeros=300), _check))
    assert "Zeros do not shrink a dense file" in words
    assert "144 of 444 prunable weights are not zero" in words


def test_every_size_names_its_encoding() -> None:
    rows = size_rows(opened_sizes(small_model(), _check), 2000)
    assert [row.label for row in rows] == ["Opened file", "Dense", "Packed file", "Zipped"]
    assert all(row.note and row.exact.endswith(" bytes") for row in rows)


class _Scene:
    def __init__(self, qtbot: QtBot, state: AppState, background: Background, profile: Path) -> None:
        self.window = QWidget()
        qtbot.addWidget(self.window)
        self.page = ExportPage()
        qtbot.addWidget(self.page)
        self.controller = ExportController(state, background, Settings(profile), self.page, self.window)
        self.page.show()

    def texts(self) -> set[str]:
        return {label.text() for label in self.page.findChildren(QLabel) if label.isVisible()}


@pytest.fixture
def scene(qtbot: QtBot, state: AppState, background: Background, profile: Path) -> _Scene:
    return _Scene(qtbot, state, background, profile)


def test_an_empty_page_says_what_will_be_here(scene: _Scene) -> None:
    assert scene.page.notice.state == "empty"


def test_sizes_are_counted_when_somebody_looks(qtbot: QtBot, state: AppState, scene: _Scene) -> None:
    state.set_model(small_model(zeros=300))
    assert "Packed file" not in scene.texts()
    scene.controller.workspace_changed("export")
    qtbot.waitUntil(lambda: "Packed file" in scene.texts())
    state.set_model(small_model())
    qtbot.waitUntil(lambda: any("no zeros to leave out" in text for text in scene.texts()))


def test_saving_writes_a_file_that_reopens(
    qtbot: QtBot, state: AppState, scene: _Scene, tmp_path: Path
) -> None:
    state.set_model(small_model(zeros=300))
    target = tmp_path / "saved.safetensors"
    with qtbot.waitSignal(state.message) as signal:
        scene.controller.save_to(target)
    assert "saved.safetensors" in signal.args[0]
    checkpoint = open_checkpoint(target)
    assert checkpoint.metadata["architecture"] == "zoo:small"
    assert (checkpoint.read("fc1.weight") == 0).sum() == 300
    checkpoint.close()


def test_saving_packed_writes_a_small_file_that_reopens(
    qtbot: QtBot, state: AppState, scene: _Scene, tmp_path: Path
) -> None:
    state.set_model(small_model(zeros=300))
    target = tmp_path / "saved.packed"
    with qtbot.waitSignal(state.message) as signal:
        scene.controller.save_packed_to(target)
    assert "saved.packed" in signal.args[0]
    with open_checkpoint(target) as checkpoint:
        assert checkpoint.metadata["architecture"] == "zoo:small"
        assert (checkpoint.read("fc1.weight") == 0).sum() == 300


def test_the_buttons_ask_where_to_save(qtbot: QtBot, state: AppState, scene: _Scene) -> None:
    state.set_model(small_model())
    for button, suffix in (("saveModel", "safetensors"), ("savePacked", "packed")):
        scene.page.findChild(QPushButton, button).click()
        dialog = scene.window.findChild(QFileDialog, "saveDialog")
        assert dialog.defaultSuffix() == suffix
        with qtbot.waitSignal(dialog.destroyed):
            dialog.reject()


def test_a_place_that_cannot_be_written_is_said_in_place(
    qtbot: QtBot, state: AppState, scene: _Scene, tmp_path: Path
) -> None:
    state.set_model(small_model())
    scene.controller.workspace_changed("export")
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    scene.controller.save_to(blocked / "x.safetensors")
    qtbot.waitUntil(lambda: scene.page.save_notice.state == "failed")
    assert "x.safetensors was not written" in scene.page.save_notice.text


def test_the_recipe_can_be_saved_only_when_there_is_one(state: AppState, scene: _Scene) -> None:
    button = scene.page.findChild(QPushButton, "saveRecipe")
    assert not button.isEnabled()
    state.set_recipe(Recipe(steps=(PruneSettings(),)))
    assert button.isEnabled()
