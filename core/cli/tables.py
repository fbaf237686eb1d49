"""Plain text tables, and JSON that every parser accepts."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any


def text_table(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Columns as wide as their widest cell, two spaces apart.

    Args:
        headers: one for each column; all empty means no header line.
        right: numbers of the columns that are aligned to the right.
    """
    lines = [list(headers), *map(list, rows)] if any(headers) else [list(row) for row in rows]
    if not lines:
        return ""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(widths[column]) if column in right else cell.ljust(widths[column])
            for column, cell in enumerate(line)
        ).rstrip()
        for line in lines
    )


def to_json(value: Any, indent: int | None = 2) -> str:
    """JSON text of plain data; numbers that JSON has no word for (NaN, infinity) become null."""
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in value]
    return value
