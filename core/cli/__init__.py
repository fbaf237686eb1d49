"""The same engine without a window: `compression-studio` on the command line.

Nothing heavy is imported before a command needs it: `--help` loads neither numpy nor torch.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.report.blocks import Report


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and return the exit code (0 done, 1 a bug, 2 the user can act, 130 cancelled)."""
    from core.cli.dispatch import carry_out

    return carry_out(sys.argv[1:] if arguments is None else list(arguments), open_window)


def open_window(options: Mapping[str, str | None]) -> int:
    """Open the studio's window; the one place where the engine's side knows of it.

    Args:
        options: the fields of `studio.app.StartOptions` that were given.
    """
    from studio.app import StartOptions
    from studio.app import main as open_studio

    return int(open_studio(StartOptions(**options)))


def write_pdf(report: "Report", path: Path) -> None:
    """Draw a report as PDF, which only the window's side can."""
    from studio.report_pdf import write_pdf as draw

    draw(report, path)
