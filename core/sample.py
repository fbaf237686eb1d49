"""Makes the sample model that ships with the studio: `python -m core.sample` trains it anew, bit for bit.

The network is the zoo's digits-cnn, the task the built-in digits; only the training and validation splits are used
to make it, and the accuracy on the test split is printed at the end.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from core.data.spec import TaskSpec
from core.errors import StudioError
from core.events import Event, Failed, Measured, Progress
from core.formatting import percent
from core.job import JobContext
from core.models.source import ModelSource
from core.pipeline import RESULT, run
from core.recipe import Recipe
from core.request import RunRequest
from core.steps import FineTuneSettings
from resources import RESOURCES

RECIPE = Recipe(
    name="Train the digits sample",
    steps=(
        FineTuneSettings(
            epochs=40, learning_rate=2e-3, batch_size=32, augmentation="shift", weight_decay=1e-4
        ),
    ),
)


def make_sample(target: Path) -> None:
    """Train the sample and write it to `target`.

    Raises:
        StudioError: if training fails or the file cannot be written.
    """

    def report(event: Event) -> None:
        match event:
            case Progress(fraction=fraction, activity=activity):
                print(f"\r{activity}: {percent(fraction, 0)}   ", end="", file=sys.stderr)
            case Measured(stage="after", measurement=measurement) if measurement.accuracy is not None:
                accuracy = measurement.accuracy
                print(f"\ntest accuracy {percent(accuracy.value)} of {accuracy.count} examples")
            case Failed(message=message):
                raise StudioError(message)
            case _:
                pass

    with tempfile.TemporaryDirectory() as folder:
        request = RunRequest(
            RECIPE,
            ModelSource("zoo", "digits-cnn"),
            TaskSpec("digits"),
            threads=1,
            device="cpu",
            measure_latency=False,
        )
        run(request, JobContext(request.run_id, report, Path(folder)))
        shutil.copyfile(Path(folder) / RESULT, target)


if __name__ == "__main__":
    make_sample(RESOURCES / "sample.safetensors")
