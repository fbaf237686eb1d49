"""The distillation step: every method learns, runs resume to the same bits, masks stay, and what cannot be is said."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from core import pipeline
from core.data.spec import TaskSpec
from core.distillation.agreement import confusion
from core.distillation.cache import PREFIX
from core.distillation.settings import DistillSettings, StudentSettings
from core.distillation.teachers import Teacher, require_fit
from core.errors import StudioError
from core.events import Failed, Finding, Finished, Interrupted, Measured, MetricPoint, Notice
from core.findings import Table, read_finding
from core.job import JobContext
from core.models.source import SAMPLE, ModelSource
from core.quantization.record import NOT_QUANTIZED
from core.quantization.settings import QuantizeSettings
from core.recipe import Recipe
from core.request import RunRequest
from core.steps import PruneSettings, StepSettings, TrainingSettings

from .toys import toy_state

DIGITS = TaskSpec("digits")
SHORT = {"iterations": 12, "batch_size": 64, "learning_rate": 0.002}
METHODS = ("soft-targets", "logits", "hints", "attention", "relational")


class Session(JobContext):
    """Collects events; interrupts itself after so many checkpoints from the look at the teachers on."""

    def __init__(self, folder: Path, *, stop_at: int | None = None, resume: bool = False) -> None:
        self.events: list[object] = []
        self._left = stop_at
        folder.mkdir(exist_ok=True)
        super().__init__("run", self.events.append, folder, resume=resume)

    def checkpoint(self) -> None:
        if self._left is not None and "is right on" in self.notices():
            self._left -= 1
            if self._left == 0:
                self.request_interrupt()
        super().checkpoint()

    def notices(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, Notice))


def run(folder: Path, *steps: StepSettings, source: ModelSource = SAMPLE, **more: object) -> Session:
    request = RunRequest(Recipe(steps=steps), source, DIGITS, threads=1, device="cpu", measure_latency=False)
    session = Session(folder)
    pipeline.run(replace(request, **more), session)  # type: ignore[arg-type]
    return session


def result(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / pipeline.RESULT)


def accuracy_of_teacher(session: Session) -> float:
    """That which the run says in words."""
    (said,) = re.findall(r"is right on ([\d.]+) %", session.notices())
    right = round(float(said) * 150 / 100)
    return float(torch.tensor(right / 150, dtype=torch.float32))


@pytest.mark.parametrize("method", METHODS)
def test_a_narrow_student_learns_by_every_method(tmp_path: Path, method: str) -> None:
    session = run(
        tmp_path,
        StudentSettings(width=0.5),
        DistillSettings(method=method, epochs=4, learning_rate=0.003, batch_size=32),  # type: ignore[arg-type]
    )
    assert isinstance(session.events[-1], Finished), session.events[-1]
    points = [e for e in session.events if isinstance(e, MetricPoint)]
    accuracy = [p.value for p in points if (p.split, p.metric) == ("validation", "accuracy")]
    assert accuracy[-1] > accuracy[0] + 0.3
    assert {p.value for p in points if p.split == "teacher"} == {accuracy_of_teacher(session)}
    after = [e.measurement for e in session.events if isinstance(e, Measured)][-1]
    assert after.parameters < 16_000
    tensors = result(tmp_path)
    assert tensors["conv1.weight"].shape[0] == 8
    opened = run(tmp_path / "again", source=ModelSource("file", str(tmp_path / pipeline.RESULT)))
    again = next(e.measurement for e in opened.events if isinstance(e, Measured))
    assert again.accuracy == after.accuracy


def test_prune_distil_quantize_keeps_zeros_at_zero(tmp_path: Path) -> None:
    session = run(
        tmp_path, PruneSettings(sparsity=0.9), DistillSettings(**SHORT), QuantizeSettings(examples=64)
    )
    assert isinstance(session.events[-1], Finished), session.events[-1]
    after = [e.measurement for e in session.events if isinstance(e, Measured)][-1]
    assert after.sparsity >= 0.9
    tables = {e.kind: e for e in session.events if isinstance(e, Finding)}
    classes = read_finding(tables["distillation-classes"].data)
    assert isinstance(classes, Table)
    assert len(classes.rows) == 10
    assert sum(row[1] for row in classes.rows) == 450
    agreement = read_finding(tables["distillation-agreement"].data)
    assert isinstance(agreement, Table)
    assert sum(row[1] for row in agreement.rows) == 450
    assert "Digits sample (the source)" in session.notices()


def test_outputs_that_are_kept_give_the_same_bits_as_those_asked_for(tmp_path: Path) -> None:
    first = run(tmp_path / "kept", PruneSettings(sparsity=0.8), DistillSettings(**SHORT))
    second = run(tmp_path / "asked", PruneSettings(sparsity=0.8), DistillSettings(**SHORT, cache=False))
    assert "keeps the teacher’s outputs for 1,197 examples" in first.notices()
    assert "keeps" not in second.notices()
    kept, asked = result(tmp_path / "kept"), result(tmp_path / "asked")
    for name, tensor in kept.items():
        # Batches of other sizes add in another order.
        assert torch.allclose(tensor, asked[name], atol=1e-5)
    assert not list((tmp_path / "kept").glob(f"{PREFIX}*"))


@pytest.mark.parametrize(
    ("settings", "at"),
    [
        ({"teachers": ("self",), "augmentation": "shift"}, 7),
        ({"method": "hints"}, 7),
        # Ten batches are asked about before the first update.
        ({"teachers": ("source", "self")}, 17),
        ({"teachers": ("source", "self")}, 4),
    ],
    ids=["self", "hints", "kept", "asking"],
)
def test_an_interrupted_run_resumes_to_the_same_bits(tmp_path: Path, settings: dict, at: int) -> None:
    steps = (StudentSettings(width=0.5, weights="inherited"), DistillSettings(**SHORT, **settings))
    whole = run(tmp_path / "whole", *steps)
    assert isinstance(whole.events[-1], Finished), whole.events[-1]
    request = RunRequest(Recipe(steps=steps), SAMPLE, DIGITS, threads=1, device="cpu", measure_latency=False)
    cut = Session(tmp_path / "cut", stop_at=at)
    pipeline.run(request, cut)
    assert isinstance(cut.events[-1], Interrupted)
    resumed = Session(tmp_path / "cut", resume=True)
    pipeline.run(request, resumed)
    assert isinstance(resumed.events[-1], Finished), resumed.events[-1]
    expected, found = result(tmp_path / "whole"), result(tmp_path / "cut")
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name


def test_another_architecture_as_student_resumes_and_reopens(tmp_path: Path) -> None:
    steps = (StudentSettings(architecture="zoo:digits-cnn"), DistillSettings(**SHORT))
    whole = run(tmp_path / "whole", *steps)
    assert isinstance(whole.events[-1], Finished), whole.events[-1]
    before = result(tmp_path / "whole")
    assert not torch.equal(before["conv1.weight"], torch.zeros_like(before["conv1.weight"]))
    again = run(tmp_path / "again", source=ModelSource("file", str(tmp_path / "whole" / pipeline.RESULT)))
    assert isinstance(again.events[-1], Finished)


def test_labels_are_not_needed_for_transfer_images(tmp_path: Path) -> None:
    images = tmp_path / "images" / "deep"
    images.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for number in range(20):
        values = torch.randint(0, 256, (8, 8), generator=generator, dtype=torch.uint8)
        Image.fromarray(values.numpy()).save(images / f"{number}.png")
    session = run(
        tmp_path / "run", DistillSettings(**SHORT, hard_weight=0, transfer=str(tmp_path / "images"))
    )
    assert isinstance(session.events[-1], Finished), session.events[-1]
    assert "for 20 examples" in session.notices()
    assert not [
        e
        for e in session.events
        if isinstance(e, MetricPoint) and e.split == "train" and e.metric == "accuracy"
    ]


def test_a_class_left_out_is_never_seen(tmp_path: Path) -> None:
    session = run(
        tmp_path,
        StudentSettings(width=0.5),
        DistillSettings(epochs=4, learning_rate=0.003, leave_out=("3",), correct_biases=True),
    )
    assert isinstance(session.events[-1], Finished), session.events[-1]
    assert "keeps the teacher’s outputs for 1,075 examples" in session.notices()
    assert "raising the biases of the classes left out" in session.notices()


def test_a_worse_teacher_is_warned_of_but_not_refused(tmp_path: Path) -> None:
    session = run(tmp_path, DistillSettings(**SHORT, teachers=("zoo:digits-cnn",)))
    assert isinstance(session.events[-1], Finished)
    assert "the teacher is worse than the student" in session.notices()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"teachers": ("zoo:resnet20",)}, "expects images of 32 × 32 pixels"),
        ({"teachers": ("nothing.pt",)}, "nothing.pt"),
        ({"teachers": ("zoo:resnet21",)}, "resnet20"),
        ({"method": "hints", "pairs": {"conv9": "conv1"}}, "the student has no layer “conv9”"),
        ({"method": "hints", "pairs": {"conv1": "fc1"}}, "cannot be projected"),
        ({"method": "attention", "pairs": {"fc1": "conv1"}}, "attention needs maps"),
        ({"hard_weight": 0, "transfer": "nowhere"}, "nowhere is no folder"),
        ({"leave_out": ("eleven",)}, "has no class “eleven”"),
        ({"correct_biases": True}, "nothing to correct"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(tmp_path: Path, settings: dict, words: str) -> None:
    session = run(tmp_path, DistillSettings(**{**SHORT, **settings}))
    end = session.events[-1]
    assert isinstance(end, Failed), end
    assert not end.bug, end.details
    assert words in end.message
    assert end.message.endswith((".", "?"))
    assert not [event for event in session.events if isinstance(event, MetricPoint)]


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"hard_weight": 1.0},
        {"hard_weight": 0.5, "transfer": "folder"},
        {"teachers": ()},
    ],
)
def test_settings_without_sense_are_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match="validation error"):
        DistillSettings(**settings)


def test_other_classes_are_named() -> None:
    state = toy_state(DistillSettings())
    module = nn.Sequential(nn.Flatten(), nn.Linear(36, 7)).eval()
    teacher = Teacher("big.pt", module, module, state.description, NOT_QUANTIZED)
    with pytest.raises(StudioError, match="tells 7 classes apart, but Toy has 3"):
        require_fit(teacher, state)


def test_regularisation_drops_inputs_and_bounds_norms(tmp_path: Path) -> None:
    settings = DistillSettings(**SHORT, dropout=0.5, input_dropout=0.2, max_norm=0.4, keep="last")
    assert isinstance(settings, TrainingSettings)
    session = run(tmp_path, settings)
    assert isinstance(session.events[-1], Finished), session.events[-1]
    tensors = result(tmp_path)
    for name in ("conv1", "conv2", "conv3", "fc1", "fc2"):
        assert float(tensors[f"{name}.weight"].flatten(1).norm(dim=1).max()) <= 0.4 * (1 + 1e-5)


def test_confusions_are_counted() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(1)
    labels, predicted = torch.randint(0, 5, (2, 300), generator=generator)
    expected = sklearn.confusion_matrix(labels.numpy(), predicted.numpy(), labels=range(5))
    assert confusion(predicted, labels, 5).numpy().tolist() == expected.tolist()
