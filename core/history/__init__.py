"""The database of runs."""
