"""Writing models so that they can be read again."""
