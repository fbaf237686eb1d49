"""The fine-tuning step: the training loop with masks held, curves, the best state kept, and a place to resume from."""

import itertools
import math
import time

import torch
from torch import Tensor

from core.data.batches import indexed_batches
from core.data.split import Split
from core.errors import StudioError
from core.events import MetricPoint, Notice
from core.formatting import percent
from core.job import JobContext, JobInterrupted
from core.measurement.accuracy import Evaluation, evaluate
from core.pruning.gradual import GradualCuts, sparsity_of
from core.pruning.masks import MaskHolder
from core.quantization.training import QuantizedTraining
from core.run_state import RunState, copied_tensors
from core.steps import TrainingSettings
from core.steps_flow import GradualSettings
from core.training.checkpoint import BestSoFar, TrainingProgress
from core.training.loop import RunningSums, train_batches
from core.training.losses import mean_loss, summed_loss
from core.training.objective import Objective
from core.training.optimizers import learning_rate_at, make_optimizer
from core.training.precision import computing_in
from core.training.regularisation import Regularisation

TRAINING_COST = 3.0
"""Work of training on one example, in forward passes (backward costs about two)."""

CURVE_POINTS = 200
"""About so many points does the training curve of a step have, however long it runs."""

CHECKPOINT_SECONDS = 20.0
PROGRESS_SECONDS = 0.1


class _EarlyStop(Exception):  # noqa: N818 - no error: what the user asked for
    """The user wants what there is; leaves the loop between two updates."""


def fine_tune_work(settings: TrainingSettings, state: RunState) -> float:
    """Forward passes: training examples three times each, and the validation split at every look."""
    task = state.require_task()
    train, judged = len(task.train or ()), len(task.validation or ())
    if settings.evaluate_test:
        judged += len(task.test or ())
    batches = math.ceil(train / settings.batch_size)
    updates = max(0, (settings.iterations or settings.epochs * batches) - settings.start)
    looks = 1 + math.ceil(updates / max(1, settings.evaluate_every or batches))
    return TRAINING_COST * updates * (train / max(batches, 1)) + looks * judged


def fine_tune(
    settings: TrainingSettings, state: RunState, context: JobContext, objective: Objective | None = None
) -> None:
    """Train the model of `state` on, by default for the loss on its labels; removed weights stay exactly zero.

    Raises:
        StudioError: without training or validation examples, when the step would begin after its own end, or when
            the loss is no longer finite.
    """
    _FineTuning(settings, state, context, objective or Objective(mean_loss(settings.loss))).run()


