"""How names from strangers' files are put into sentences."""

LONGEST_SHOWN = 80


def shown(name: str) -> str:
    """The name in one line and of bounded length."""
    text = name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN]}…"
    return "".join(character if character.isprintable() else "�" for character in text)
