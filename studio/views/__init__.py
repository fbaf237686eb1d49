"""Widgets: layout and intents, no decisions."""
