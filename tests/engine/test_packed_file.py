"""Packed files: every bit comes back, sizes are those of the file, and damaged ones are refused in a sentence."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.cli import main
from core.errors import StudioError
from core.export.packed_file import packed_size, save_opened_packed, save_packed
from core.export.safetensors_file import metadata_of
from core.measurement.size import dense_bytes
from core.models.byte_coding import CODINGS, CodingError, Stream, code, decode
from core.models.checkpoint import open_checkpoint
from core.models.checkpoint_packed import PREFIX, VERSION
from core.models.context_coding import decode_bytes, decode_places, encode_places
from core.models.opening import load_module, open_model
from core.models.packed_encoding import ELEMENTS_PER_BYTE, FREE_ELEMENTS, decode_elements, encode
from core.models.source import SAMPLE, ModelSource

from .checkpoint_files import as_numpy, small_state
from .test_checkpoint_mutations import read_or_refuse

some = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def with_zeros(shape: tuple[int, ...], density: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator)
    return torch.where(torch.rand(shape, generator=generator) < density, values, 0.0)


def bits(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    return as_numpy(tensor).reshape(-1).view(np.uint8)


# -- encodings


@some
@given(
    size=st.integers(0, 700),
    itemsize=st.sampled_from((1, 2, 4, 8)),
    density=st.sampled_from((0.0, 0.002, 0.1, 0.5, 1.0)),
    distinct=st.sampled_from((1, 3, 256, 1 << 62)),
    seed=st.integers(0, 1000),
)
def test_any_elements_come_back(size: int, itemsize: int, density: float, distinct: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    kind = np.dtype(f"u{itemsize}")
    values = random.integers(0, min(distinct, np.iinfo(kind).max), size, dtype=kind, endpoint=True)
    elements = np.where(random.random(size) < density, values, 0).astype(kind)
    encoded = encode(elements)
    again = decode_elements(encoded.positions, encoded.values, encoded.streams, size, itemsize)
    assert again.dtype == kind
    assert np.array_equal(again, elements)
    assert encode(elements.copy()) == encoded


@pytest.mark.parametrize("density", [0.5, 0.1, 0.01, 0.001])
def test_zeros_cost_little_more_than_their_entropy(density: float) -> None:
    weights = with_zeros((400, 1000), density).numpy().reshape(-1).view(np.uint32)
    encoded = encode(weights)
    found = density * weights.size
    entropy = -(density * np.log2(density) + (1 - density) * np.log2(1 - density)) * weights.size / 8
    assert encoded.values == "planes"
    assert encoded.stored < 1.04 * entropy + 4 * found


def test_shared_values_become_a_codebook() -> None:
    book = torch.randn(32, generator=torch.Generator().manual_seed(1))
    indices = torch.randint(0, 32, (300, 100), generator=torch.Generator().manual_seed(2))
    weights = torch.where(with_zeros((300, 100), 0.08) != 0, book[indices], 0.0)
    encoded = encode(weights.numpy().reshape(-1).view(np.uint32))
    assert encoded.values == "codebook"
    # 5 bits for each index and 0.402 for each place: about 27 times smaller than float32.
    assert encoded.stored < 30_000 * (0.08 * 5.1 + 0.42) / 8 + 4 * 32


def test_minus_zero_and_nan_are_values() -> None:
    weights = np.zeros(1000, np.float32)
    weights[3], weights[500], weights[999] = -0.0, np.nan, np.inf
    encoded = encode(weights.view(np.uint32))
    again = decode_elements(encoded.positions, encoded.values, encoded.streams, 1000, 4)
    assert np.array_equal(again, weights.view(np.uint32))


def test_whole_rows_of_zeros_are_found() -> None:
    weights = torch.randn(256, 512)
    weights[::2] = 0
    encoded = encode(weights.numpy().reshape(-1).view(np.uint32))
    assert encoded.stored < 4 * 128 * 512 + 1000


@some
@given(st.binary(max_size=3000), st.integers(1, 40))
def test_any_bytes_come_back(data: bytes, repeat: int) -> None:
    plain = np.frombuffer(data * repeat, np.uint8)
    stream = code(plain)
    assert len(stream.data) <= plain.size
    assert np.array_equal(decode(stream), plain)


def test_a_stream_that_goes_on_is_cut_short() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = bomb.compress(bytes(50_000_000)) + bomb.flush()
    for coding in CODINGS:
        with pytest.raises(CodingError):
            decode(Stream(coding, 100, data))


# -- files


def state() -> dict[str, torch.Tensor]:
    return {
        **small_state(),
        "sparse": with_zeros((40, 50), 0.1),
        "sparser": with_zeros((100, 100), 0.01),
        "zeros": torch.zeros(33, 7),
        "empty": torch.zeros(0, 4),
        "scalar": torch.tensor(2.5),
        "wide": torch.arange(20, dtype=torch.int64),
        "small": with_zeros((30, 10), 0.2).to(torch.float16),
        "int8": (with_zeros((30, 30), 0.3) * 20).to(torch.int8),
    }


def test_a_file_gives_back_every_bit_and_weighs_what_was_said(tmp_path: Path) -> None:
    tensors, metadata = state(), {"format": "compression-studio", "ünïcode": 'quote " and \n'}
    path = tmp_path / "model.packed"
    save_packed(tensors, path, metadata)
    assert packed_size(tensors, metadata) == path.stat().st_size
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.format == "packed"
        assert checkpoint.metadata == metadata
        assert list(checkpoint.tensors) == list(tensors)
        for name, tensor in tensors.items():
            assert checkpoint.tensors[name].shape == tuple(tensor.shape)
            assert checkpoint.tensors[name].nbytes == tensor.numel() * tensor.element_size()
            assert np.array_equal(checkpoint.read(name).reshape(-1).view(np.uint8), bits(tensor)), name
    first = path.read_bytes()
    save_packed(tensors, path, metadata)
    assert path.read_bytes() == first


def test_zeros_really_make_the_file_small(tmp_path: Path) -> None:
    tensors = {"weight": with_zeros((1000, 300), 0.1), "bias": torch.randn(1000)}
    assert dense_bytes(tensors, {}) > 9.5 * packed_size(tensors, {})


def test_a_huge_tensor_of_zeros_keeps_to_the_limit_on_what_few_bytes_may_ask_for(tmp_path: Path) -> None:
    huge = torch.zeros(2 * FREE_ELEMENTS, dtype=torch.uint8)
    save_packed({"huge": huge}, tmp_path / "m.packed", {})
    assert (tmp_path / "m.packed").stat().st_size > huge.numel() / ELEMENTS_PER_BYTE
    with open_checkpoint(tmp_path / "m.packed") as checkpoint:
        assert not checkpoint.read("huge").any()


def test_the_studio_opens_inspects_and_runs_it_like_any_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sample.packed"
    sample = open_model(SAMPLE)
    save_opened_packed(sample, path)
    source = ModelSource("file", str(path))
    opened = open_model(source)
    assert opened.description.architecture == "zoo:digits-cnn"
    assert opened.description.layers == sample.description.layers
    assert opened.description.file_bytes == path.stat().st_size
    for name in sample.tensor_names:
        assert np.array_equal(opened.tensor(name), sample.tensor(name))
    image = torch.rand(2, 1, 8, 8)
    with torch.inference_mode():
        assert torch.equal(load_module(source).module(image), load_module(SAMPLE).module(image))
    assert main(["inspect", str(path)]) == 0
    assert "Digits CNN" in capsys.readouterr().out
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.metadata == metadata_of(sample.description)


def test_nothing_is_left_where_it_cannot_be_written(tmp_path: Path) -> None:
    def give_up() -> None:
        raise StudioError("enough")

    with pytest.raises(StudioError, match="enough"):
        save_packed(state(), tmp_path / "m.packed", {}, give_up)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StudioError, match="was not written"):
        save_packed(state(), tmp_path / "file" / "m.packed", {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# -- damage


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "model.packed"
    save_packed(state(), path, {"format": "compression-studio"})
    return path.read_bytes()


def with_directory(original: bytes, directory: Any) -> bytes:
    """The file with another directory whose checksum is right, as somebody malicious would write it."""
    *_, offset, _, _ = PREFIX.unpack(original[: PREFIX.size])
    stream = code(np.frombuffer(json.dumps(directory).encode(), np.uint8), mixed=False)
    start = PREFIX.pack(
        original[:8], VERSION, zlib.crc32(stream.data), offset, len(stream.data), stream.plain
    )
    return start + original[PREFIX.size : offset] + stream.data


def directory_of(original: bytes) -> Any:
    *_, offset, stored, plain = PREFIX.unpack(original[: PREFIX.size])
    data = decode(Stream("deflate", plain, original[offset : offset + stored]))
    return json.loads(data.tobytes())


@some
@given(keep=st.floats(0, 1, exclude_max=True))
def test_truncated_files_are_refused(original: bytes, tmp_path: Path, keep: float) -> None:
    assert not read_or_refuse(tmp_path / "m", original[: int(keep * len(original))])


@some
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4))
def test_no_changed_byte_goes_unnoticed(
    original: bytes, tmp_path: Path, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(original)
    for place, change in changes:
        data[int(place * len(data))] ^= change
    assert bytes(data) == original or not read_or_refuse(tmp_path / "m", bytes(data))


@some
@given(data=st.data())
def test_a_directory_that_lies_is_refused_or_read(
    original: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    directory = directory_of(original)
    numbers = st.sampled_from((-1, 0, 1, 7, 1 << 20, 1 << 31, 1 << 62, 1 << 80, 10**40))
    values = st.one_of(
        numbers, st.none(), st.text(max_size=3), st.lists(numbers, max_size=4), st.sampled_from((1.5, True))
    )
    words = st.sampled_from(
        ("all", "bitmask", "gaps", "plain", "planes", "codebook", "raw", "deflate", "F32", "U8", "C128", "F4")
    )
    for _ in range(data.draw(st.integers(1, 3))):
        entry = data.draw(st.sampled_from(directory["tensors"]))
        key = data.draw(st.sampled_from(sorted(entry)))
        place = entry[key]
        if isinstance(place, list) and place and data.draw(st.booleans()):
            index = data.draw(st.integers(0, len(place) - 1))
            if isinstance(place[index], list):
                if not place[index]:
                    continue
                place, index = place[index], data.draw(st.integers(0, len(place[index]) - 1))
            place[index] = data.draw(st.one_of(values, words))
        else:
            entry[key] = data.draw(st.one_of(values, words))
    read_or_refuse(tmp_path / "m", with_directory(original, directory))


def test_few_bytes_cannot_ask_for_much_memory(original: bytes, tmp_path: Path) -> None:
    directory = directory_of(original)
    entry = next(entry for entry in directory["tensors"] if entry["name"] == "zeros")
    entry["shape"] = [1 << 20, 1 << 10]
    entry["streams"][0][2] = 1 << 27
    assert not read_or_refuse(tmp_path / "m", with_directory(original, directory))


def test_an_empty_tensor_with_a_huge_axis_is_no_defect(original: bytes, tmp_path: Path) -> None:
    directory = directory_of(original)
    entry = next(entry for entry in directory["tensors"] if entry["name"] == "empty")
    for size in (1 << 57, 1 << 61, 1 << 62):
        entry["shape"] = [0, size]
        read_or_refuse(tmp_path / "m", with_directory(original, directory))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["tensors"].append(d["tensors"][0]), "occurs twice"),
        (lambda d: d["tensors"].pop(), "do not fill it"),
        (lambda d: d.pop("metadata"), "metadata"),
        (lambda d: d.update(tensors={}), "lists no tensors"),
        (lambda d: d["tensors"][0].update(dtype="F7"), "type “F7”"),
        (lambda d: d["tensors"][0].update(values="spline"), "encoding .*update"),
        (lambda d: d["tensors"][0]["streams"][0].__setitem__(0, "zstd"), "“zstd”.*update"),
        (lambda d: d["tensors"][0].update(shape=[2, -3]), "impossible"),
    ],
)
def test_refusals_say_what_is_wrong(original: bytes, tmp_path: Path, change: Any, message: str) -> None:
    directory = directory_of(original)
    change(directory)
    path = tmp_path / "m.packed"
    path.write_bytes(with_directory(original, directory))
    with pytest.raises(StudioError, match=message) as caught:
        open_checkpoint(path)
    assert "m.packed" in caught.value.message


def test_a_file_of_a_newer_version_asks_for_an_update(original: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.packed"
    path.write_bytes(original[:8] + (VERSION + 1).to_bytes(4, "little") + original[12:])
    with pytest.raises(StudioError, match=r"newer version.*update"):
        open_checkpoint(path)


# -- arithmetic coding


@some
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    density=st.sampled_from((0.0, 0.01, 0.1, 0.6)),
    seed=st.integers(0, 1000),
)
def test_any_places_come_back(rows: int, columns: int, density: float, seed: int) -> None:
    kept = np.random.default_rng(seed).random(rows * columns) < density
    data = encode_places(kept, columns)
    if data is not None:
        found = decode_places(data, kept.size, columns)
        assert found is not None
        assert np.array_equal(found, kept)
        # A byte too many is seen.
        assert decode_places(data + b"\0", kept.size, columns) is None


def test_places_of_dead_inputs_cost_less_than_their_entropy() -> None:
    random = np.random.default_rng(1)
    densities = np.where(random.random(784) < 0.4, 0.002, 0.15)
    kept = random.random((300, 784)) < densities
    share = kept.mean()
    entropy = -(share * np.log2(share) + (1 - share) * np.log2(1 - share)) * kept.size / 8
    known = -(densities * np.log2(densities) + (1 - densities) * np.log2(1 - densities)).sum() * 300 / 8
    data = encode_places(kept.reshape(-1), 784)
    assert data is not None
    assert known < len(data) < 1.06 * known < entropy


def test_indices_cost_little_more_than_their_entropy() -> None:
    indices = np.clip(np.random.default_rng(2).normal(8, 3, 20_000).round(), 0, 15).astype(np.uint8)
    shares = np.bincount(indices) / indices.size
    entropy = -(shares * np.log2(shares)).sum() * indices.size / 8
    stream = code(indices)
    assert stream.coding == "mixed"
    assert entropy < len(stream.data) < 1.01 * entropy


@some
@given(st.binary(min_size=1, max_size=200), st.integers(0, 4000))
def test_noise_is_decoded_or_refused(data: bytes, plain: int) -> None:
    found = decode_bytes(data, plain)
    assert found is None or found.size == plain
    places = decode_places(data, plain, 7)
    assert places is None or places.size == plain


def test_files_of_the_first_version_still_open(tmp_path: Path) -> None:
    # Written before integers and arithmetic coding came; the version is not part of any checksum.
    path = tmp_path / "m.packed"
    save_packed({"a": torch.arange(6, dtype=torch.float32)}, path, {})
    data = bytearray(path.read_bytes())
    magic, _, *rest = PREFIX.unpack(data[: PREFIX.size])
    path.write_bytes(PREFIX.pack(magic, 1, *rest) + data[PREFIX.size :])
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.read("a").tolist() == [0, 1, 2, 3, 4, 5]
