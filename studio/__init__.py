"""The window of Compression Studio: everything that the user sees and clicks."""
