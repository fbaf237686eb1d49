"""The one exception that is meant for the user; every other exception is a bug and is shown as one."""


class StudioError(Exception):
    """Something that the user can understand and act on.

    Args:
        message: one sentence that names the file or the field, says what is wrong with it and what to do.
        details: optional longer text (library messages, offsets) for a copyable report; never needed to act.

    The window shows `message` in place, the command line prints it and exits with 2. Neither shows a traceback.
    """

    def __init__(self, message: str, *, details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword arguments do not survive pickling by themselves; jobs may run in another process.
        return (_rebuild, (self.message, self.details))


def _rebuild(message: str, details: str) -> StudioError:
    return StudioError(message, details=details)
