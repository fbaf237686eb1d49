"""Fuzzy matching for the command palette: pure functions on text."""

from collections.abc import Sequence

_SEPARATORS = frozenset(" ._-/·:→")


def score(query: str, text: str) -> int | None:
    """How well `text` fits a lower-case `query` without spaces: higher is better, None is no match.

    All characters must occur in order. Runs of neighbours, starts of words and early places count more, so that
    “l1c” finds `layer1.0.conv1` and “run” finds “Run” before “Prune”.
    """
    lower = text.lower()
    whole = lower.find(query)
    if whole >= 0:
        starts_word = whole == 0 or lower[whole - 1] in _SEPARATORS
        return 1000 + (500 if starts_word else 0) - 2 * whole - len(lower)
    total, place, before = 0, -1, -2
    for character in query:
        place = lower.find(character, place + 1)
        if place < 0:
            return None
        if place == before + 1:
            total += 15
        elif place == 0 or lower[place - 1] in _SEPARATORS:
            total += 12
        else:
            total -= min(place - before, 10)
        before = place
    return total - len(lower) // 8


def rank(query: str, texts: Sequence[str], bonus: Sequence[int] = ()) -> list[int]:
    """Indices of the matching texts, best first; words of the query may match in any order.

    `bonus` is added to each text's score, to let some kinds go before others.
    """
    words = query.lower().split()
    if not words:
        return list(range(len(texts)))
    found: list[tuple[int, int]] = []
    for index, text in enumerate(texts):
        scores = [score(word, text) for word in words]
        known = [value for value in scores if value is not None]
        if len(known) == len(scores):
            found.append((-sum(known) - (bonus[index] if bonus else 0), index))
    return [index for _, index in sorted(found)]
