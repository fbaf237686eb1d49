"""The settings of structured pruning, which removes whole channels; apart from the steps that only set zeros."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from core.steps import LOSS_DESCRIPTION, LayerPattern, Loss, StepSettings, shown

Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]


class PruneChannelsSettings(StepSettings):
    """Remove whole channels and rebuild the network smaller, so that it really is smaller and faster everywhere."""

    title: ClassVar[str] = "Prune channels"

    step: Literal["prune-channels"] = "prune-channels"
    amount: Fraction = Field(
        default=0.5,
        title="Amount",
        description="The fraction that goes.",
        json_schema_extra=shown(percent=True),
    )
    of: Literal["macs", "channels"] = Field(
        default="macs",
        title="Counted in",
        description="MACs: as many channels go as it takes to save that fraction of the multiply-accumulates. "
        "Channels: that fraction of the channels goes, which usually saves more MACs, as layers lose inputs too.",
    )
    importance: Literal["l2", "l1", "taylor", "random"] = Field(
        default="l2",
        title="Importance",
        description="Which channels go first. L2, L1: those whose weights have the smallest norm, summed over all "
        "layers that lose the channel together (DepGraph, Fang et al. 2023). Taylor: those whose absence the loss "
        "would feel least, from gradients on training examples; with global scope counted in MACs, for each MAC that "
        "they save (Liu et al. 2021). Random: a control to compare with.",
    )
    examples: int = Field(
        default=1024,
        ge=1,
        le=10_000_000,
        title="Examples",
        description="How many examples the importance is computed from, drawn from the training split; all if it has "
        "fewer.",
        json_schema_extra=shown(unit="examples", when={"importance": ["taylor"]}),
    )
    loss: Loss = Field(
        default="cross-entropy",
        title="Loss",
        description=LOSS_DESCRIPTION,
        json_schema_extra=shown(advanced=True, when={"importance": ["taylor"]}),
    )
    scope: Literal["uniform", "global"] = Field(
        default="uniform",
        title="Scope",
        description="Uniform: every layer loses the same fraction of its channels. Global: one ranking over all "
        "layers, so that redundant layers lose more.",
    )
    round_to: int = Field(
        default=1,
        ge=1,
        le=1024,
        title="Multiple of",
        description="Keep a multiple of so many channels in every layer: runtimes are often fastest at multiples of 8.",
        json_schema_extra=shown(unit="channels"),
    )
    exclude: tuple[LayerPattern, ...] = Field(
        default=(),
        title="Leave alone",
        description="Layers that keep all their outputs (name or pattern such as layer4*), and with them every layer "
        "whose channels go together with theirs.",
        json_schema_extra=shown(layers=True),
    )

    @property
    def needs_data(self) -> bool:
        return self.importance == "taylor"

    def summary(self) -> str:
        what = "MACs" if self.of == "macs" else "channels"
        extra = f" · {len(self.exclude)} exceptions" if self.exclude else ""
        return f"{self.importance} · {100 * self.amount:.4g} % of {what} · {self.scope}{extra}"
