"""Run as a process of its own: charts and comparison in the real window on 100,000 runs; prints one line of JSON.

`compare_probe.py DATABASE PROFILE`: milliseconds until the Pareto plot of all runs is painted, of pan steps in it and
in pyqtgraph's own scatter plot of the same points, and until a comparison of 20 runs is painted.
"""

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import json
import time
from typing import Any

STEPS, TIMES, COMPARED = 120, 5, 20
PAUSE = 0.001
"""A loop that looks for events without a rest would take the interpreter from the threads that it waits for."""


def main() -> None:
    import numpy as np
    import pyqtgraph as pg
    from PySide6.QtWidgets import QApplication

    from studio.app import StartOptions, build

    studio = build(StartOptions(profile=sys.argv[2], db=sys.argv[1], size="1440x900", workspace="history"))
    app = QApplication.instance()
    assert app is not None
    ready: list[bool] = []
    studio.ready.connect(lambda: ready.append(True))
    studio.start()
    while not ready:
        app.processEvents()

    def settle(seconds: float = 0.0) -> None:
        end = time.perf_counter() + seconds
        while not studio.background.idle or time.perf_counter() < end:
            app.processEvents()
            time.sleep(PAUSE)

    settle(4.0)
    history = studio.parts.history
    page = history._page
    found: dict[str, Any] = {"runs": len(page.table.columns)}

    def until(done: Any) -> None:
        while not (done() and studio.background.idle):
            app.processEvents()
            time.sleep(PAUSE)
        studio.window.repaint()
        app.processEvents()

    panel = page.explore.pareto
    start = time.perf_counter()
    page.tabs.setCurrentWidget(page.explore)
    until(lambda: panel._points is not None)
    found["first_ms"] = 1e3 * (time.perf_counter() - start)
    again = []
    for name in ("macs", "latency", "sparsity", "dense", "packed"):
        panel.x_axis.setCurrentIndex(panel.x_axis.findData(name))
        start = time.perf_counter()
        panel.axes_changed.emit()
        until(lambda: True)
        again.append(1e3 * (time.perf_counter() - start))
    found["again_ms"] = max(again)
    found["points"] = len(panel._points)

    def pan(plot: pg.PlotWidget) -> list[float]:
        box = plot.getPlotItem().getViewBox()
        taken = []
        for step in range(STEPS):
            start = time.perf_counter()
            across = 0.004 * box.viewRect().width()
            box.translateBy(x=across if step % 40 < 20 else -across, y=0)
            app.processEvents()
            taken.append(1e3 * (time.perf_counter() - start))
        return taken

    panel.log_x.setChecked(True)
    settle(0.5)
    pan(panel.plot.plot)
    taken = np.array(pan(panel.plot.plot))
    found["pan_median_ms"], found["pan_p95_ms"] = float(np.median(taken)), float(np.percentile(taken, 95))
    theirs = pg.PlotWidget()
    theirs.resize(panel.plot.plot.size())
    points = panel._points
    theirs.addItem(pg.ScatterPlotItem(np.log10(points.xs), points.ys, size=5, pen=None, brush="#57606a80"))
    theirs.show()
    settle(0.5)
    found["their_pan_median_ms"] = float(np.median(pan(theirs)))
    theirs.close()

    times = []
    run_ids = page.table.columns.run_ids
    for shift in range(TIMES):
        wanted = tuple(run_ids[-n - shift] for n in range(1, COMPARED + 1))
        start = time.perf_counter()
        history.compare_these(wanted)
        until(
            lambda wanted=wanted: (
                page.compare.comparison is not None and page.compare.comparison.records[0].run_id == wanted[0]
            )
        )
        times.append(1e3 * (time.perf_counter() - start))
    page.compare.tabs.setCurrentIndex(0)
    for name, panel in (("curves", page.compare.curves), ("layers", page.compare.layers)):
        start = time.perf_counter()
        page.compare.tabs.setCurrentWidget(panel)
        until(lambda: True)
        found[f"{name}_ms"] = 1e3 * (time.perf_counter() - start)
    found["compare_first_ms"], found["compare_ms"] = times[0], sorted(times[1:])[len(times[1:]) // 2]
    print(json.dumps(found))
    studio.window.close()
    studio.close()


main()
