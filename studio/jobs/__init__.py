"""Worker threads and the bridge that brings their events to the window."""
