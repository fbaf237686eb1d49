"""Makes the axes and the pictures of parallel coordinates in the background."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, Slot

from core.history.columns import RunColumns
from core.history.field_names import setting_names
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.views.parallel_data import ParallelData, PictureRequest, draw, parallel_data
from studio.views.parallel_panel import ParallelPanel


class ParallelController(QObject):
    """Of one panel; `topic` tells its requests from those of other panels."""

    failed = Signal(object)  # Problem

    def __init__(
        self, background: Background, topic: str, panel: ParallelPanel, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._background = background
        self._topic = topic
        self._panel = panel
        panel.view.picture_wanted.connect(self._draw)

    def show(
        self, columns: RunColumns, rows: NDArray[np.intp], colors: tuple[int, ...] | None = None
    ) -> None:
        """Draw the runs in `rows` (ascending) of columns that hold the panel's axes."""
        names = self._panel.columns

        def work(ticket: Ticket) -> ParallelData:
            ticket.check()
            return parallel_data(columns, rows, names, colors)

        self._panel.offer_settings(settings_of(columns))
        self._background.ask(f"{self._topic}-axes", work, self._panel.show_data, self._failed)

    def close(self) -> None:
        """Take no answer any more."""
        for part in ("axes", "all", "chosen"):
            self._background.drop(f"{self._topic}-{part}")

    @Slot(object)
    def _draw(self, request: PictureRequest) -> None:
        def done(pixels: tuple[NDArray[np.uint32], NDArray[np.uint32]]) -> None:
            self._panel.view.show_picture(request, *pixels)

        kind = "all" if request.chosen is None else "chosen"
        self._background.ask(
            f"{self._topic}-{kind}", lambda ticket: draw(request, ticket.check), done, self._failed
        )

    def _failed(self, problem: Problem) -> None:
        self.failed.emit(problem)


def settings_of(columns: RunColumns) -> list[str]:
    """The settings of all kinds of steps that the runs' methods name."""
    kinds = {kind for method in columns.texts["method"].values for kind in method.split(" + ")}
    return [name for name in setting_names() if name.partition(".")[0] in kinds]
