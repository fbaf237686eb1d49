"""The engine of Compression Studio: everything that needs no window."""
