"""Loss and accuracy of one run while it trains, drawn as its points arrive."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QStackedLayout, QToolButton, QVBoxLayout, QWidget

from studio import theme
from studio.jobs.curves import AXIS_TITLES, RunCurves
from studio.views.notice import PanelNotice

if TYPE_CHECKING:
    from studio.views.line_plot import Line

REDRAW_MS = 100
"""Curves follow the training ten times a second; more often only takes time from the training."""

_SPLITS = (("train", 0), ("validation", 1))
_BESIDE = (("accuracy", "teacher", "teacher", 2), ("sparsity", "model", "zeros", 3))
"""Drawn dashed beside the accuracies: what the teacher reaches, and the fraction of the weights that is zero."""

_METRICS = (("loss", "Loss", ("loss", "")), ("accuracy", "Accuracy", ("accuracy", "%")))
_NARROW = 440


class LiveCurves(QWidget):
    """Two plots side by side (or one above the other), or one of them with a switch where there is no room for two.

    The plots (and pyqtgraph with them) are made when the first curve is to be shown.
    """

    problem = Signal(object)  # Problem

    def __init__(self, parent: QWidget | None = None, *, stacked: bool = False) -> None:
        super().__init__(parent)
        self.setObjectName("liveCurves")
        self._stacked = stacked
        self.setMinimumWidth(240)
        self._curves: RunCurves | None = None
        self._plots: dict[str, QWidget] = {}
        self._chosen = "accuracy"
        self.notice = PanelNotice()
        self._switches = QWidget()
        switches = QVBoxLayout(self._switches)
        switches.setContentsMargins(theme.SPACE // 2, theme.SPACE // 2, 0, 0)
        switches.setSpacing(2)
        self._buttons: dict[str, QToolButton] = {}
        for metric, title, _axis in _METRICS:
            button = QToolButton()
            button.setObjectName(f"{metric}Switch")
            button.setText(title)
            button.setCheckable(True)
            button.setChecked(metric == self._chosen)
            button.setAutoExclusive(True)
            button.setToolTip(f"Show the curves of the {metric}.")
            button.setAccessibleName(f"Show {metric}")
            button.toggled.connect(self._switch)
            switches.addWidget(button)
            self._buttons[metric] = button
        switches.addStretch(1)
        self._splitter = QSplitter(Qt.Orientation.Vertical if stacked else Qt.Orientation.Horizontal)
        self._splitter.setChildrenCollapsible(False)
        content = QWidget()
        row = QHBoxLayout(content)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self._switches)
        row.addWidget(self._splitter, 1)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.notice)
        self._stack.addWidget(content)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self._draw)
        self.show_text("The curves of the selected run appear here as soon as it trains.")

    def sizeHint(self) -> QSize:
        return QSize(440, 140)

    @property
    def drawn(self) -> tuple[str, ...]:
        """The curves on show as "metric/split", for those who cannot see them."""
        return tuple(line.key for plot in self._plots.values() for line in plot.lines)

    def show_text(self, text: str) -> None:
        """Say why there are no curves."""
        self._curves = None
        self._timer.stop()
        self.notice.show_empty(text)
        self._stack.setCurrentIndex(0)

    def show_curves(self, curves: RunCurves) -> None:
        """Draw these curves now; call `follow` when they have grown."""
        self._curves = curves
        self._draw()

    def follow(self) -> None:
        """Draw again soon."""
        if self._curves is not None and not self._timer.isActive():
            self._timer.start()

    def _draw(self) -> None:
        if self._curves is None or self._curves.empty:
            return
        from studio.views.line_plot import Line

        self._make_plots()
        for metric, _title, axis in _METRICS:
            factor = 100.0 if axis[1] == "%" else 1.0
            lines = []
            for split, color in _SPLITS:
                curve = self._curves.curve(metric, split)
                if curve is not None:
                    lines.append(Line(f"{metric}/{split}", split, curve.x, curve.y * factor, color))
            if metric == "accuracy" and lines:
                lines += self._beside(factor)
            self._plots[metric].set_lines(lines)
        self._stack.setCurrentIndex(1)
        self._arrange()

    def _beside(self, factor: float) -> "list[Line]":
        from studio.views.line_plot import Line

        assert self._curves is not None
        lines = []
        for metric, split, name, color in _BESIDE:
            curve = self._curves.curve(metric, split)
            if curve is not None:
                lines.append(Line(f"{metric}/{split}", name, curve.x, curve.y * factor, color, dashed=True))
        return lines

    def _make_plots(self) -> None:
        if self._plots:
            return
        from studio.views.line_plot import LinePlot

        for metric, title, axis in _METRICS:
            plot = LinePlot(f"{title} while training")
            plot.setObjectName(f"{metric}Plot")
            plot.set_axes(AXIS_TITLES["epoch"], axis)
            plot.problem.connect(self.problem)
            self._plots[metric] = plot
            self._splitter.addWidget(plot)

    def _switch(self, on: bool) -> None:
        if on:
            self._chosen = next(metric for metric, button in self._buttons.items() if button.isChecked())
            self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        narrow = self.width() < _NARROW and not self._stacked
        self._switches.setVisible(narrow)
        for metric, plot in self._plots.items():
            plot.setVisible(not narrow or metric == self._chosen)
