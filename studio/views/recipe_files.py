"""The two questions that recipes ask about files."""

import re
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

_FILTER = "Recipes (*.json);;All files (*)"


def ask_recipe_to_open(parent: QWidget, folder: Path | None) -> Path | None:
    """The recipe file that the user chose, or None."""
    name, _ = QFileDialog.getOpenFileName(parent, "Open recipe", str(folder or Path.home()), _FILTER)
    return Path(name) if name else None


def ask_where_to_save(parent: QWidget, folder: Path | None, recipe_name: str) -> Path | None:
    """Where the user wants the recipe saved, or None. Qt has asked before an existing file is replaced."""
    proposal = (folder or Path.home()) / f"{file_stem(recipe_name)}.json"
    name, _ = QFileDialog.getSaveFileName(parent, "Save recipe", str(proposal), _FILTER)
    if not name:
        return None
    path = Path(name)
    # A name without an ending gets one, except where that would replace a file that nobody was asked about.
    completed = path.with_name(f"{path.name}.json")
    return completed if not path.suffix and not completed.exists() else path


def file_stem(recipe_name: str) -> str:
    """A file name that every system takes: `Prune 80 % and fine-tune` becomes `prune-80-and-fine-tune`."""
    return re.sub(r"[^\w]+", "-", recipe_name.lower()).strip("-")[:80] or "recipe"