class _FineTuning:
    def __init__(
        self, settings: TrainingSettings, state: RunState, context: JobContext, objective: Objective
    ) -> None:
        self.settings = settings
        self.state = state
        self.context = context
        self.module = state.module
        task = state.require_task()
        self.objective = objective
        self.train = objective.examples(_required(task.train, task.title, "training"))
        self.validation = _required(task.validation, task.title, "validation")
        self.order = torch.Generator().manual_seed(state.step_seed())
        trained = [*self.module.parameters(), *objective.parameters]
        self.optimizer = make_optimizer(trained, settings, state.device)
        self.regularisation = Regularisation(self.module, settings)
        self.holder = MaskHolder(self.module, state.masks)
        self.quantized = QuantizedTraining(self.module, state.quantization)
        self.network = self.quantized.network
        if settings.precision != "float32" and state.quantization:
            raise StudioError(
                f"{state.place} computes in {settings.precision}, but the model is quantized, and its grids are only "
                "held in float32: choose float32."
            )
        self.forward = computing_in(settings, self.network, state.device)
        self.test = _required(task.test, task.title, "test") if settings.evaluate_test else None
        self.batches = math.ceil(len(self.train) / settings.batch_size)
        self.iterations = settings.iterations or settings.epochs * self.batches
        if settings.start >= self.iterations:
            raise StudioError(
                f"{state.place} starts at iteration {settings.start}, but ends after {self.iterations}: start earlier "
                "or train longer."
            )
        self.point_every = max(1, self.iterations // CURVE_POINTS)
        self.evaluate_every = settings.evaluate_every or self.batches
        self.cuts = GradualCuts(settings, self.iterations) if isinstance(settings, GradualSettings) else None
        self.epoch, self.batch = divmod(settings.start, self.batches)
        self.evaluated = -1
        self.best: BestSoFar | None = None
        self.order_state = self.order.get_state()
        self.sums = RunningSums()
        self.work_waiting = 0.0
        self.last_progress = time.monotonic()
        self.last_checkpoint = time.monotonic()

    @property
    def done(self) -> int:
        """Updates of this step so far, those before its start included."""
        return self.epoch * self.batches + self.batch

    def run(self) -> None:
        self.quantized.begin()
        self.regularisation.begin()
        self.objective.begin()
        try:
            if self.state.half_done is not None:
                self._take_up(self.state.half_done)
                self.state.half_done = None
                # The interruption may have come in the middle of a look.
                self._look_if_due()
            else:
                torch.manual_seed(self.state.step_seed())
                self.state.masks.zero_removed(self.module)
                self._validate()
            while self.done < self.iterations:
                self._train_epoch()
                if self.batch == self.batches:
                    self.epoch += 1
                    self.batch = 0
        except _EarlyStop:
            if self.evaluated != self.done:
                self._validate()
            self._report_work(force=True)
            self.context.emit(
                Notice(
                    self.context.run_id,
                    f"Stopped at {self._reached()}; the {self.settings.keep} weights so far were kept.",
                )
            )
            self.context.skip(self._work_left())
        except JobInterrupted:
            if self.evaluated >= 0:
                self._save()
            raise
        finally:
            self.objective.end()
            self.regularisation.end()
            self.quantized.end()
        self._report_work(force=True)
        if self.settings.keep != "last" and self.best is not None:
            with torch.no_grad():
                for name, tensor in self.module.state_dict().items():
                    tensor.copy_(self.best.tensors[name])
        self.state.masks.zero_removed(self.module)
        self.state.quantization = self.quantized.settle()
        self.network.eval()
        if self.cuts is not None:
            reached = percent(sparsity_of(self.state))
            self.context.emit(
                Notice(self.context.run_id, f"{self.state.place} set {reached} of the weights to zero.")
            )

    def _train_epoch(self) -> None:
        self.order_state = self.order.get_state()
        settings = self.settings
        batches = indexed_batches(
            self.train,
            settings.batch_size,
            self.order,
            settings.augmentation,
            self.state.device,
            settings.shift_pixels,
        )
        # A resumed epoch draws the batches that it had already seen once more and passes them over: batches use no
        # generator but `order`, so dropout goes on where it stood.
        last = min(self.batches, self.iterations - self.epoch * self.batches)
        rest = itertools.islice(batches, self.batch, last)
        self.quantized.train()
        train_batches(
            self.forward,
            self.objective.batches(rest),
            self.optimizer,
            self.objective.loss,
            before_update=self._before_update,
            after_update=self._after_update,
        )

    def _before_update(self) -> None:
        self.context.checkpoint()
        if self.context.stop_requested:
            raise _EarlyStop
        if time.monotonic() - self.last_checkpoint > CHECKPOINT_SECONDS:
            self._save()
        rate = learning_rate_at(self.settings, self.done, self.iterations)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _after_update(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self.regularisation.hold()
        self.holder.hold()
        self.quantized.hold()
        self.sums.add(loss, logits, labels)
        self.batch += 1
        self.state.iteration += 1
        self.work_waiting += (TRAINING_COST + self.objective.cost) * labels.shape[0]
        self.state.keep_early()
        done = self.done
        if done % self.point_every == 0:
            self._training_point()
        self._report_work()
        if self.cuts is not None and self.cuts.due(done):
            self._cut(self.cuts)
        self._look_if_due()

    def _look_if_due(self) -> None:
        """Judge the weights where the settings want it; last of all after an update, because it may be interrupted."""
        done = self.done
        if self.evaluated != done and (done % self.evaluate_every == 0 or done == self.iterations):
            self._validate()
            self.quantized.train()

    def _cut(self, cuts: GradualCuts) -> None:
        cuts.carry_out(self.done, self.state)
        self.holder = MaskHolder(self.module, self.state.masks)
        # What was best with more weights is no candidate any more.
        self.best = None
        self._point("model", "sparsity", sparsity_of(self.state))

    def _training_point(self) -> None:
        loss, accuracy = self.sums.take()
        self._require_finite(loss)
        self._point("train", "loss", loss)
        if self.objective.labelled:
            self._point("train", "accuracy", accuracy)

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise StudioError(
                f"Training diverged: the loss became {loss} in epoch {self.epoch + 1} of {_small(self.state.place)}. "
                f"Lower the learning rate (now {self.settings.learning_rate:g}) and run again."
            )

    def _validate(self) -> None:
        """Judge the present weights on the validation split and remember them if none were better."""
        result = self._judge(self.validation)
        self._require_finite(result.loss)
        accuracy = result.correct / result.count
        self._point("validation", "loss", result.loss)
        self._point("validation", "accuracy", accuracy)
        for split, metric, value in self.objective.points():
            self._point(split, metric, value)
        if self.test is not None:
            on_test = self._judge(self.test)
            self._point("test", "loss", on_test.loss)
            self._point("test", "accuracy", on_test.correct / on_test.count)
        if self.settings.keep != "last" and (
            self.best is None
            or self._rank(accuracy, result.loss) > self._rank(self.best.accuracy, self.best.loss)
        ):
            self.best = BestSoFar(
                accuracy, result.loss, self._fractional_epoch(), copied_tensors(self.module)
            )
        self.evaluated = self.done

    def _judge(self, split: Split) -> Evaluation:
        return evaluate(
            self.network,
            split,
            self.state.device,
            self._checked_progress,
            summed_loss=summed_loss(self.settings.loss),
        )

    def _rank(self, accuracy: float, loss: float) -> tuple[float, float]:
        """What orders candidates: higher is better."""
        return (accuracy, -loss) if self.settings.keep == "best" else (-loss, accuracy)

    def _checked_progress(self, examples: int) -> None:
        self.context.checkpoint()
        self.work_waiting += examples
        self._report_work()

    def _report_work(self, force: bool = False) -> None:
        now = time.monotonic()
        if force or now - self.last_progress >= PROGRESS_SECONDS:
            self.last_progress = now
            self.context.advance(self.work_waiting, f"{self.settings.title}: {self._words(self.done + 1)}")
            self.work_waiting = 0.0

    def _words(self, done: int) -> str:
        """`epoch 2 of 3`, or `iteration 2000 of 50000` where the settings count so."""
        if self.settings.iterations is not None:
            return f"iteration {min(done, self.iterations)} of {self.iterations}"
        epoch = min(self.epoch + 1, self.settings.epochs)
        return f"epoch {epoch} of {self.settings.epochs}"

    def _reached(self) -> str:
        if self.settings.iterations is not None:
            return self._words(self.done)
        return f"epoch {self._fractional_epoch():.3g} of {self.settings.epochs}"

    def _work_left(self) -> float:
        updates = self.iterations - self.done
        judged = len(self.validation) + len(self.test or ())
        return (
            updates * (TRAINING_COST + self.objective.cost) * (len(self.train) / self.batches)
            + math.ceil(updates / self.evaluate_every) * judged
        )

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
                evaluated=self.evaluated,
                objective=self.objective.tensors(),
            ),
        )
        self.last_checkpoint = time.monotonic()

    def _take_up(self, progress: TrainingProgress) -> None:
        self.epoch, self.batch, self.best = progress.epoch, progress.batch, progress.best
        self.evaluated = progress.evaluated
        self.order.set_state(progress.order_state)
        torch.set_rng_state(progress.torch_state)
        self.sums = RunningSums(progress.sums)
        self.optimizer.load_state_dict(progress.optimizer)
        self.objective.take_up(progress.objective)
        if self.best is not None:
            self.best.tensors = {name: t.to(self.state.device) for name, t in self.best.tensors.items()}


def _required(split: Split | None, title: str, kind: str) -> Split:
    if split is None or len(split) == 0:
        raise StudioError(
            f"{title} has no {kind} examples: use a task with a training part (for an image folder, a sub-folder "
            "“train” or class folders that the studio may split)."
        )
    return split


def _small(place: str) -> str:
    return place[:1].lower() + place[1:]
