"""Run as a process of its own: the real window on a history of 100,000 runs; prints one line of JSON.

`history_probe.py T0 DATABASE PROFILE`: seconds from T0 (the parent's clock) to the table with all runs, then the
milliseconds that searches, sorts, groups and scroll steps keep the event loop from the next event, painting included.
"""

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import json
import time
from typing import Any

SEARCHES = (
    "prune 80",
    "resnet",
    "accuracy > 97 % and size < 100 kB",
    "sparsity >= 80 % tag:paper or status:failed",
    "created > 2026-01-01 not model = lenet-5",
    "prune.sparsity > 90 % fine-tune.epochs >= 10",
    "loss < 0.05",
    "",
)
SCROLLS = 400


def main() -> None:
    from PySide6.QtCore import QEvent, QObject, Qt, QTimer
    from PySide6.QtWidgets import QApplication

    from studio.app import StartOptions, build

    since, database, profile = float(sys.argv[1]), sys.argv[2], sys.argv[3]
    studio = build(StartOptions(profile=profile, db=database, size="1440x900", workspace="history"))
    app = QApplication.instance()
    assert app is not None
    found: dict[str, Any] = {}
    page: Any = None
    began = [time.perf_counter()]

    class Watcher(QObject):
        """Notes when the table has painted runs for the first time."""

        def eventFilter(self, watched: Any, event: QEvent) -> bool:
            if event.type() == QEvent.Type.Paint and studio.parts.history._page.table.rowCount():
                watched.removeEventFilter(self)
                QTimer.singleShot(0, lambda: found.setdefault("table_s", time.time() - since))
            return False

    watcher = Watcher()

    def look_for_the_page() -> None:
        history = studio.parts.history
        if history is None:
            QTimer.singleShot(1, look_for_the_page)
        else:
            history._page.runs.viewport().installEventFilter(watcher)

    def loaded() -> None:
        app.processEvents()
        found["loading_s"] = time.perf_counter() - began[0]
        found.setdefault("table_s", time.time() - since)
        found["runs"] = len(studio.parts.history.list._table.columns)
        QTimer.singleShot(4_000, measure)

    def settled() -> None:
        deadline = time.perf_counter() + 20
        while not studio.background.idle and time.perf_counter() < deadline:
            app.processEvents()
            time.sleep(0.002)

    def timed(act: Any, wait: bool = False) -> float:
        """Until the window has painted what it does; with `wait`, until what it asks of the background has come."""
        start = time.perf_counter()
        act()
        if wait:
            settled()
        app.processEvents()
        return 1e3 * (time.perf_counter() - start)

    def measure() -> None:
        nonlocal page
        page = studio.parts.history._page
        settled()
        for query in SEARCHES:  # figures that a search needs are read once; that is told apart
            took = timed(lambda query=query: page.filter.setText(query), wait=True)
            found.setdefault("first_search_ms", []).append(round(took, 1))
        again = [timed(lambda query=query: page.filter.setText(query)) for query in SEARCHES * 3]
        found["search_ms"] = max(again)
        columns = page.table.columnCount()
        sorts = []
        for column in range(columns):
            for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
                sorts.append(timed(lambda column=column, order=order: page.table.sort(column, order)))
        found["sort_ms"] = max(sorts)
        groups = [timed(lambda n=n: page.grouping.setCurrentIndex(n)) for n in (1, 2, 3, 0)]
        found["group_ms"] = max(groups)
        page.table.sort(0, Qt.SortOrder.DescendingOrder)
        bar = page.runs.verticalScrollBar()
        steps = []
        for n in range(SCROLLS):
            # Every other step is a turn of the wheel, the others jump as a dragged scroll bar does.
            place = bar.value() + 3 if n % 2 else (n * 7919) % max(1, bar.maximum())
            steps.append(timed(lambda place=place: bar.setValue(place)))
        steps.sort()
        found["scroll_median_ms"] = steps[len(steps) // 2]
        found["scroll_p99_ms"] = steps[int(0.99 * len(steps))]
        found["scroll_max_ms"] = steps[-1]
        app.quit()

    def ready() -> None:
        # The history has just been opened, and its runs have just been asked for.
        began[0] = time.perf_counter()
        studio.parts.history.list.loaded.connect(loaded)
        if studio.parts.history.list.is_loaded:
            loaded()

    studio.ready.connect(ready)
    studio.assembled.connect(look_for_the_page)
    studio.start()
    app.exec()
    studio.close()
    print(json.dumps(found), flush=True)


main()
