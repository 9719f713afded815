"""What can go wrong, and the exit code of each."""

from __future__ import annotations

OK = 0
UNEXPECTED = 1  # an error that is none of these; Python's traceback tells it
USAGE = 2
REFUSED = 3
NOT_READY = 4
SERVICE_FAILED = 5


class CommandError(Exception):
    """A command that did not end well. `code` is its exit code; `kind` and `status` are those of the API's answer."""

    code = UNEXPECTED

    def __init__(self, message: str, *, kind: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind or type(self).__name__
        self.status = status


class WrongUseError(CommandError):
    """The command, the file or the environment is wrong. Nothing was sent."""

    code = USAGE


class RefusedError(CommandError):
    """The API or S3 answered with 4xx, or validation took no row of a file."""

    code = REFUSED


class NotReadyError(CommandError):
    """The time of the command was over before the result was there. The same command waits on."""

    code = NOT_READY


class ServiceFailedError(CommandError):
    """The service could not be reached, answered with 5xx or with what is no answer, or its work failed."""

    code = SERVICE_FAILED
