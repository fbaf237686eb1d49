"""What rows and columns of a weight matrix mean in the tensor: channels and kernel places, by name."""

from math import prod

_AXES = {
    "linear": ("out", "in"),
    "attention": ("out", "in"),
    "conv1d": ("out", "in", "k"),
    "conv2d": ("out", "in", "ky", "kx"),
    "conv3d": ("out", "in", "kz", "ky", "kx"),
    # torch keeps the input channels first in transposed convolutions.
    "conv_transpose1d": ("in", "out", "k"),
    "conv_transpose2d": ("in", "out", "ky", "kx"),
    "conv_transpose3d": ("in", "out", "kz", "ky", "kx"),
    "embedding": ("entry", "dimension"),
}
_TITLES = {
    "out": "output channel",
    "in": "input channel",
    "entry": "entry",
    "dimension": "dimension",
}


def axis_names(kind: str, dimensions: int) -> tuple[str, ...]:
    """Short names of the weight's axes: ("out", "in", "ky", "kx") for a conv2d. A vector has one axis."""
    names = _AXES.get(kind.removesuffix("?"), ())
    if len(names) == dimensions:
        return names
    return ("out", "in", *(f"k{place}" for place in range(dimensions - 2)))[:dimensions]


def position(shape: tuple[int, ...], row: int, column: int) -> tuple[int, ...]:
    """The tensor indices of a place in the matrix that `as_matrix` makes of a tensor of this shape."""
    if len(shape) < 2:
        return (column,)[: len(shape)]
    indices: list[int] = []
    for side in reversed(shape[1:]):
        column, index = divmod(column, side)
        indices.append(index)
    return (row, *reversed(indices))


def position_text(kind: str, shape: tuple[int, ...], row: int, column: int) -> str:
    """For people: `out 3, in 5, ky 1, kx 2`."""
    names = axis_names(kind, len(shape))
    places = position(shape, row, column)
    return ", ".join(f"{name} {place}" for name, place in zip(names, places, strict=True))


def columns_per_channel(shape: tuple[int, ...]) -> int:
    """How many columns of the matrix belong to one channel of the second axis: kh · kw for a convolution."""
    return max(1, prod(shape[2:]))


def axis_titles(kind: str, shape: tuple[int, ...]) -> tuple[str, str]:
    """What stands beside the rows and below the columns of the matrix."""
    if len(shape) < 2:
        return "", "index"
    names = axis_names(kind, len(shape))
    first, second = (_TITLES.get(name, name) for name in names[:2])
    if len(shape) > 2:
        kernel = " × ".join(str(side) for side in shape[2:])
        second = f"{second} ({kernel} columns each)"
    return first, second
