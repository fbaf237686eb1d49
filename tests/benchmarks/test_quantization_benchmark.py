"""How long quantizing takes: resnet18 with 128 calibration images, beside one pass over the same images.

`python -m pytest tests/benchmarks/test_quantization_benchmark.py -s`
"""

import time
from pathlib import Path

import torch

from core.data.spec import TaskSpec
from core.data.split import Split
from core.data.task import Task
from core.events import Progress
from core.job import JobContext
from core.models.opening import load_module
from core.models.source import ModelSource
from core.quantization.settings import QuantizeSettings
from core.quantization.step import quantize_model
from core.recipe import Recipe
from core.request import RunRequest
from core.run_state import RunState

IMAGES = 128


def test_resnet18_is_quantized_in_little_more_than_the_passes_that_it_takes(tmp_path: Path) -> None:
    source = ModelSource("torchvision", "resnet18")
    images = torch.randint(0, 256, (IMAGES, 3, 224, 224), dtype=torch.uint8)
    split = Split("train", images, torch.zeros(IMAGES, dtype=torch.int64), (0.5,) * 3, (0.2,) * 3)
    names = tuple(str(index) for index in range(1000))
    task = Task(TaskSpec("digits"), "Noise", names, split, None, None, (0.5,) * 3, (0.2,) * 3)
    settings = QuantizeSettings(examples=IMAGES)
    loaded = load_module(source)
    request = RunRequest(Recipe(steps=(settings,)), source, None)
    state = RunState(request, loaded.module, loaded.description, task, torch.device("cpu"))
    inputs = split.batch(torch.arange(IMAGES))[0]
    began = time.perf_counter()
    with torch.inference_mode():
        for batch in torch.split(inputs, 64):
            loaded.module(batch)
    one_pass = time.perf_counter() - began
    events: list[object] = []
    began = time.perf_counter()
    quantize_model(settings, state, JobContext("run", events.append, tmp_path))
    took = time.perf_counter() - began
    print(
        f"\nresnet18, {IMAGES} images: {took:.1f} s, one pass {one_pass:.1f} s, ratio {took / one_pass:.2f}"
    )
    assert any(isinstance(event, Progress) for event in events)
    assert took < 4 * one_pass
