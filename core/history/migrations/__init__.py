"""The steps by which older histories become new ones (Alembic); each file in `versions` is frozen once released."""
