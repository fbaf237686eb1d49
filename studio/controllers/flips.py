"""Predictions of runs: read off the GUI thread when their tab is looked at, images a page at a time."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import QObject, Slot

from core.errors import StudioError
from core.history.records import Artifact, RunRecord
from core.measurement.predictions import KIND
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.views.compare_rows import Comparison
from studio.views.lazy_tab import LazyTab

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.data.gallery import Gallery
    from core.measurement.predictions import Predictions
    from studio.views.flips_view import FlipChoice, FlipsView

LARGEST_SIDE = 192
"""Larger images are made smaller off the GUI thread: no cell shows more."""


class Store(Protocol):
    """What is needed of the history; called from background threads only."""

    def run(self, name: str) -> RunRecord: ...
    def artifacts(self, run_id: str) -> tuple[Artifact, ...]: ...


class Galleries:
    """Keeps the images' source that was used last, for all views together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: object = None
        self._gallery: Gallery | None = None

    def get(self, predictions: "Predictions", check: Callable[[], None]) -> "Gallery":
        """The source of these predictions' images; opening it takes seconds for large tasks.

        Raises:
            StudioError: if the task's data are gone or have changed.
        """
        from core.data.gallery import Gallery

        key = (predictions.task, predictions.fingerprint)
        with self._lock:
            if self._gallery is None or self._key != key:
                self._gallery = None
                self._gallery = Gallery(predictions.task, predictions.labels, predictions.class_names, check)
                self._key = key
            return self._gallery


class FlipsController(QObject):
    """Fills one Predictions tab. `name` keeps the requests of several apart."""

    def __init__(
        self,
        background: Background,
        store: Store,
        galleries: Galleries,
        tab: LazyTab,
        name: str,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._background = background
        self._store = store
        self._galleries = galleries
        self._tab = tab
        self._topic = f"flips {name}"
        self._images_topic = f"flips images {name}"
        self._wanted: tuple[tuple[str, ...], object] = ((), None)
        self._loaded: object = None
        tab.built.connect(self._built)

    def show_run(self, record: RunRecord, artifacts: tuple[Artifact, ...]) -> None:
        """Set before against after of one run, once the tab is looked at."""
        self._want((record.run_id,), _stamp(record, artifacts))

    @Slot(object)
    def show_comparison(self, comparison: Comparison) -> None:
        """Set the baseline against each of the other runs, once the tab is looked at."""
        records = list(comparison.records)
        records.insert(0, records.pop(comparison.table.baseline))
        self._want(tuple(record.run_id for record in records), tuple(_stamp(record) for record in records))

    # -- inside ------------------------------------------------------------------------------------------------

    @property
    def _view(self) -> "FlipsView | None":
        return self._tab.view  # type: ignore[return-value]

    def _built(self) -> None:
        view = self._view
        assert view is not None
        view.seen.connect(self._refresh)
        view.notice.retry.connect(self._again)
        view.images_wanted.connect(self._load_images)
        view.pair_changed.connect(self._pair_changed)
        self._refresh()

    def _want(self, run_ids: tuple[str, ...], stamp: object) -> None:
        if self._wanted == (run_ids, stamp):
            return
        view = self._view
        if view is not None and self._wanted[0] != run_ids:
            # Another run's images must not stand under this one's name for a moment.
            view.show_nothing("Loading the predictions …")
        self._wanted = (run_ids, stamp)
        self._refresh()

    def _again(self) -> None:
        self._loaded = None
        self._refresh()

    def _refresh(self) -> None:
        view, wanted = self._view, self._wanted
        if view is None or not view.isVisible() or not wanted[0] or self._loaded == wanted:
            return
        store, run_ids = self._store, wanted[0]

        def work(ticket: Ticket) -> "tuple[FlipChoice, ...] | str":
            try:
                return _choices(store, run_ids, ticket.check)
            except StudioError as error:
                return error.message

        def done(found: "tuple[FlipChoice, ...] | str") -> None:
            self._loaded = wanted
            if isinstance(found, str):
                view.show_nothing(found)
            else:
                view.show_choices(found)

        view.notice.show_busy()
        self._background.ask(self._topic, work, done, self._failed)

    def _failed(self, problem: Problem) -> None:
        if self._view is not None:
            self._view.notice.show_problem(problem, retry=True)

    def _pair_changed(self) -> None:
        self._background.drop(self._images_topic)

    def _load_images(self, examples: tuple[int, ...]) -> None:
        view = self._view
        pair = None if view is None else view.images.grid.flipped.pair
        if view is None or pair is None:
            return
        galleries, predictions = self._galleries, pair.predictions

        def work(ticket: Ticket) -> "dict[int, NDArray[np.uint8]]":
            gallery = galleries.get(predictions, ticket.check)
            images = gallery.images(examples, ticket.check)
            return {example: _small_enough(image) for example, image in zip(examples, images, strict=True)}

        def done(images: "dict[int, NDArray[np.uint8]]") -> None:
            view.images.notice.clear()
            view.images.grid.flipped.add_pictures(images)
            view.images.grid.ask_for_images()

        view.images.notice.show_busy()
        self._background.ask(self._images_topic, work, done, self._no_images)

    def _no_images(self, problem: Problem) -> None:
        if self._view is not None:
            self._view.images.notice.show_problem(problem, retry=True)


def _stamp(record: RunRecord, artifacts: tuple[Artifact, ...] = ()) -> object:
    """Changes when what was kept of a run may have changed."""
    kept = next((artifact.sha256 for artifact in artifacts if artifact.kind == KIND), "")
    return record.status, record.ended, kept


def _choices(store: Store, run_ids: tuple[str, ...], check: Callable[[], None]) -> "tuple[FlipChoice, ...]":
    from core.history.flips import pair_between, pairs_within, predictions_of
    from studio.views.flips_view import FlipChoice

    record = store.run(run_ids[0])
    kept = predictions_of(record, store.artifacts(record.run_id))
    if len(run_ids) == 1:
        return tuple(FlipChoice(pair.title, pair) for pair in pairs_within(kept))
    choices = []
    for run_id in run_ids[1:]:
        check()
        other = store.run(run_id)
        try:
            pair = pair_between((record, kept), (other, predictions_of(other, store.artifacts(run_id))))
            choices.append(FlipChoice(pair.title, pair))
        except StudioError as error:
            title = f"#{record.number} → #{other.number} {other.name}"
            choices.append(FlipChoice(title, None, error.message))
    return tuple(choices)


def _small_enough(image: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    if max(image.shape[:2]) <= LARGEST_SIDE:
        return image
    import numpy as np
    from PIL import Image

    small = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    small.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    pixels: NDArray[np.uint8] = np.asarray(small)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]
