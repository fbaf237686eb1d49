"""The fine-tuning step: the training loop with masks held, curves, the best state kept, and a place to resume from."""

import itertools
import math
import time

import torch
from torch import Tensor, nn

from core.data.batches import training_batches
from core.data.split import Split
from core.errors import StudioError
from core.events import MetricPoint, Notice
from core.job import JobContext, JobInterrupted
from core.measurement.accuracy import evaluate
from core.pruning.masks import MaskHolder
from core.run_state import RunState
from core.steps import FineTuneSettings
from core.training.checkpoint import BestSoFar, TrainingProgress
from core.training.loop import RunningSums, train_batches
from core.training.optimizers import learning_rate_at, make_optimizer

TRAINING_COST = 3.0
"""Work of training on one example, in forward passes (backward costs about two)."""

CURVE_POINTS = 200
"""About so many points does the training curve of a step have, however long it runs."""

CHECKPOINT_SECONDS = 20.0
PROGRESS_SECONDS = 0.1


class _EarlyStop(Exception):  # noqa: N818 - no error: what the user asked for
    """The user wants what there is; leaves the loop between two updates."""


def fine_tune_work(settings: FineTuneSettings, state: RunState) -> float:
    """Forward passes: training examples three times each, and the validation split before and after every epoch."""
    task = state.require_task()
    train, validation = task.train, task.validation
    per_epoch = TRAINING_COST * (len(train) if train else 0) + (len(validation) if validation else 0)
    return settings.epochs * per_epoch + (len(validation) if validation else 0)


def fine_tune(settings: FineTuneSettings, state: RunState, context: JobContext) -> None:
    """Train the model of `state` on; removed weights stay exactly zero.

    Raises:
        StudioError: without training or validation examples, or when the loss is no longer finite.
    """
    _FineTuning(settings, state, context).run()


