"""The training curves of compared runs over updates, epochs or time, smoothed where asked for."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLabel, QSlider, QWidget

from core.history.smoothing import smoothed
from studio import theme
from studio.jobs.curves import AXIS_TITLES
from studio.views.choices import ChartPage, choice
from studio.views.compare_rows import Comparison, short_name

if TYPE_CHECKING:
    from studio.views.line_plot import LinePlot

_METRICS = (("loss", "Loss", ""), ("accuracy", "Accuracy", "%"))
_SPLITS = (("validation", "validation"), ("train", "training"))
_NO_CURVES = "None of these runs has such a curve: nothing was trained, or it was not judged on that split."
_SMOOTHEST = 99


class CurvesPanel(ChartPage):
    """One metric of all runs; with smoothing the curves as they were stay behind, faint."""

    problem = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("compareCurvesPage", parent)
        self._comparison: Comparison | None = None
        self._plot: LinePlot | None = None
        self.metric = choice("compareMetric", "Curve", "Which curve.", 6)
        for name, title, _unit in _METRICS:
            self.metric.addItem(title, name)
        self.split = choice("compareSplit", "Split", "Judged on which examples.", 9)
        for name, title in _SPLITS:
            self.split.addItem(f"on {title}", name)
        self.axis = choice("compareCurveAxis", "Horizontal axis of the curves", "Drawn over what.", 7)
        for name, (title, _unit) in AXIS_TITLES.items():
            self.axis.addItem(f"by {title}", name)
        self.smoothing = QSlider(Qt.Orientation.Horizontal)
        self.smoothing.setObjectName("compareSmoothing")
        self.smoothing.setAccessibleName("Smoothing")
        self.smoothing.setToolTip(
            "Exponential moving average with this weight (bias-corrected); 0 draws the curves as they are."
        )
        self.smoothing.setRange(0, _SMOOTHEST)
        self.smoothing.setFixedWidth(80)
        self.weight = QLabel("smooth 0")
        self.weight.setObjectName("compareSmoothingWeight")
        self.weight.setProperty("role", "muted")
        self.weight.setMinimumWidth(74)
        for box in (self.metric, self.split, self.axis):
            self.controls.addWidget(box)
            box.activated.connect(self._refill)
        self.controls.addWidget(self.smoothing)
        self.controls.addWidget(self.weight)
        self.controls.addStretch(1)
        self.smoothing.valueChanged.connect(self._smooth)

    @property
    def plot(self) -> "LinePlot":
        """The plot; made (with pyqtgraph) when it is first asked for."""
        if self._plot is None:
            from studio.views.line_plot import LinePlot

            self._plot = LinePlot("training curves of the runs")
            self._plot.setObjectName("compareCurves")
            self._plot.problem.connect(self.problem)
            self.place.addWidget(self._plot, 1)
        return self._plot

    def show_comparison(self, comparison: Comparison) -> None:
        """Draw the curves of these runs."""
        self._comparison = comparison
        self._refill()

    def emphasise(self, run_id: str | None) -> None:
        """Draw one run's curve stronger."""
        if self._plot is not None:
            self._plot.emphasise(run_id)

    def _refill(self, _index: int = 0) -> None:
        if self._comparison is not None:
            self._fill()
            self.plot.reset_view()

    def _smooth(self, value: int) -> None:
        self.weight.setText(f"smooth {value / 100:g}")
        if self._comparison is not None:
            self._fill()

    def _fill(self) -> None:
        from studio.views.line_plot import Line

        assert self._comparison is not None
        metric, split, axis = self.metric.currentData(), self.split.currentData(), self.axis.currentData()
        unit = next(unit for name, _title, unit in _METRICS if name == metric)
        factor = 100.0 if unit == "%" else 1.0
        weight = self.smoothing.value() / 100
        lines = []
        series = len(theme.tokens().series)
        for record, color, curves in zip(
            self._comparison.records, self._comparison.colors, self._comparison.curves or (), strict=False
        ):
            curve = curves.curve(metric, split, axis)
            if curve is None:
                continue
            values, name = curve.y * factor, short_name(record)
            if weight:
                lines.append(
                    Line(f"{record.run_id} raw", f"{name} (raw)", curve.x, values, color, faint=True)
                )
                values = smoothed(values, weight)
            lines.append(Line(record.run_id, name, curve.x, values, color, color >= series))
        title = f"{split} {metric}" + (f", smoothed {weight:g}" if weight else "")
        self.plot.set_axes(AXIS_TITLES[axis], (title, unit))
        self.plot.set_lines(lines)
        self.say("" if lines else _NO_CURVES)
        self.plot.setVisible(bool(lines))
