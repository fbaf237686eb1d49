"""int8 ONNX of torchvision's networks, exported by us, beside eager torch, onnxruntime float32 and a script by hand.

Weights are random: the time of a forward pass and the size of a file do not depend on them.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from core.export.runtime_file import convert, open_onnx
from core.measurement.latency import times_in_turns
from core.models.layers import weight_positions
from core.models.modules import build_module
from core.pruning.channel_graph import ChannelGraph
from core.pruning.structured import choose, cut_module
from core.pruning.structured_settings import PruneChannelsSettings

pytest.importorskip("onnxruntime")

SHAPE = (3, 224, 224)
EXAMPLES = 128
THREADS = 2


@pytest.fixture(scope="module")
def images() -> Any:
    return np.random.default_rng(0).normal(size=(EXAMPLES, *SHAPE)).astype(np.float32)


def by_hand(module: nn.Module, images: Any, folder: Path) -> Path:
    """What an engineer writes who knows onnxruntime well."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.parts = iter(np.split(images, 4))

        def get_next(self) -> Any:
            part = next(self.parts, None)
            return None if part is None else {"x": part}

    whole, prepared, out = (folder / name for name in ("hand.onnx", "hand-prepared.onnx", "hand-int8.onnx"))
    torch.onnx.export(
        module,
        (torch.zeros(2, *SHAPE),),
        str(whole),
        dynamo=True,
        verbose=False,
        external_data=False,
        input_names=["x"],
        output_names=["y"],
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
    )
    quant_pre_process(str(whole), str(prepared))
    quantize_static(
        str(prepared), str(out), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return out


def exported(module: nn.Module, images: Any, folder: Path, name: str) -> tuple[Path, Path, float]:
    out, whole = folder / f"{name}-int8.onnx", folder / f"{name}.onnx"
    start = time.perf_counter()
    convert(module, SHAPE, "onnx-int8", out, calibration=images, threads=THREADS, keep_float=whole)
    return out, whole, time.perf_counter() - start


def medians(module: nn.Module, runs: list[Callable[[Any], Any]], batch: int) -> list[float]:
    inputs = torch.randn((batch, *SHAPE), generator=torch.Generator().manual_seed(0))
    array = inputs.numpy()

    def eager() -> Any:
        with torch.inference_mode():
            return module(inputs)

    passes = [eager, *((lambda run=run: run(array)) for run in runs)]
    return [statistics.median(taken) for taken in times_in_turns(passes, lambda: None)]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_int8_beside_a_script_by_hand(
    name: str, images: Any, tmp_path: Path, say: Callable[[str], None]
) -> None:
    torch.set_num_threads(THREADS)
    module = build_module(f"torchvision:{name}").eval()
    ours, whole, seconds = exported(module, images, tmp_path, name)
    hand = by_hand(module, images, tmp_path)
    runs = [open_onnx(path, THREADS) for path in (whole, ours, hand)]
    for batch in (1, 16):
        eager, floating, mine, theirs = medians(module, runs, batch)
        say(
            f"{name}, batch {batch}, {THREADS} threads: eager {eager:.1f} ms, onnxruntime float32 {floating:.1f} ms, "
            f"int8 {mine:.2f} ms ({eager / mine:.1f}× eager, {floating / mine:.1f}× float32), "
            f"by hand {theirs:.2f} ms: ratio {mine / theirs:.3f}"
        )
    size = ours.stat().st_size / whole.stat().st_size
    say(f"{name}: int8 file {size:.3f}× of float32, converted with {EXAMPLES} images in {seconds:.0f} s")


def test_resnet18_halved_and_quantized(images: Any, tmp_path: Path, say: Callable[[str], None]) -> None:
    torch.set_num_threads(THREADS)
    module = build_module("torchvision:resnet18").eval()
    graph = ChannelGraph(module, SHAPE)
    gone = choose(graph, PruneChannelsSettings(amount=0.5, of="channels"), weight_positions(module, SHAPE))
    smaller = cut_module(module, graph.cut(gone), "resnet18").eval()
    ours, whole, _ = exported(smaller, images, tmp_path, "half")
    runs = [open_onnx(path, THREADS) for path in (whole, ours)]
    eager, floating, mine = medians(module, runs, 1)
    say(
        f"resnet18 without half of its channels, batch 1: dense eager {eager:.1f} ms, onnxruntime float32 "
        f"{floating:.2f} ms ({eager / floating:.1f}×), int8 {mine:.2f} ms ({eager / mine:.1f}×)"
    )
