"""Every error of this package has one root class. The class of an error says whether a retry can help.

An error's message names the file, the row, the field or the setting. The message says what was expected, and what to
do.
"""


class PropensityError(Exception):
    """Root of every error this package raises on purpose.

    `public` is the text for callers outside, where the message itself names a bucket or a key. It is None where the
    message may be answered as it is.
    """

    retryable = False

    def __init__(self, *message: object, public: str | None = None) -> None:
        super().__init__(*message)
        self.public = public


class RetryableError(PropensityError):
    """The same call may succeed later, after throttling, a lost race, or the failure of a service.

    The workflows' Retry blocks name this class, so the class name is part of the workflows' contract.
    """

    retryable = True


class BadInputError(PropensityError):
    """A file or a request cannot be read, and the same bytes will fail again."""


class ContractError(PropensityError):
    """A data contract is itself wrong."""


class PackError(PropensityError):
    """A pack's feature, model or pack file is wrong."""


class SettingError(PropensityError):
    """An environment variable is missing or has a wrong value."""


class NotFoundError(PropensityError):
    """Nothing exists under the name that was asked for."""


class ForbiddenError(PropensityError):
    """The caller asked for something that their identity does not allow."""


class ConflictError(PropensityError):
    """Something of the same name exists already, with other content."""


class UnsoundScoreError(PropensityError):
    """A model gave values that are no probabilities: not finite, or not in [0, 1]. None of them may reach a table."""

    def __init__(self, model: str, version: int, rows: int, of: int) -> None:
        super().__init__(
            f"model {model} version {version}: {rows} of {of} scores are not finite or not in [0, 1]; nothing "
            "of the run is published. Roll back to an earlier version, or train again"
        )


class SanityError(PropensityError):
    """The scores of a batch are beyond the limits of the model's YAML, so none of them is made visible."""


class EvidenceError(PropensityError):
    """There is too little data for a result that could be relied on."""


class IncompleteRunError(PropensityError):
    """Parts of a run are missing, so none of the run is made visible."""


class ResourceError(PropensityError):
    """Memory or disk ran out. The input may be sound; the function is too small for it."""


class OvertimeError(ResourceError):
    """The engine worked longer than its session may. The input may be sound; it is too much for one call."""


class UnexpectedError(PropensityError):
    """An error that nobody foresaw.

    The message gives only class and place, because the error's own text may quote a row.
    """


class SqlError(PropensityError):
    """The engine refused some SQL. The caller knows what the SQL was for, and raises a better error from this error.

    `text` is the engine's own message. The engine's message may quote a row, so show it only for SQL that read no rows.
    """

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message)
        self.text = text
