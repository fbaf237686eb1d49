"""Files that ship with the studio: icons, recipe presets, the sample model and its data."""

from pathlib import Path

RESOURCES = Path(__file__).parent
