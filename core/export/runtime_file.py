"""Writes a network for another runtime by a helper process, and opens what was written in that runtime."""

import copy
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import StudioError
from core.export.conversion import CALIBRATION, FLOAT, INPUT, JOB, MODULE
from core.files import written_whole

LIBRARIES = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "onnx-int8": ("onnx", "onnxscript", "onnxruntime"),
    "torch-export": (),
}
"""What must be installed besides torch."""

Runner = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def require_libraries(file_format: str) -> None:
    """Nothing if what the format needs is installed.

    Raises:
        StudioError: naming what is missing and how to install it.
    """
    missing = [name for name in LIBRARIES[file_format] if importlib.util.find_spec(name) is None]
    if missing:
        raise StudioError(
            f"ONNX needs {', '.join(missing)}, which is not installed: pip install 'compression-studio[onnx]', or "
            "choose another format."
        )


def convert(
    module: nn.Module,
    shape: tuple[int, ...],
    file_format: str,
    out: Path,
    *,
    calibration: NDArray[np.float32] | None = None,
    method: str = "min-max",
    threads: int = 1,
    keep_float: Path | None = None,
    check: Callable[[], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> None:
    """Write `module` to `out`, whole or not at all.

    Args:
        shape: of one example.
        file_format: "onnx", "onnx-int8" or "torch-export".
        calibration: float32 [N, *shape], for int8.
        keep_float: where the float32 ONNX file of an int8 export is to be put.
        check: called a few times a second; may raise to give up, and the helper is ended.
        say: told what the helper is doing.

    Raises:
        StudioError: if the network cannot be exported or the file cannot be written.
    """
    require_libraries(file_format)
    with tempfile.TemporaryDirectory(prefix="export-") as name, written_whole(out) as temporary:
        folder = Path(name)
        try:
            torch.save(module.cpu() if _on_cpu(module) else _copied(module), folder / MODULE)
        except Exception as error:
            raise StudioError(
                "This network cannot be handed to the exporter: networks from Python files must be importable.",
                details=str(error),
            ) from error
        if calibration is not None:
            np.save(folder / CALIBRATION, calibration)
        job = {
            "shape": list(shape),
            "format": file_format,
            "out": str(temporary),
            "calibration": method,
            "threads": threads,
        }
        (folder / JOB).write_text(json.dumps(job))
        _watch(folder, check or _never, say or _nobody)
        if keep_float is not None and (folder / FLOAT).exists():
            shutil.copyfile(folder / FLOAT, keep_float)


def open_onnx(path: Path, threads: int, optimised: Path | None = None) -> Runner:
    """A function that computes outputs [N, classes] from inputs [N, *shape] in onnxruntime on the CPU.

    Args:
        optimised: where onnxruntime writes the graph that it really runs.

    Raises:
        StudioError: if onnxruntime does not take the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise StudioError(
            f"{path.name} was written, but onnxruntime does not open it.", details=str(error)
        ) from error

    def run(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs: NDArray[np.float32] = session.run(None, {INPUT: inputs})[0]
        return outputs

    return run


def open_program(path: Path) -> Runner:
    """The same for a torch.export archive.

    Raises:
        StudioError: if torch does not take the file.
    """
    try:
        program = torch.export.load(path).module()
    except Exception as error:
        raise StudioError(
            f"{path.name} was written, but torch does not open it.", details=str(error)
        ) from error

    def run(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            outputs: Tensor = program(torch.from_numpy(inputs))
        return outputs.numpy()

    return run


INTEGER = frozenset({"QLinearConv", "QLinearMatMul", "QGemm", "ConvInteger", "MatMulInteger", "QAttention"})
FLOATING = frozenset({"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "ConvTranspose"})


def integer_operators(optimised: Path) -> tuple[int, int]:
    """How many of the operators that do the work onnxruntime computes with integers, and how many there are."""
    import onnx

    kinds = [node.op_type for node in onnx.load(str(optimised), load_external_data=False).graph.node]
    integer = sum(kind in INTEGER for kind in kinds)
    return integer, integer + sum(kind in FLOATING for kind in kinds)


def _watch(folder: Path, check: Callable[[], None], say: Callable[[str], None]) -> None:
    helper = subprocess.Popen(
        [sys.executable, "-m", "core.export.conversion", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=_environment(),
    )
    assert helper.stdout is not None
    assert helper.stderr is not None
    lines: SimpleQueue[str] = SimpleQueue()
    noise: list[str] = []
    readers = [
        threading.Thread(target=_each, args=(helper.stdout, lines.put), daemon=True),
        threading.Thread(target=_each, args=(helper.stderr, noise.append), daemon=True),
    ]
    for reader in readers:
        reader.start()
    problem: dict[str, Any] | None = None
    try:
        while helper.poll() is None or not lines.empty() or readers[0].is_alive():
            check()
            try:
                words = _words(lines.get(timeout=0.1))
            except Empty:
                continue
            if "problem" in words:
                problem = words
            elif "doing" in words:
                say(words["doing"])
    finally:
        if helper.poll() is None:
            helper.kill()
            helper.wait()
        for reader in readers:
            reader.join()
        helper.stdout.close()
        helper.stderr.close()
    if problem is not None:
        raise StudioError(
            f"The network was not exported: {problem['problem']}. Choose another format, or leave that part out.",
            details=problem.get("details", ""),
        )
    if helper.returncode != 0:
        raise StudioError(
            f"The network was not exported: the exporter ended with status {helper.returncode}.",
            details="".join(noise[-50:]),
        )


def _environment() -> dict[str, str]:
    here = str(Path(__file__).resolve().parents[2])
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONIOENCODING": "utf-8"}


def _each(stream: Any, take: Callable[[str], object]) -> None:
    for line in stream:
        take(line)


def _words(line: str) -> dict[str, Any]:
    # Libraries print what they like; only our own lines are JSON.
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _on_cpu(module: nn.Module) -> bool:
    return all(parameter.device.type == "cpu" for parameter in module.parameters())


def _copied(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module).cpu()


def _never() -> None:
    time.sleep(0)


def _nobody(_: str) -> None:
    return None
