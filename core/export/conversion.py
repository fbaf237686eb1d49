"""Writes a network as ONNX or torch.export archive, in a process of its own: `python -m core.export.conversion FOLDER`.

Exporters patch torch's modules for as long as they work, which breaks other threads that compute; and a process can be
ended in the middle. The folder holds `module.pt` and `job.json`; what is said goes to standard output line by line, as
JSON: `{"doing": …}` or `{"problem": …, "details": …}`.
"""

import json
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

MODULE = "module.pt"
JOB = "job.json"
CALIBRATION = "calibration.npy"
FLOAT = "float.onnx"
INPUT = "x"
BATCH = 32

# The largest message of the format that ONNX files are made of.
MOST_BYTES = 1 << 31


def main(folder: Path) -> int:
    """Do what the job says; returns the exit status."""
    job = json.loads((folder / JOB).read_text())
    try:
        _convert(folder, job)
    except OSError as error:
        _say(
            problem=f"the file could not be written ({error.strerror or error})",
            details=traceback.format_exc(),
        )
        return 1
    except Exception as error:
        reason = str(error).strip().splitlines()
        _say(problem=_reason(type(error).__name__, reason), details=traceback.format_exc())
        return 1
    return 0


def _convert(folder: Path, job: dict[str, Any]) -> None:
    import torch

    torch.set_num_threads(job["threads"])
    # Our own process wrote it a moment ago into a folder of its own.
    module = torch.load(folder / MODULE, map_location="cpu", weights_only=False).eval()
    example = torch.zeros((2, *job["shape"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if job["format"] == "torch-export":
            _say(doing="tracing the network")
            batch = torch.export.Dim("n", min=1)
            program = torch.export.export(module, (example,), dynamic_shapes=({0: batch},))
            torch.export.save(program, job["out"])
            return
        _say(doing="tracing the network")
        whole = folder / FLOAT if job["format"] == "onnx-int8" else Path(job["out"])
        torch.onnx.export(
            module,
            (example,),
            str(whole),
            dynamo=True,
            verbose=False,
            external_data=False,
            input_names=[INPUT],
            output_names=["y"],
            dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
        )
        if job["format"] == "onnx-int8":
            _quantize(folder, whole, job)
        _slim(Path(job["out"]), short_names=job["format"] == "onnx-int8")


def _quantize(folder: Path, whole: Path, job: dict[str, Any]) -> None:
    import numpy as np
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    _say(doing="folding and optimising")
    prepared = folder / "prepared.onnx"
    quant_pre_process(str(whole), str(prepared))
    inputs = np.load(folder / CALIBRATION, mmap_mode="r", allow_pickle=False)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.place = 0

        def get_next(self) -> dict[str, Any] | None:
            if self.place >= len(inputs):
                return None
            part = np.ascontiguousarray(inputs[self.place : self.place + BATCH])
            self.place += len(part)
            _say(doing=f"calibrating, {self.place} of {len(inputs)} examples")
            return {INPUT: part}

    methods = {
        "min-max": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }
    # Unsigned activations: with signed ones only half of a network's convolutions become integer kernels.
    quantize_static(
        str(prepared),
        job["out"],
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=methods[job["calibration"]],
    )


def _slim(path: Path, *, short_names: bool) -> None:
    """Leave out what no runtime needs: where in a program operators came from, and shapes that follow from others."""
    import onnx

    model = onnx.load(str(path))
    for holder in (*model.graph.node, *model.graph.value_info, *model.graph.initializer, model.graph, model):
        if hasattr(holder, "metadata_props"):
            del holder.metadata_props[:]
        holder.doc_string = ""
    del model.graph.value_info[:]
    if short_names:
        _shorten(model.graph)
    path.write_bytes(model.SerializeToString())


def _shorten(graph: Any) -> None:
    """Give scales, zero points and what flows between operators short names; weights, inputs and outputs keep theirs.

    Around each integer weight stand some ten tensors and operators that only the quantizer needed to tell apart. Their
    names are a tenth of the file of a small network.
    """
    if any(
        attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute
    ):
        return  # inner graphs may speak of the same names
    kept = {entry.name for entry in (*graph.input, *graph.output)}
    kept |= {entry.name for entry in graph.initializer if len(entry.dims) > 1}
    short: dict[str, str] = {}

    def renamed(name: str) -> str:
        # An empty name stands for an input that is left out.
        if not name or name in kept:
            return name
        if name not in short:
            number = len(short)
            while f"t{number}" in kept:
                number += 1_000_000
            short[name] = f"t{number}"
        return short[name]

    for entry in graph.initializer:
        entry.name = renamed(entry.name)
    for node in graph.node:
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.name = ""
    del graph.quantization_annotation[:]


def _reason(kind: str, lines: list[str]) -> str:
    first = next((line.strip() for line in lines if line.strip()), kind)
    text = " ".join(lines)
    if "nsupported" in text or "No ONNX function" in text or "not supported" in text:
        return f"an operator of the network is not known to the exporter ({first[:160]})"
    if "2GB" in text or "2GiB" in text or "exceeds maximum protobuf" in text:
        return "it is larger than 2 GB, which one ONNX file cannot hold"
    return f"{kind}: {first[:200]}"


def _say(**words: str) -> None:
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
