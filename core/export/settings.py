"""The settings of the export step; apart from what carries it out, which needs torch."""

from typing import ClassVar, Literal

from pydantic import Field

from core.steps import StepSettings, shown

Format = Literal["onnx", "onnx-int8", "torch-export"]

FILE_NAMES: dict[str, str] = {
    "onnx": "model.onnx",
    "onnx-int8": "model-int8.onnx",
    "torch-export": "model.pt2",
}
"""What the file of each format is called in a run's folder."""


class ExportSettings(StepSettings):
    """Write the model as a file for another runtime, open it there and compare; the model itself is not changed."""

    title: ClassVar[str] = "Export"

    step: Literal["export"] = "export"
    format: Format = Field(
        default="onnx-int8",
        title="Format",
        description="ONNX: float32, for onnxruntime and others. Int8 ONNX: weights (per channel) and activations in 8 "
        "bits (QDQ), which onnxruntime computes with integers; a model quantized by an earlier step keeps its weights. "
        "torch.export: a .pt2 archive for PyTorch.",
    )
    calibration: Literal["min-max", "entropy", "percentile"] = Field(
        default="min-max",
        title="Ranges",
        description="How the ranges of activations are found on calibration examples of the training split.",
        json_schema_extra=shown(when={"format": ["onnx-int8"]}),
    )
    examples: int = Field(
        default=256,
        ge=1,
        le=100_000,
        title="Examples",
        description="How many training examples the ranges are found on.",
        json_schema_extra=shown(unit="examples", when={"format": ["onnx-int8"]}),
    )
    check_examples: int = Field(
        default=10_000,
        ge=1,
        le=10_000_000,
        title="Check on",
        description="How many examples of the test split the file is run on in its runtime, beside the model.",
        json_schema_extra=shown(unit="examples", advanced=True),
    )
    batch: int = Field(
        default=16,
        ge=2,
        le=4096,
        title="Second batch",
        description="Time is taken for single examples, and for batches of this size.",
        json_schema_extra=shown(unit="examples", advanced=True),
    )

    @property
    def needs_data(self) -> bool:
        return self.format == "onnx-int8"

    def summary(self) -> str:
        words = {"onnx": "ONNX", "onnx-int8": "int8 ONNX", "torch-export": "torch.export"}
        return words[self.format]
