"""The Predictions tab as runs and comparisons have it: made when it is first looked at."""

from PySide6.QtWidgets import QWidget

from studio.views.lazy_tab import LazyTab


def flips_tab() -> LazyTab:
    """An empty tab that becomes a `FlipsView`."""
    return LazyTab(_flips_view)


def _flips_view() -> QWidget:
    from studio.views.flips_view import FlipsView

    return FlipsView()
