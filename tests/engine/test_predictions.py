"""Predictions that runs keep: what the file holds, who may be compared, how images come back, what the CLI tells."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core import pipeline
from core.cli import main
from core.data.catalog import load_task
from core.data.gallery import Gallery
from core.data.spec import TaskSpec
from core.data.split import Split
from core.data.task import TEST
from core.distillation.settings import DistillSettings
from core.errors import StudioError
from core.events import ArtifactWritten, Finished, Interrupted, Measured, StepStarted
from core.history.flips import pair_between, pairs_within, predictions_of
from core.history.records import Artifact
from core.history.store import open_history
from core.job import JobContext
from core.measurement.keeping import answers_from, keep_answers
from core.measurement.predictions import (
    AFTER,
    BEFORE,
    FILE_NAME,
    KIND,
    TEACHER,
    Predictions,
    read_predictions,
    require_same_examples,
)
from core.models.opening import load_module
from core.models.source import SAMPLE
from core.recipe import Recipe
from core.request import RunRequest
from core.steps import FineTuneSettings, PruneSettings, StepSettings

from .history_samples import request, whole_run

DIGITS = TaskSpec("digits")


class Session(JobContext):
    """Collects events; interrupts itself at the first one of a kind."""

    def __init__(self, folder: Path, *, stop_on: type | None = None, resume: bool = False) -> None:
        self.events: list[object] = []
        self._stop_on = stop_on
        super().__init__("run", self._note, folder, resume=resume)

    def _note(self, event: object) -> None:
        self.events.append(event)
        if self._stop_on is not None and isinstance(event, self._stop_on):
            self.request_interrupt()

    def run(self, *steps: StepSettings, task: TaskSpec | None = DIGITS) -> "Session":
        recipe = Recipe(steps=steps)
        pipeline.run(RunRequest(recipe, SAMPLE, task, threads=1, device="cpu", measure_latency=False), self)
        return self

    @property
    def announced(self) -> list[ArtifactWritten]:
        return [e for e in self.events if isinstance(e, ArtifactWritten) and e.kind == KIND]


def accuracy(predictions: Predictions, who: str) -> float:
    return float((predictions.answers[who].predicted == predictions.labels).mean())


def test_a_run_keeps_what_it_measured_on(tmp_path: Path) -> None:
    session = Session(tmp_path).run(PruneSettings(sparsity=0.9))
    kept = read_predictions(tmp_path / FILE_NAME)
    for event in session.events:
        if isinstance(event, Measured):
            assert event.measurement.accuracy is not None
            assert accuracy(kept, event.stage) == event.measurement.accuracy.value
    assert list(kept.answers) == [BEFORE, AFTER]
    assert (kept.split, kept.title, kept.result) == ("test", "Digits (8×8, built in)", AFTER)
    (announced,) = session.announced
    assert announced.path == str(tmp_path / FILE_NAME)
    assert announced.size == (tmp_path / FILE_NAME).stat().st_size < 8_000
    # Against a forward pass of our own, in double precision.
    split = load_task(DIGITS, parts=frozenset({TEST})).test
    assert split is not None
    inputs, labels = split.batch(torch.arange(len(split)))
    outputs = load_module(SAMPLE).module.double().eval()(inputs.double()).detach()
    before = kept.answers[BEFORE]
    assert np.array_equal(kept.labels, labels.numpy())
    assert np.array_equal(before.predicted, outputs.argmax(1).numpy())
    assert np.allclose(before.confidence, outputs.softmax(1).amax(1).numpy(), atol=1e-3)


def test_only_measuring_keeps_one_answer_and_no_task_keeps_none(tmp_path: Path) -> None:
    session = Session(tmp_path / "measured").run()
    kept = read_predictions(tmp_path / "measured" / FILE_NAME)
    assert (list(kept.answers), kept.result, len(session.announced)) == ([BEFORE], BEFORE, 1)
    with pytest.raises(StudioError, match="only measured a model"):
        pairs_within(kept)
    (tmp_path / "alone").mkdir()
    session = Session(tmp_path / "alone").run(PruneSettings(), task=None)
    assert isinstance(session.events[-1], Finished)
    assert not session.announced
    assert not (tmp_path / "alone" / FILE_NAME).exists()


def test_an_interrupted_run_keeps_the_same_bytes(tmp_path: Path) -> None:
    steps = (PruneSettings(sparsity=0.9), FineTuneSettings(epochs=1))
    Session(tmp_path / "whole").run(*steps)
    first = Session(tmp_path / "cut", stop_on=StepStarted).run(*steps)
    assert isinstance(first.events[-1], Interrupted)
    assert list(read_predictions(tmp_path / "cut" / FILE_NAME).answers) == [BEFORE]
    second = Session(tmp_path / "cut", resume=True).run(*steps)
    assert isinstance(second.events[-1], Finished)
    assert (tmp_path / "cut" / FILE_NAME).read_bytes() == (tmp_path / "whole" / FILE_NAME).read_bytes()


def test_a_run_begun_by_an_older_version_still_ends(tmp_path: Path) -> None:
    steps = (PruneSettings(sparsity=0.9),)
    Session(tmp_path, stop_on=StepStarted).run(*steps)
    (tmp_path / FILE_NAME).write_bytes(b"damaged")
    assert isinstance(Session(tmp_path, resume=True).run(*steps).events[-1], Finished)
    kept = read_predictions(tmp_path / FILE_NAME)
    assert list(kept.answers) == [AFTER]
    with pytest.raises(StudioError, match="begun by a version that kept no predictions"):
        pairs_within(kept)


def test_cancelling_leaves_no_predictions(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session._note = lambda event: session.request_cancel() if isinstance(event, Measured) else None  # type: ignore[method-assign]
    session._emit = session._note
    session.run(PruneSettings())
    assert not (tmp_path / FILE_NAME).exists()


def test_distillation_keeps_the_teacher_s_answers(tmp_path: Path) -> None:
    step = DistillSettings(teachers=("source",), iterations=4, batch_size=64)
    session = Session(tmp_path).run(PruneSettings(sparsity=0.95), step)
    assert isinstance(session.events[-1], Finished)
    kept = read_predictions(tmp_path / FILE_NAME)
    assert list(kept.answers) == [BEFORE, AFTER, TEACHER]
    # The teacher is the source.
    assert np.array_equal(kept.answers[TEACHER].predicted, kept.answers[BEFORE].predicted)
    pairs = pairs_within(kept)
    assert [pair.title for pair in pairs] == ["before → after", "teacher → student"]
    assert "the teacher is right on" in pairs[1].sentence
    assert (pairs[1].first, pairs[1].second) == ("teacher", "student")


def test_fingerprints_tell_examples_orders_and_labels_apart() -> None:
    images = torch.arange(5 * 3 * 4 * 4, dtype=torch.uint8).view(5, 3, 4, 4)
    labels = torch.arange(5)
    mean, std = (0.5,) * 3, (1.0,) * 3
    first = Split("test", images, labels, mean, std).fingerprint()
    assert Split("all", images.clone(), labels.clone(), std, std).fingerprint() == first
    changed = images.clone()
    changed[4, 0, 0, 0] += 1
    others = [
        Split("test", changed, labels, mean, std),
        Split("test", images.flip(0), labels, mean, std),
        Split("test", images, labels.flip(0), mean, std),
        Split("test", images[:4], labels[:4], mean, std),
        Split("test", images.view(5, 3, 2, 8), labels, mean, std),
    ]
    found = {other.fingerprint() for other in others}
    assert len(found) == len(others)
    assert first not in found
    looks: list[int] = []
    Split("test", images, labels, mean, std).fingerprint(lambda: looks.append(1))
    assert looks


def test_only_the_same_examples_are_compared(tmp_path: Path) -> None:
    Session(tmp_path).run(PruneSettings())
    kept = read_predictions(tmp_path / FILE_NAME)
    names = ("run 1", "run 2")
    require_same_examples(kept, kept, names)
    with pytest.raises(StudioError, match="has changed between them"):
        require_same_examples(kept, replace(kept, fingerprint="0"), names)
    with pytest.raises(StudioError, match=r"run 1 was judged on Digits .* and run 2 on MNIST"):
        require_same_examples(kept, replace(kept, fingerprint="0", title="MNIST"), names)
    with pytest.raises(StudioError, match="on 450 examples and run 2 on 7"):
        require_same_examples(kept, replace(kept, fingerprint="0", labels=kept.labels[:7]), names)


def test_damaged_foreign_and_missing_files_are_told(tmp_path: Path) -> None:
    Session(tmp_path).run(PruneSettings())
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    with pytest.raises(StudioError, match="no longer there"):
        read_predictions(tmp_path / "gone")
    path.write_bytes(whole[:-40])
    with pytest.raises(StudioError, match="is damaged"):
        read_predictions(path)
    path.write_bytes(whole.replace(b"predictions 1", b"predictions 9"))
    with pytest.raises(StudioError, match="another version"):
        read_predictions(path)
    # The greatest class is 9; the file must not be able to point beyond the names.
    path.write_bytes(whole.replace(b'\\"9\\"]', b'"]    '))
    with pytest.raises(StudioError, match="is damaged"):
        read_predictions(path)
    path.write_bytes(whole)
    read_predictions(path)


def test_runs_without_predictions_say_why(tmp_path: Path) -> None:
    with open_history(tmp_path / "history.db") as store:
        asked = request()
        store.add_run(asked)
        queued = store.run(asked.run_id)
        with pytest.raises(StudioError, match="once it is finished"):
            predictions_of(queued, ())
        store.record(whole_run(asked.run_id))
        record = store.run(asked.run_id)
        assert store.artifacts(asked.run_id)
        with pytest.raises(StudioError, match="by a version that kept no predictions: run it again"):
            predictions_of(record, store.artifacts(asked.run_id))
        with pytest.raises(StudioError, match="was cancelled, so it has no predictions"):
            predictions_of(replace(record, status="cancelled"), ())
        assert record.after is not None
        bare = replace(record.after, accuracy=None)
        with pytest.raises(StudioError, match="accuracy was not measured"):
            predictions_of(replace(record, after=bare), ())
        gone = (Artifact(KIND, str(tmp_path / "gone"), 1, ""),)
        with pytest.raises(StudioError, match="no longer there"):
            predictions_of(record, gone)


def test_two_runs_against_each_other(tmp_path: Path) -> None:
    with open_history(tmp_path / "history.db") as store:
        asked = request()
        store.add_run(asked)
        store.record(whole_run(asked.run_id))
        record = store.run(asked.run_id)
    kept = []
    for sparsity in (0.5, 0.97):
        folder = tmp_path / str(sparsity)
        folder.mkdir()
        Session(folder).run(PruneSettings(sparsity=sparsity))
        kept.append(read_predictions(folder / FILE_NAME))
    pair = pair_between((record, kept[0]), (replace(record, number=2, name="half"), kept[1]))
    assert (pair.first, pair.second, pair.title) == ("#1", "#2", "#1 → #2 half")
    assert pair.flips.right_first == round(450 * accuracy(kept[0], AFTER))
    assert pair.flips.right_second == round(450 * accuracy(kept[1], AFTER))
    assert "run 2 is worse by" in pair.sentence


# -- images


def test_images_of_a_built_in_task_come_back() -> None:
    split = load_task(DIGITS, parts=frozenset({TEST})).test
    assert split is not None
    names = [str(digit) for digit in range(10)]
    gallery = Gallery(DIGITS, split.labels.numpy(), names)
    images = gallery.images([7, 3])
    assert images.shape == (2, 8, 8, 1)
    expected = split.images[[7, 3]].permute(0, 2, 3, 1)
    if expected.dtype != torch.uint8:
        expected = (expected * 255).round()
    assert np.array_equal(images, expected.numpy())
    assert len(gallery.images([])) == 0
    with pytest.raises(StudioError, match="have changed"):
        Gallery(DIGITS, split.labels.numpy()[:-1], names)


def test_images_of_a_folder_are_decoded_when_they_are_wanted(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for part, each in (("train", 3), ("test", 2)):
        for label in ("cat", "dog"):
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            for number in range(each):
                pixels = generator.integers(0, 256, (6, 6, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    spec = TaskSpec("folder", folder=str(tmp_path))
    split = load_task(spec, parts=frozenset({TEST})).test
    assert split is not None
    # What nobody asks for is not even opened.
    (tmp_path / "test" / "cat" / "0.png").write_bytes(b"broken")
    gallery = Gallery(spec, split.labels.numpy(), ("cat", "dog"))
    assert np.array_equal(gallery.images([3, 1]), split.images[[3, 1]].permute(0, 2, 3, 1).numpy())
    with pytest.raises(StudioError, match="not an image that can be read"):
        gallery.images([0])
    (tmp_path / "test" / "cat" / "0.png").unlink()
    with pytest.raises(StudioError, match="have changed"):
        Gallery(spec, split.labels.numpy(), ("cat", "dog"))
    with pytest.raises(StudioError, match="is not a folder"):
        Gallery(TaskSpec("folder", folder=str(tmp_path / "gone")), split.labels.numpy(), ("cat", "dog"))


def test_keeping_is_of_the_split_that_is_judged(tmp_path: Path) -> None:
    task = load_task(DIGITS)
    assert task.test is not None
    assert task.validation is not None
    given = answers_from(task.test.labels, torch.ones(len(task.test)))
    keep_answers(tmp_path, task, task.test, BEFORE, given)
    other = answers_from(task.validation.labels, torch.ones(len(task.validation)))
    keep_answers(tmp_path, task, task.validation, AFTER, other)
    # Answers to other examples never stand beside each other.
    assert list(read_predictions(tmp_path / FILE_NAME).answers) == [AFTER]


# -- the command line


def test_the_command_tells_sentence_counts_and_classes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    db = str(tmp_path / "runs.db")
    for number, sparsity in enumerate((0.3, 0.97)):
        recipe = tmp_path / f"{number}.json"
        recipe.write_text(json.dumps({"name": "p", "steps": [{"step": "prune", "sparsity": sparsity}]}))
        assert main(["run", str(recipe), "--db", db, "--no-latency"]) == 0
    capsys.readouterr()
    assert main(["flips", "2", "--db", db]) == 0
    text = capsys.readouterr().out
    assert text.startswith("On 450 test examples the model before is right on ")
    assert "after right" in text
    assert "newly wrong" in text
    table = tmp_path / "flipped.csv"
    assert main(["flips", "1", "2", "--db", db, "--json", "--csv", str(table)]) == 0
    (data,) = json.loads(capsys.readouterr().out)
    counts = data["counts"]
    assert sum(counts.values()) == data["examples"] == 450
    assert data["difference"] == pytest.approx((counts["newly right"] - counts["newly wrong"]) / 450)
    assert data["interval95"][0] < data["difference"] < data["interval95"][1]
    assert len(data["changed"]["newly wrong"]) == counts["newly wrong"] > 0
    lines = table.read_text().splitlines()
    assert lines[0] == "example,kind,true class,#1,#1 confidence,#2,#2 confidence"
    changed = sum(counts[kind] for kind in ("newly wrong", "newly right", "changed, both wrong"))
    assert len(lines) == 1 + changed
    page = tmp_path / "report.html"
    assert main(["report", "1", "2", "--db", db, "--out", str(page)]) == 0
    html = page.read_text()
    assert "On 450 test examples run 1 is right on" in html
    assert "McNemar" in html
    assert main(["report", "2", "--db", db, "--out", str(page)]) == 0
    assert "On 450 test examples the model before is right on" in page.read_text()
    # A run that travels as zip takes its predictions along.
    other = str(tmp_path / "other" / "runs.db")
    assert main(["pack", "2", "--db", db, "--out", str(tmp_path / "run.zip")]) == 0
    assert main(["unpack", str(tmp_path / "run.zip"), "--db", other]) == 0
    capsys.readouterr()
    assert main(["flips", "1", "--db", other]) == 0
    assert capsys.readouterr().out == text
    assert main(["flips", "1", "2", "1", "--db", db]) == 0
    last = capsys.readouterr().out.split("p (Holm)")[1].splitlines()
    assert last[1].startswith("#1 → #2 ")
    assert last[2].startswith("#1 → #1 ")
    assert main(["flips", "1", "2", "1", "--db", db, "--csv", str(table)]) == 2
    assert "one comparison" in capsys.readouterr().err
