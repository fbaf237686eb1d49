"""Reports of runs and comparisons: gathered from the history, written as HTML here and as PDF by the window's side."""
