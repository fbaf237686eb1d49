"""Tensors streamed from files give the same figures as the same tensors in memory, whatever their type and size."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from core.analysis import acceleration, histogram, statistics, stream
from core.analysis.distributions import NamedWeights, distributions
from core.analysis.stream import analyse, analyse_tensor
from core.analysis.summary import THUMBNAIL_BINS, summarize, summarize_tensor
from core.errors import StudioError
from core.models.checkpoint import Checkpoint, open_checkpoint
from core.models.elements import ArrayElements
from core.models.opened import OpenedModel
from core.models.opening import open_model
from core.models.source import ModelSource

from .checkpoint_files import as_numpy, save

GENERATOR = torch.Generator().manual_seed(5)
LARGE = torch.randn(700, 501, generator=GENERATOR)
STATE = {
    "float32": LARGE,
    "bfloat16": LARGE.to(torch.bfloat16),
    "float16": LARGE.to(torch.float16),
    "few bfloat16": LARGE[:5].to(torch.bfloat16),
    "float64": LARGE.to(torch.float64),
    "float8": LARGE.to(torch.float8_e4m3fn),
    "int8": (LARGE * 40).clamp(-128, 127).to(torch.int8),
    "uint8": (LARGE * 40 + 128).clamp(0, 255).to(torch.uint8),
    "int64": (LARGE * 1e6).to(torch.int64),
    "bool": LARGE > 1,
    "complex": torch.complex(LARGE, LARGE.flip(0)),
    "spoilt": LARGE.clone().index_put_((torch.tensor([3]), torch.tensor([7])), torch.tensor(float("nan"))),
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(0, 3),
}


@pytest.fixture(params=["compiled", "numpy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything twice: by compiled loops and by numpy; with pieces so small that there are many."""
    monkeypatch.setattr(stream, "PIECE_BYTES", 100_003 // 16 * 16)
    if request.param == "numpy":
        with acceleration.numpy_only():
            yield
    elif acceleration.load():
        yield
    else:
        pytest.skip("numba is not there")


@pytest.fixture(scope="module", params=["safetensors", "zip"])
def checkpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Checkpoint]:
    state = dict(STATE)
    if request.param == "zip":
        state["turned"] = LARGE.t()
    path = save(tmp_path_factory.mktemp("stream") / f"state.{request.param}", state, request.param)
    with open_checkpoint(path) as found:
        yield found


def opened(checkpoint: Checkpoint) -> OpenedModel:
    description = open_model(ModelSource(kind="sample", name="sample")).description
    return OpenedModel(description, checkpoint.read, checkpoint.tensors, checkpoint.elements)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kept", [0, 1 << 24])
def test_every_tensor_of_a_file_is_counted_as_in_memory(
    checkpoint: Checkpoint, way: None, threads: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "KEPT_BYTES", kept)
    model = opened(checkpoint)
    for name in checkpoint.tensors:
        tensor = checkpoint.read(name)
        found = analyse_tensor(model, name, 100, threads=threads)
        expected = histogram(tensor, 100)
        np.testing.assert_array_equal(found.histogram.edges, expected.edges, err_msg=name)
        np.testing.assert_array_equal(found.histogram.counts, expected.counts, err_msg=name)
        assert found.histogram.zeros == expected.zeros == int(np.count_nonzero(tensor == 0)), name
        assert found.histogram.total == tensor.size, name
        figures = statistics(tensor)
        assert (found.statistics.count, found.statistics.nans) == (figures.count, figures.nans), name
        assert (found.statistics.minimum, found.statistics.maximum) == (figures.minimum, figures.maximum)
        for figure in ("mean", "std", "l1", "l2", "kurtosis"):
            ours, theirs = getattr(found.statistics, figure), getattr(figures, figure)
            assert ours == (theirs if theirs is None else pytest.approx(theirs, rel=1e-9, abs=1e-12)), name


def test_pieces_come_in_order_and_as_they_are_stored(checkpoint: Checkpoint) -> None:
    model = opened(checkpoint)
    pieces = [piece.copy() for piece in model.chunks("bfloat16", 10_000)]
    assert [piece.size for piece in pieces] == [*[10_000] * 35, 700]
    assert pieces[0].dtype == np.uint16
    bits = STATE["bfloat16"].view(torch.int16).numpy().view(np.uint16)
    np.testing.assert_array_equal(np.concatenate(pieces), bits.ravel())
    assert list(model.chunks("empty", 10)) == []


