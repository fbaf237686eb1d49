"""From options to what a run is asked to do."""

import argparse
from dataclasses import replace

from core.cli.recipes import find_recipe
from core.data.spec import FOLDER, TaskSpec, parse_task
from core.errors import StudioError
from core.history.records import RunRecord
from core.models.source import SAMPLE, parse_source
from core.recipe import Recipe
from core.request import RunRequest


def requested_run(options: argparse.Namespace) -> RunRequest:
    """The request of `run RECIPE …`.

    Raises:
        StudioError: for a recipe, model or task that cannot be used.
    """
    if options.recipe is None:
        raise StudioError(
            "Name a recipe to run: a file, a preset (see compression-studio presets), or --resume RUN."
        )
    recipe = find_recipe(options.recipe)
    source = SAMPLE if options.model is None else parse_source(options.model)
    task_text = "digits" if options.task is None and source.kind == "sample" else options.task
    return RunRequest(
        recipe=recipe,
        source=source,
        task=None if task_text is None else _task(task_text, options),
        seed=options.seed or 0,
        name=options.name or "",
        device=options.device or "auto",
        threads=options.threads,
        measure_latency=not options.no_latency,
    )


def requested_evaluation(options: argparse.Namespace) -> RunRequest:
    """The request of `evaluate MODEL`: a recipe without steps, judged on all images of an undivided folder.

    Raises:
        StudioError: for a model or task that cannot be used.
    """
    task = _task(options.task, options)
    if task.name == FOLDER:
        task = replace(task, evaluate_all=True)
    return RunRequest(
        recipe=Recipe(name="Evaluate"),
        source=parse_source(options.model),
        task=task,
        seed=options.seed or 0,
        device=options.device or "auto",
        threads=options.threads,
        measure_latency=not options.no_latency,
    )


def check_resume_options(options: argparse.Namespace) -> None:
    """A resumed run goes on as it began; nothing about it can be changed.

    Raises:
        StudioError: naming an option that would.
    """
    given = [
        name
        for name in (
            "recipe",
            "model",
            "task",
            "image_size",
            "mean",
            "std",
            "seed",
            "name",
            "device",
            "threads",
        )
        if getattr(options, name) is not None
    ]
    given += [name for name in ("no_latency", "no_history", "trust") if getattr(options, name)]
    if given:
        shown = "a recipe" if given[0] == "recipe" else f"--{given[0].replace('_', '-')}"
        raise StudioError(f"--resume goes on with a run as it began: leave out {shown}, or start a new run.")


def check_resumable(record: RunRecord) -> None:
    """Only what did not come to its end can go on.

    Raises:
        StudioError: for any other run.
    """
    if record.status not in ("interrupted", "failed"):
        raise StudioError(
            f"Run {record.number} is {record.status}: only a run that was interrupted or has failed can be resumed."
        )


def _task(text: str, options: argparse.Namespace) -> TaskSpec:
    return parse_task(text, image_size=options.image_size, mean=options.mean, std=options.std)
