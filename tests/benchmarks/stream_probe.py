"""Run in a process of its own: opens a large checkpoint as the window does and counts all of it; prints JSON."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

BINS = 256
THREADS = 2


def resident_bytes() -> int:
    """Memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def shared_out(names: list[str], work: Callable[[str], object]) -> float:
    """Have two threads take names from one list; the seconds it took."""
    places, lock = iter(names), threading.Lock()

    def take() -> None:
        while True:
            with lock:
                name = next(places, None)
            if name is None:
                return
            work(name)

    threads = [threading.Thread(target=take) for _ in range(THREADS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def main(path: str) -> None:
    from core.models.opening import open_model
    from core.models.source import ModelSource

    start = time.perf_counter()
    model = open_model(ModelSource(kind="file", name=path))
    listed = time.perf_counter() - start
    names = [layer.weight_name for layer in model.description.layers]
    found: dict[str, object] = {"tensors": len(names), "list_s": listed, "torch": "torch" in sys.modules}

    from core.analysis import acceleration
    from core.analysis.stream import analyse_tensor

    acceleration.load()
    start = time.perf_counter()
    analyse_tensor(model, names[-1], BINS)
    found["first_s"] = time.perf_counter() - start
    found["resident_before"] = resident_bytes()

    largest = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal largest
        while not done.wait(0.01):
            largest = max(largest, resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    size = Path(path).stat().st_size
    buffers = threading.local()

    def only_read(name: str) -> None:
        import numpy as np

        with model.elements(name) as elements:
            if not hasattr(buffers, "own"):
                buffers.own = np.empty(1 << 20, elements.dtype)
            for first in range(0, elements.size, 1 << 20):
                elements.read(first, min(1 << 20, elements.size - first), buffers.own)

    reading = [shared_out(names, only_read) for _ in range(3)]
    counting = [shared_out(names, lambda name: analyse_tensor(model, name, BINS)) for _ in range(3)]
    done.set()
    watcher.join()
    found["read_bytes_per_s"] = size / sorted(reading)[1]
    found["count_bytes_per_s"] = size / sorted(counting)[1]
    found["resident_most"] = largest

    class GivenUpError(Exception):
        pass

    def give_up() -> None:
        if time.perf_counter() > until:
            raise GivenUpError

    waits = []
    for number in range(20):
        until = time.perf_counter() + 0.001 * (number % 5)
        try:
            for name in names:
                analyse_tensor(model, name, BINS, give_up)
        except GivenUpError:
            waits.append(time.perf_counter() - until)
    found["cancel_s"] = sorted(waits)[len(waits) // 2]
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
