"""What the selected step of the recipe would do to each layer: a column of the layer table that comes and goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class PlanCell:
    """One layer.

    Attributes:
        text: what stands in the cell.
        tip: why, in a sentence.
        own: whether the layer has a setting of its own; others follow the step and are muted.
        value: what the column is sorted by; None comes last.
        edit: what stands in the field when the cell is edited.
    """

    text: str
    tip: str = ""
    own: bool = False
    value: float | None = None
    edit: str = ""


@dataclass(frozen=True)
class LayerPlan:
    """The column.

    Attributes:
        title, explanation: of its head.
        cells: by the name of the layer.
        editable: whether the cells can be edited.
    """

    title: str
    explanation: str
    cells: Mapping[str, PlanCell] = field(default_factory=dict)
    editable: bool = True
