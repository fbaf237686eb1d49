"""RunLayout: which further columns and which grouping the history was left with, kept between sessions."""

from PySide6.QtCore import QObject

from core.history.query_fields import all_fields
from studio.controllers.run_list import RunList
from studio.settings import RUN_COLUMNS, RUN_GROUPING, Settings
from studio.views.history_page import HistoryPage


class RunLayout(QObject):
    """Puts the layout back once, and remembers every change of it from then on."""

    def __init__(
        self, settings: Settings, page: HistoryPage, runs: RunList, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        # What an older or newer version knew as a field may be none here.
        names = [name for name in settings.get(RUN_COLUMNS) if name in all_fields()]
        if names:
            runs.show_columns(names)
        place = page.grouping.findData(settings.get(RUN_GROUPING))
        if place > 0:
            page.grouping.setCurrentIndex(place)
        page.runs.columns_chosen.connect(self._columns)
        page.grouping_changed.connect(self._grouping)

    def _columns(self, names: object) -> None:
        self._settings.set(RUN_COLUMNS, list(names))  # type: ignore[call-overload]

    def _grouping(self, column: object) -> None:
        self._settings.set(RUN_GROUPING, str(column or ""))
