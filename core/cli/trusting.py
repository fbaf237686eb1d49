"""The command `trust` and the option `--trust`: which files may run their code."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from core.cli.tables import text_table, to_json
from core.errors import StudioError
from core.models.checkpoint import open_checkpoint
from core.models.source import parse_source
from core.models.trust import NeedsTrustError, TrustStore


def trust_model(text: str | None) -> None:
    """Trust the file that a command names as its model, if it needs that, and say so on standard error.

    Raises:
        StudioError: if it names none.
    """
    source = None if text is None else parse_source(text)
    if source is None or source.kind != "file" or not Path(source.name).is_file():
        raise StudioError("--trust is for a model in a file, such as net.py: leave it out, or name the file.")
    try:
        open_checkpoint(Path(source.name)).close()
        return
    except NeedsTrustError:
        trusted = TrustStore().trust(Path(source.name))
    except StudioError:
        # The command itself tells what is wrong with it.
        return
    print(f"Trusted {source.title} (SHA-256 {trusted.sha256}): its code may run.", file=sys.stderr)


def trusted_files(options: argparse.Namespace) -> int:
    """The command `trust`."""
    store = TrustStore()
    if options.action == "revoke":
        if not options.sha256:
            raise StudioError(
                "Name the file to trust no longer by its SHA-256: see compression-studio trust list."
            )
        revoked = store.revoke(options.sha256)
        print(f"No longer trusted: {revoked.path} (SHA-256 {revoked.sha256}).")
        return 0
    files = store.files()
    if options.json:
        print(to_json([asdict(file) for file in files]))
    elif not files:
        print("No file is trusted: none may run its code.")
    else:
        rows = [(file.sha256, file.when, file.path) for file in files]
        print(text_table(("SHA-256", "Trusted at (UTC)", "Where it was"), rows))
    return 0
