"""The step that studies deletions: saliency against magnitude, foretold against measured, before and after retraining.

LeCun, Denker and Solla (NIPS 1989), figures 1 and 2. The model is as it was afterwards.
"""

import itertools
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from core.data.batches import training_batches
from core.data.split import Split
from core.data.task import Task
from core.events import Finding, Notice
from core.findings import Line, Lines
from core.formatting import count, percent, significant
from core.job import JobContext
from core.measurement.accuracy import evaluate, evaluate_batches
from core.pruning.criteria import cost_per_example, score_layers
from core.pruning.deletion_curve import DeletionPoint, deletion_curve
from core.pruning.examples import CriterionExamples
from core.pruning.masks import MaskHolder, Masks
from core.pruning.study_settings import StudyDeletionsSettings
from core.run_state import RunState
from core.steps import FineTuneSettings, PruneSettings
from core.training.loop import train_batches
from core.training.losses import mean_loss, summed_loss
from core.training.optimizers import learning_rate_at, make_optimizer

BATCH = 60
FINDING = "deletion-curve"
TRAINING_COST = 3.0


def study_deletions_work(settings: StudyDeletionsSettings, state: RunState) -> float:
    """Forward passes: two curves over the examples, and for each retraining saliencies, updates and two looks."""
    task = state.require_task()
    examples = min(len(task.train or ()), settings.examples)
    saliencies = cost_per_example(_criterion(settings), state) * examples
    curves = saliencies + 2 * (settings.points + 1) * examples
    if not settings.retrain:
        return curves
    look = examples + len(task.test or ())
    return curves + settings.points * (saliencies + TRAINING_COST * BATCH * settings.retrain + look)


def study_deletions(settings: StudyDeletionsSettings, state: RunState, context: JobContext) -> None:
    """Emit a finding with the loss over the number of deletions; `state` is left as it is.

    Raises:
        StudioError: without training examples, or where saliencies cannot be computed (see `score_layers`).
    """
    _Study(settings, state, context).run()