class _FineTuning:
    def __init__(self, settings: FineTuneSettings, state: RunState, context: JobContext) -> None:
        self.settings = settings
        self.state = state
        self.context = context
        self.module = state.module
        task = state.require_task()
        self.train = _required(task.train, task.title, "training")
        self.validation = _required(task.validation, task.title, "validation")
        self.order = torch.Generator().manual_seed(state.step_seed())
        self.optimizer = make_optimizer(self.module.parameters(), settings, state.device)
        self.holder = MaskHolder(self.module, state.masks)
        self.batches = math.ceil(len(self.train) / settings.batch_size)
        self.iterations = settings.epochs * self.batches
        self.point_every = max(1, self.iterations // CURVE_POINTS)
        self.epoch = 0
        self.batch = 0
        self.best: BestSoFar | None = None
        self.order_state = self.order.get_state()
        self.sums = RunningSums()
        self.work_waiting = 0.0
        self.last_progress = time.monotonic()
        self.last_checkpoint = time.monotonic()

    def run(self) -> None:
        if self.state.half_done is not None:
            self._take_up(self.state.half_done)
            self.state.half_done = None
        else:
            torch.manual_seed(self.state.step_seed())
            self.state.masks.zero_removed(self.module)
            self._validate()
        try:
            while self.epoch < self.settings.epochs:
                self._train_epoch()
                self._validate()
                self.epoch += 1
                self.batch = 0
        except _EarlyStop:
            if self.batch:
                self._validate()
            self._report_work(force=True)
            self.context.emit(
                Notice(
                    self.context.run_id,
                    f"Stopped at epoch {self._fractional_epoch():.3g} of {self.settings.epochs}; "
                    f"the {self.settings.keep} weights so far were kept.",
                )
            )
            self.context.skip(self._work_left())
        except JobInterrupted:
            self._save()
            raise
        self._report_work(force=True)
        if self.settings.keep == "best" and self.best is not None:
            with torch.no_grad():
                for name, tensor in self.module.state_dict().items():
                    tensor.copy_(self.best.tensors[name])
        self.state.masks.zero_removed(self.module)
        self.module.eval()

    def _train_epoch(self) -> None:
        self.order_state = self.order.get_state()
        batches = training_batches(
            self.train, self.settings.batch_size, self.order, self.settings.augmentation, self.state.device
        )
        # A resumed epoch draws the batches that it had already seen once more and passes them over: batches use no
        # generator but `order`, so dropout goes on where it stood.
        rest = itertools.islice(batches, self.batch, None)
        self.module.train()
        train_batches(
            self.module,
            rest,
            self.optimizer,
            nn.functional.cross_entropy,
            before_update=self._before_update,
            after_update=self._after_update,
        )

    def _before_update(self) -> None:
        self.context.checkpoint()
        if self.context.stop_requested:
            raise _EarlyStop
        if time.monotonic() - self.last_checkpoint > CHECKPOINT_SECONDS:
            self._save()
        rate = learning_rate_at(self.settings, self.epoch * self.batches + self.batch, self.iterations)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _after_update(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self.holder.hold()
        self.sums.add(loss, logits, labels)
        self.batch += 1
        self.state.iteration += 1
        self.work_waiting += TRAINING_COST * labels.shape[0]
        if (self.epoch * self.batches + self.batch) % self.point_every == 0:
            self._training_point()
        self._report_work()

    def _training_point(self) -> None:
        mean_loss, accuracy = self.sums.take()
        self._require_finite(mean_loss)
        self._point("train", "loss", mean_loss)
        self._point("train", "accuracy", accuracy)

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise StudioError(
                f"Training diverged: the loss became {loss} in epoch {self.epoch + 1} of step "
                f"{self.state.step + 1}. Lower the learning rate (now {self.settings.learning_rate:g}) and run again."
            )

    def _validate(self) -> None:
        """Judge the present weights on the validation split and remember them if none were better."""
        result = evaluate(self.module, self.validation, self.state.device, self._checked_progress)
        self._require_finite(result.loss)
        accuracy = result.correct / result.count
        self._point("validation", "loss", result.loss)
        self._point("validation", "accuracy", accuracy)
        if self.settings.keep == "best" and (
            self.best is None or (accuracy, -result.loss) > (self.best.accuracy, -self.best.loss)
        ):
            self.best = BestSoFar(accuracy, result.loss, self._fractional_epoch(), _copied(self.module))

    def _checked_progress(self, examples: int) -> None:
        self.context.checkpoint()
        self.work_waiting += examples
        self._report_work()

    def _report_work(self, force: bool = False) -> None:
        now = time.monotonic()
        if force or now - self.last_progress >= PROGRESS_SECONDS:
            self.last_progress = now
            shown = min(self.epoch + 1, self.settings.epochs)
            self.context.advance(
                self.work_waiting, f"{self.settings.title}: epoch {shown} of {self.settings.epochs}"
            )
            self.work_waiting = 0.0

    def _work_left(self) -> float:
        batches_left = self.iterations - self.epoch * self.batches - self.batch
        examples = batches_left * self.settings.batch_size * TRAINING_COST
        return examples + (self.settings.epochs - self.epoch) * len(self.validation)

    def _point(self, split: str, metric: str, value: float) -> None:
        self.context.emit(
            MetricPoint(
                self.context.run_id,
                self.state.step,
                self._fractional_epoch(),
                self.state.iteration,
                split,
                metric,
                value,
                self.context.active_seconds,
            )
        )

    def _fractional_epoch(self) -> float:
        return self.epoch + self.batch / self.batches

    # -- resuming

    def _save(self) -> None:
        self.state.save(
            self.context,
            TrainingProgress(
                epoch=self.epoch,
                batch=self.batch,
                order_state=self.order_state,
                torch_state=torch.get_rng_state(),
                sums=self.sums.snapshot(),
                optimizer=self.optimizer.state_dict(),
                best=self.best,
            ),
        )
        self.last_checkpoint = time.monotonic()

    def _take_up(self, progress: TrainingProgress) -> None:
        self.epoch, self.batch, self.best = progress.epoch, progress.batch, progress.best
        self.order.set_state(progress.order_state)
        torch.set_rng_state(progress.torch_state)
        self.sums = RunningSums(progress.sums)
        self.optimizer.load_state_dict(progress.optimizer)
        if self.best is not None:
            self.best.tensors = {name: t.to(self.state.device) for name, t in self.best.tensors.items()}


def _required(split: Split | None, title: str, kind: str) -> Split:
    if split is None or len(split) == 0:
        raise StudioError(
            f"{title} has no {kind} examples: use a task with a training part (for an image folder, a sub-folder "
            "“train” or class folders that the studio may split)."
        )
    return split


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
