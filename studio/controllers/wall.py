"""WallController: ties the wall of histograms to the layer table's figures and to the selection."""

from PySide6.QtCore import QObject, Signal

from studio.controllers.layers import LayersController
from studio.state import AppState
from studio.views.wall_view import WallView


class WallController(QObject):
    """Connects the wall, the layers' controller and the state."""

    histogram_requested = Signal()  # look at the selected layer closely

    def __init__(
        self, state: AppState, layers: LayersController, wall: WallView, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._wall = wall
        wall.set_table(layers.table)
        layers.count_first(wall.visible_layers)
        wall.selection_changed.connect(self._selected)
        wall.open_requested.connect(self._open)
        state.layer_selection_changed.connect(wall.select)
        layers.table.modelReset.connect(self._renew)
        wall.select(state.layers)

    def _selected(self, names: tuple[str, ...]) -> None:
        self._state.set_layers(names)

    def _open(self, name: str) -> None:
        self._state.set_layers((name,))
        self.histogram_requested.emit()

    def _renew(self) -> None:
        self._wall.select(self._state.layers)