class _Study:
    def __init__(self, settings: StudyDeletionsSettings, state: RunState, context: JobContext) -> None:
        self.settings = settings
        self.state = state
        self.context = context
        self.task: Task = state.require_task()
        self.criterion = _criterion(settings)
        self.title = settings.title

    def run(self) -> None:
        settings = self.settings
        saliencies, examples = self._saliencies()
        total = sum(tensor.numel() for tensor in saliencies.values())
        counts = [round(settings.most * total * n / settings.points) for n in range(settings.points + 1)]
        magnitudes = {name: self.state.module.get_parameter(name).detach().abs() for name in saliencies}

        def seen(number: int) -> None:
            self.context.checkpoint()
            self.context.advance(number, f"{self.title}: measuring")

        quiet = CriterionExamples(examples.split, examples.chosen, examples.device, seen, examples.batch_size)
        curves = [
            deletion_curve(
                self.state.module,
                saliencies,
                quiet.batches,
                counts,
                ranking=ranking,
                loss=settings.loss,
                check=self.context.checkpoint,
            )
            for ranking in (None, magnitudes)
        ]
        by_saliency, by_magnitude = curves
        retrained = list(self._retrained(counts, total)) if settings.retrain else []
        self._tell(by_saliency, by_magnitude, retrained, total, len(quiet))

    def _saliencies(self) -> tuple[dict[str, Tensor], CriterionExamples]:
        """By parameter name, in the shapes of the weights, at the state's present weights."""
        layers = self.state.description.layers
        scores, examples = score_layers(self.criterion, self.state, layers, self.context)
        assert examples is not None, "saliencies are computed from examples"
        return {layer.weight_name: scores[layer.name] for layer in layers}, examples

    def _retrained(self, counts: list[int], total: int) -> Iterator[tuple[int, float, float | None]]:
        """(deletions, loss on the examples, loss on the test split) while deleting and retraining take turns."""
        original = {name: tensor.clone() for name, tensor in self.state.module.state_dict().items()}
        masks_before = self.state.masks
        self.state.masks = Masks(masks_before.tensors())
        try:
            for place, number in enumerate(counts):
                if self.context.stop_requested:
                    return
                if number:
                    saliencies, _ = self._saliencies()
                    for name, mask in lowest_removed(saliencies, number).items():
                        self.state.masks.narrow(name, mask.to(self.state.device))
                    self.state.masks.zero_removed(self.state.module)
                    self._retrain(place)
                yield number, *self._losses()
        finally:
            self.state.masks = masks_before
            with torch.no_grad():
                for name, tensor in self.state.module.state_dict().items():
                    tensor.copy_(original[name])
            self.state.module.eval()

    def _retrain(self, place: int) -> None:
        settings, module = self.settings, self.state.module
        train = self.task.train
        assert train is not None
        training = FineTuneSettings(
            iterations=settings.retrain,
            learning_rate=settings.learning_rate,
            batch_size=BATCH,
            loss=settings.loss,
        )
        optimizer = make_optimizer(module.parameters(), training, self.state.device)
        holder = MaskHolder(module, self.state.masks)
        order = torch.Generator().manual_seed(self.state.step_seed() + place)
        torch.manual_seed(self.state.step_seed() + place)
        done = itertools.count()

        def before() -> None:
            self.context.checkpoint()
            rate = learning_rate_at(training, next(done), settings.retrain)
            for group in optimizer.param_groups:
                group["lr"] = rate

        def after(*_: Tensor) -> None:
            holder.hold()
            self.context.advance(TRAINING_COST * BATCH, f"{self.title}: retraining")

        module.train()
        batches = itertools.islice(_endless(train, order, self.state.device), settings.retrain)
        train_batches(
            module, batches, optimizer, mean_loss(settings.loss), before_update=before, after_update=after
        )
        module.eval()

    def _losses(self) -> tuple[float, float | None]:
        loss = summed_loss(self.settings.loss)
        examples = self._examples_again()
        on_train = evaluate_batches(self.state.module, examples.batches(), self.state.device, loss).loss
        test = self.task.test
        if test is None or len(test) == 0:
            return on_train, None

        def seen(number: int) -> None:
            self.context.checkpoint()
            self.context.advance(number, f"{self.title}: measuring")

        return on_train, evaluate(self.state.module, test, self.state.device, seen, summed_loss=loss).loss

    def _examples_again(self) -> CriterionExamples:
        """The same examples as the saliencies were computed from."""
        train = self.task.train
        assert train is not None
        generator = torch.Generator().manual_seed(self.state.step_seed())
        chosen = torch.randperm(len(train), generator=generator)[: self.settings.examples]

        def seen(number: int) -> None:
            self.context.checkpoint()
            self.context.advance(number, f"{self.title}: measuring")

        return CriterionExamples(train, chosen, self.state.device, seen, 256)

    def _tell(
        self,
        by_saliency: tuple[DeletionPoint, ...],
        by_magnitude: tuple[DeletionPoint, ...],
        retrained: list[tuple[int, float, float | None]],
        total: int,
        examples: int,
    ) -> None:
        def share(number: int) -> float:
            return 100 * number / total

        deleted = tuple(share(point.removed) for point in by_saliency)
        lines = [
            Line("foretold by the saliencies", deleted, tuple(p.predicted for p in by_saliency), dashed=True),
            Line("lowest saliency deleted", deleted, tuple(p.measured for p in by_saliency)),
            Line("lowest magnitude deleted", deleted, tuple(p.measured for p in by_magnitude)),
        ]
        if retrained:
            x = tuple(share(number) for number, *_ in retrained)
            lines.append(Line("after retraining", x, tuple(on_train for _, on_train, _ in retrained)))
            lines.append(Line("after retraining, test split", x, tuple(on_test for *_, on_test in retrained)))
        name = {"cross-entropy": "cross-entropy", "squared-error": "mean squared error"}[self.settings.loss]
        form = Lines(
            tuple(lines),
            f"weights deleted (% of {count(total)})",
            name,
            log_y=True,
            note=f"Loss on {count(examples)} training examples unless said otherwise; curvature: "
            f"{self.settings.curvature}. Retraining: {count(self.settings.retrain)} updates after each deletion.",
        )
        run_id, key = self.context.run_id, self.state.place
        self.context.emit(
            Finding(run_id, FINDING, key, "Loss over deletions (Optimal Brain Damage)", form.to_data())
        )
        middle = by_saliency[len(by_saliency) // 2]
        beside = by_magnitude[len(by_magnitude) // 2]
        self.context.emit(
            Notice(
                run_id,
                f"{key}: deleting {percent(middle.removed / total, 0)} of the weights by saliency raises the loss from "
                f"{significant(by_saliency[0].measured)} to {significant(middle.measured)} (foretold "
                f"{significant(middle.predicted)}), by magnitude to {significant(beside.measured)}.",
            )
        )


def lowest_removed(saliencies: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    """Masks (True stays) without the `number` lowest of all saliencies together; ties are decided by position."""
    scores = torch.cat([tensor.reshape(-1) for tensor in saliencies.values()])
    stays = torch.ones(scores.shape, dtype=torch.bool)
    stays[scores.argsort(stable=True)[:number]] = False
    parts = torch.split(stays, [tensor.numel() for tensor in saliencies.values()])
    return {
        name: part.view(tensor.shape) for (name, tensor), part in zip(saliencies.items(), parts, strict=True)
    }


def _endless(split: Split, order: torch.Generator, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from training_batches(split, BATCH, order, "none", device)


def _criterion(settings: StudyDeletionsSettings) -> PruneSettings:
    return PruneSettings(
        criterion="obd", curvature=settings.curvature, loss=settings.loss, examples=settings.examples
    )


__all__ = ["lowest_removed", "study_deletions", "study_deletions_work"]