def test_pieces_of_what_is_in_memory_are_views() -> None:
    model = open_model(ModelSource(kind="sample", name="sample"))
    name = model.description.layers[0].weight_name
    joined = np.concatenate([piece.copy() for piece in model.chunks(name, 7)])
    np.testing.assert_array_equal(joined, model.tensor(name).ravel())


def test_sums_do_not_depend_on_which_thread_was_faster(way: None) -> None:
    elements = ArrayElements(as_numpy(LARGE))
    first = analyse(elements, 64)
    for _ in range(5):
        again = analyse(elements, 64, threads=4)
        assert again.statistics == first.statistics
        np.testing.assert_array_equal(again.histogram.counts, first.histogram.counts)


def test_the_histogram_may_have_a_range_of_its_own(way: None) -> None:
    found = analyse(ArrayElements(as_numpy(LARGE)), 40, edges=lambda figures: (-1.0, 1.0))
    counts, edges = np.histogram(as_numpy(LARGE), 40, range=(-1, 1))
    np.testing.assert_array_equal(found.histogram.counts, counts)
    np.testing.assert_array_equal(found.histogram.edges, edges.astype(np.float64))


def test_the_summary_of_a_file_is_that_of_the_array(checkpoint: Checkpoint, way: None) -> None:
    streamed = summarize_tensor(opened(checkpoint), "float32")
    whole = summarize(as_numpy(LARGE))
    np.testing.assert_array_equal(streamed.thumbnail.counts, whole.thumbnail.counts)
    assert streamed.thumbnail.bins == THUMBNAIL_BINS
    assert streamed.statistics == whole.statistics


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float64", "turned"])
@pytest.mark.parametrize("threads", [1, 2])
def test_any_piece_may_be_the_last(checkpoint: Checkpoint, way: None, name: str, threads: int) -> None:
    if name not in checkpoint.tensors:
        pytest.skip("this format keeps tensors in order")
    looks = 0

    class GivenUpError(BaseException):
        pass

    def check() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise GivenUpError

    before = threading.active_count()
    with pytest.raises(GivenUpError):
        analyse_tensor(opened(checkpoint), name, 10, check, threads=threads)
    assert looks <= 2 + threads
    assert threading.active_count() == before


def test_a_file_that_became_shorter_is_told(tmp_path: Path, way: None) -> None:
    path = save(tmp_path / "cut.safetensors", {"weight": LARGE}, "safetensors")
    with open_checkpoint(path) as checkpoint:
        model = opened(checkpoint)
        with path.open("r+b") as stream_of_file:
            stream_of_file.truncate(path.stat().st_size - 100_000)
        for threads in (1, 2):
            with pytest.raises(StudioError, match="has become shorter since it was opened"):
                analyse_tensor(model, "weight", 10, threads=threads)


def test_a_closed_file_is_told(tmp_path: Path) -> None:
    path = save(tmp_path / "closed.safetensors", {"weight": LARGE}, "safetensors")
    checkpoint = open_checkpoint(path)
    model = opened(checkpoint)
    checkpoint.close()
    with pytest.raises(StudioError, match="can no longer be read"):
        analyse_tensor(model, "weight", 10)


def test_closing_the_file_does_not_disturb_a_reading_under_way(tmp_path: Path, way: None) -> None:
    path = save(tmp_path / "open.safetensors", {"weight": LARGE}, "safetensors")
    checkpoint = open_checkpoint(path)
    found = analyse_tensor(opened(checkpoint), "weight", 10, checkpoint.close)
    assert found.statistics.count == LARGE.numel()


def test_layers_too_large_to_keep_are_compared_from_the_file(checkpoint: Checkpoint, way: None) -> None:
    model = opened(checkpoint)
    names = ("float32", "bfloat16", "spoilt")

    def not_read() -> np.ndarray:
        raise AssertionError("the whole tensor was read")

    layers = [
        NamedWeights(name, place, not_read, partial(model.elements, name)) for place, name in enumerate(names)
    ]
    found = distributions(layers, 50)
    kept = distributions([NamedWeights(n, p, partial(checkpoint.read, n)) for p, n in enumerate(names)], 50)
    for streamed, whole in zip(found, kept, strict=True):
        np.testing.assert_array_equal(streamed.histogram.edges, found[0].histogram.edges)
        np.testing.assert_array_equal(streamed.histogram.counts, whole.histogram.counts)
        assert streamed.statistics.nans == whole.statistics.nans
