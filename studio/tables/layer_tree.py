"""The modules that layers belong to, as a tree by the dots of their names: order, choice and folding of its rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.models.description import Layer


@dataclass(frozen=True)
class LayerGroup:
    """A branch of the tree: what it has in common with a layer, so that columns can show both.

    Attributes:
        name: the whole path.
        kind: “12 layers”.
        dtype: of all its layers, or “mixed”.
        macs: of all its layers, or None where one's are not known.
    """

    name: str
    kind: str
    weights: int
    bias_count: int
    macs: int | None
    dtype: str


@dataclass(frozen=True)
class Arranged:
    """Rows of the tree.

    Attributes:
        nodes, depths: what each row shows (layers by index, branch b as number of layers + b), and how deep.
        layers: all layers that were let through, in this order, also those in folded branches.
    """

    nodes: NDArray[np.intp]
    depths: NDArray[np.intp]
    layers: NDArray[np.intp]


class ModuleTree:
    """The tree of some layers. A branch with one branch in it and nothing else is joined with it.

    Attributes:
        groups: the branches.
        members, starts: the layers of all branches one after the other, and where each branch begins.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.size = len(layers)
        root: dict[str, object] = {}
        for place, layer in enumerate(layers):
            folder = root
            *path, last = layer.name.split(".")
            for part in path:
                folder = folder.setdefault(f"{part}.", {})  # type: ignore[assignment]
            # A dot at the end tells a branch from a layer of the same name.
            folder[last] = place
        self.groups: list[LayerGroup] = []
        self.parts: list[str] = []
        self.parents: list[int] = [-1] * self.size
        self._children: list[list[int]] = []
        self._members: list[list[int]] = []
        self._layers = layers
        self._roots = self._grow(root, "", -1)
        del self._layers
        flat = [one for members in self._members for one in members]
        self.members = np.array(flat, np.intp)
        sizes = [len(members) for members in self._members]
        self.starts = (
            np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp) if sizes else np.zeros(0, np.intp)
        )

    def members_of(self, group: int) -> list[int]:
        """The layers of a branch, in the order of the model."""
        return self._members[group]

    def arrange(
        self,
        key: Callable[[int], object] | None,
        allowed: NDArray[np.bool_] | None,
        folded: set[int],
    ) -> Arranged:
        """The rows in order.

        Args:
            key: by which the children of each branch are sorted; None for the order of the model.
            allowed: which layers are let through; a branch is shown if one of its layers is. None for all.
            folded: branches whose children are not shown (by index).
        """
        some: list[bool] | None = None
        if allowed is not None:
            inside = (
                np.add.reduceat(allowed[self.members].astype(np.intp), self.starts)
                if self.starts.size
                else []
            )
            some = [*allowed.tolist(), *(bool(number) for number in inside)]
        nodes: list[int] = []
        depths: list[int] = []
        layers: list[int] = []
        size, children_of = self.size, self._children
        # Not recursive: a stack costs half as much at ten thousand rows.
        stack = [(node, 0, True) for node in reversed(self._sorted(self._roots, key))]
        while stack:
            node, depth, visible = stack.pop()
            if some is not None and not some[node]:
                continue
            if visible:
                nodes.append(node)
                depths.append(depth)
            if node < size:
                layers.append(node)
                continue
            open_here = visible and node - size not in folded
            below = children_of[node - size]
            stack.extend((one, depth + 1, open_here) for one in reversed(self._sorted(below, key)))
        return Arranged(np.array(nodes, np.intp), np.array(depths, np.intp), np.array(layers, np.intp))

    @staticmethod
    def _sorted(children: list[int], key: Callable[[int], object] | None) -> list[int]:
        return children if key is None or len(children) < 2 else sorted(children, key=key)  # type: ignore[arg-type]

    def _grow(self, folder: dict[str, object], path: str, parent: int) -> list[int]:
        """Make the branches below a folder; the nodes in it, in the order of the model."""
        nodes: list[int] = []
        for name, content in folder.items():
            if isinstance(content, int):
                self.parents[content] = parent
                nodes.append(content)
                continue
            part, below = name, content
            while len(below) == 1 and isinstance(inner := next(iter(below.values())), dict):  # type: ignore[arg-type]
                part += next(iter(below))  # type: ignore[call-overload]
                below = inner
            group = len(self.groups)
            node = self.size + group
            self.parents.append(parent)
            self.parts.append(part.rstrip("."))
            self.groups.append(_NOTHING)
            self._children.append([])
            self._members.append([])
            self._children[group] = self._grow(below, path + part, node)  # type: ignore[arg-type]
            for child in self._children[group]:
                self._members[group] += [child] if child < self.size else self._members[child - self.size]
            self._members[group].sort()
            self.groups[group] = self._group((path + part).rstrip("."), self._members[group])
            nodes.append(node)
        return nodes

    def _group(self, name: str, members: list[int]) -> LayerGroup:
        layers = [self._layers[place] for place in members]
        macs = [layer.macs for layer in layers]
        known = [one for one in macs if one is not None]
        kinds = {layer.dtype for layer in layers}
        return LayerGroup(
            name,
            f"{len(layers):,} layer{'s' if len(layers) > 1 else ''}",
            sum(layer.weights for layer in layers),
            sum(layer.bias_count for layer in layers),
            sum(known) if len(known) == len(macs) else None,
            kinds.pop() if len(kinds) == 1 else "mixed",
        )


_NOTHING = LayerGroup("", "", 0, 0, None, "")
