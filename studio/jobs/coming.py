"""Something that other threads may already ask while it is still being made: they wait until it is there."""

import threading
from typing import Any


class Coming:
    """Stands for an object that comes later. Its attributes are asked for on background threads only: they wait.

    Whoever makes the object must not need the threads that wait for it.
    """

    def __init__(self) -> None:
        self._settled = threading.Event()
        self._object: Any = None
        self._error: Exception | None = None

    def arrive(self, thing: Any) -> None:
        """It is there; called once, from any thread."""
        self._object = thing
        self._settled.set()

    def fail(self, error: Exception) -> None:
        """It will never be there: raise this in everybody who asks."""
        self._error = error
        self._settled.set()

    def __getattr__(self, name: str) -> Any:
        # Only called for names that this class does not have.
        self._settled.wait()
        if self._error is not None:
            raise self._error
        return getattr(self._object, name)
