"""What a run is asked to do: one frozen, picklable value that a thread, a process or a script can be given."""

import uuid
from dataclasses import dataclass, field

from core.data.spec import TaskSpec
from core.models.source import ModelSource
from core.recipe import Recipe


@dataclass(frozen=True)
class RunRequest:
    """One recipe on one source and one task with one seed.

    Attributes:
        device: "auto", "cpu", "cuda" or "mps".
        threads: CPU threads for torch; None means as many as there are cores.
        task: None runs only recipes that need no data, and measures no accuracy.
        run_id: names the run for ever; also the name of its folder.
    """

    recipe: Recipe
    source: ModelSource
    task: TaskSpec | None
    seed: int = 0
    name: str = ""
    device: str = "auto"
    threads: int | None = None
    measure_latency: bool = True
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def title(self) -> str:
        """The run's name, or the recipe's where it has none of its own."""
        return self.name or self.recipe.name
