"""One error root; the class says whether a retry can help.

A message names the file, the row, the field or the setting, what was expected, and what to do.
"""


class PropensityError(Exception):
    """Root of every error this package raises on purpose."""

    retryable = False


class RetryableError(PropensityError):
    """The same call may succeed later: throttling, a lost race, a service that is away.

    The workflows' Retry blocks name this class, so its name is part of their contract.
    """

    retryable = True


class BadInputError(PropensityError):
    """A file or a request that cannot be read; the same bytes will fail again."""


class ContractError(PropensityError):
    """A data contract that is itself wrong."""


class PackError(PropensityError):
    """A pack whose feature, model or pack file is wrong."""


class SettingError(PropensityError):
    """An environment variable that is missing or has a wrong value."""


class NotFoundError(PropensityError):
    """Something asked for by name is not there."""


class ForbiddenError(PropensityError):
    """Somebody asked for what their identity does not allow."""


class ConflictError(PropensityError):
    """Something of that name is there already, with other content."""


class EvidenceError(PropensityError):
    """There is too little data to do what was asked and stand behind it."""


class IncompleteRunError(PropensityError):
    """A run whose parts are not all there; nothing of it is made visible."""


class ResourceError(PropensityError):
    """Memory or disk ran out: the input may be whole, the function is too small for it."""


class UnexpectedError(PropensityError):
    """An error that nobody foresaw, told by its class and place: its own text may quote a row."""


class SqlError(PropensityError):
    """SQL that the engine refused; whoever wrote the SQL says in a better error what it was.

    `text` is the engine's own, which may quote a row: only for SQL that read none.
    """

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message)
        self.text = text
