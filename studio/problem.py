"""How a failure is told: a sentence for the user, and a report to copy. Bugs and user errors are kept apart."""

import platform
import traceback
from dataclasses import dataclass

from core.errors import StudioError


@dataclass(frozen=True)
class Problem:
    """What went wrong. `message` is one sentence; `details` is the copyable report; `bug` means: our fault."""

    message: str
    details: str = ""
    bug: bool = False


def problem_from(error: BaseException) -> Problem:
    """The problem to show for an exception."""
    if isinstance(error, StudioError):
        return Problem(error.message, error.details)
    report = "".join(traceback.format_exception(error))
    return Problem(
        f"Something in the studio itself went wrong ({type(error).__name__}): your work is not affected; "
        "please copy the details into a bug report.",
        f"Python {platform.python_version()} on {platform.platform()}\n\n{report}",
        bug=True,
    )
