"""A Python script that repeats a run with the engine alone, and says whether the same came out."""

import json
from typing import Any

from core.errors import StudioError
from core.history.records import RunRecord
from core.request import RunRequest

_SCRIPT = '''\
"""Repeats run {number} of Compression Studio{comment}.

Needs the package `compression-studio` and the files that it started from. Recorded on:
{environment}
On one machine, the same recipe, model, task, seed and threads give the same weights to the bit.
"""

import json
import sys
import tempfile
from pathlib import Path

from core.data.spec import task_from_json
from core.events import ArtifactWritten, Event, Failed, Finished, Measured, Notice, Progress
from core.job import JobContext
from core.models.source import source_from_json
from core.pipeline import run
from core.recipe import recipe_from_json
from core.request import RunRequest

RECIPE = r"""
{recipe}
"""
SOURCE = json.loads(r"""{source}""")
TASK = json.loads(r"""{task}""")
RECORDED = json.loads(r"""{recorded}""")


def main() -> int:
    request = RunRequest(
        recipe=recipe_from_json(RECIPE, "this script"),
        source=source_from_json(SOURCE),
        task=None if TASK is None else task_from_json(TASK),
        seed={seed},
        device={device!r},
        threads={threads},
        measure_latency={measure_latency},
    )
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="run-{number}-"))
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, object] = {{}}
    ended: list[Event] = []

    def take(event: Event) -> None:
        match event:
            case Progress():
                print(f"\\r{{100 * event.fraction:3.0f}} %  {{event.activity:60.60}}", end="", file=sys.stderr)
            case Notice():
                print(f"\\n{{event.text}}", file=sys.stderr)
            case Measured(measurement=measured):
                found[f"parameters {{event.stage}}"] = measured.parameters
                found[f"nonzero weights {{event.stage}}"] = measured.nonzero_weights
                if measured.accuracy is not None:
                    found[f"correct {{event.stage}}"] = measured.accuracy.correct
            case ArtifactWritten(kind="model"):
                found["model SHA-256"] = event.sha256
            case Finished() | Failed():
                ended.append(event)

    run(request, JobContext(request.run_id, take, folder))
    print(file=sys.stderr)
    for event in ended:
        if isinstance(event, Failed):
            print(event.message, file=sys.stderr)
            return 2
    same = True
    for name, recorded in RECORDED.items():
        now = found.get(name)
        same &= now == recorded
        print(f"{{name}}: {{now}}" + ("" if now == recorded else f", recorded was {{recorded}}"))
    print("The same as recorded." if same else "Not the same as recorded: see above.")
    print(f"Files: {{folder}}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
'''


def repeating_script(record: RunRecord, request: RunRequest, model_sha256: str | None) -> str:
    """The text of a script that repeats a run: its exit code is 0 where the same came out.

    Args:
        record: what was recorded; its figures are what the script compares with.
        request: what was asked.
        model_sha256: of the saved model, or None where none was saved.

    Raises:
        StudioError: if some text of the run cannot stand in a script.
    """
    recorded: dict[str, Any] = {}
    for stage in ("before", "after"):
        measurement = getattr(record, stage)
        if measurement is not None:
            recorded[f"parameters {stage}"] = measurement.parameters
            recorded[f"nonzero weights {stage}"] = measurement.nonzero_weights
            if measurement.accuracy is not None:
                recorded[f"correct {stage}"] = measurement.accuracy.correct
    if model_sha256 is not None:
        recorded["model SHA-256"] = model_sha256
    environment = "\n".join(f"  {_plain(key)}: {_plain(value)}" for key, value in record.environment.items())
    script = _SCRIPT.format(
        number=record.number,
        comment=f" ({_plain(record.name)})" if record.name else "",
        environment=environment or "  nothing",
        recipe=_json(request.recipe.model_dump(mode="json"), indent=2),
        source=_json(request.source.to_json()),
        task=_json(None if request.task is None else request.task.to_json()),
        recorded=_json(recorded, indent=2),
        seed=request.seed,
        device=request.device,
        threads=request.threads,
        measure_latency=request.measure_latency,
    )
    try:
        compile(script, "script", "exec")
    except (SyntaxError, ValueError) as error:
        raise StudioError(
            f"Run {record.number} cannot be written as a script: its name or a path contains what no script can hold."
        ) from error
    return script


def _json(value: Any, indent: int | None = None) -> str:
    # ASCII only. JSON escapes quotes inside texts and never puts three in a row, so no raw string ends early.
    return json.dumps(value, indent=indent)


def _plain(text: str) -> str:
    """One line that cannot end or alter the docstring that it stands in."""
    return " ".join(text.replace("\\", "/").replace('"""', "'''").split()).rstrip('"')
