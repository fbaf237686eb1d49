"""Reads JSON that comes from strangers: no duplicate names, no endless nesting, one exception."""

import json
from typing import Any

from core.models.wording import shown


class BadJsonError(Exception):
    """Not JSON that a correct program writes; its text says in a few words what is wrong."""


def strict_json(text: bytes) -> dict[str, Any]:
    """The JSON object in UTF-8.

    Raises:
        BadJsonError: if it is none, or a name occurs twice in one of its objects.
    """
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError:
        raise BadJsonError("is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise BadJsonError("is not JSON") from error
    if not isinstance(value, dict):
        raise BadJsonError("is not a JSON object")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise BadJsonError(f"has the name “{shown(name)}” twice")
            seen.add(name)
    return unique
