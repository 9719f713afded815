"""One structured log line per call: the function, the run and the counts, never a person.

Keys of the event and of the answer are an allow-list; everything else stays out of the log.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from functools import cache, wraps
from pathlib import Path
from time import perf_counter
from typing import Any

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

from propensity.kernel.errors import PropensityError, UnexpectedError

type Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

_ALLOWED = frozenset(
    {"run", "item", "model", "as_of", "scope", "slot", "version", "dataset", "tenant_id", "content_id", "status"}
    | {"rows", "rows_in", "bronze", "quarantine", "files", "population", "had", "new", "failed", "positives", "items"}
)


@cache
def logger() -> Logger:
    # service name and level come from POWERTOOLS_SERVICE_NAME and POWERTOOLS_LOG_LEVEL
    return Logger()


def logged(handler: Handler) -> Handler:
    """Log what came, what was answered and how long it took; log an error with its class and raise it."""

    @wraps(handler)
    def wrapped(event: dict[str, Any], context: Any) -> dict[str, Any]:
        start = perf_counter()
        log = logger()
        said = {"asked": allowed(event)}
        log.append_keys(function_name=context.function_name)
        try:
            answer = handler(event, context)
        except Exception as error:  # noqa: BLE001 - each is told and raised again, in words that are safe
            told = told_safely(error)
            log.error(str(told), extra={**said, **described(error)})
            # from None: the runtime prints what it is given, causes included, and Step Functions keeps it
            raise told from None
        log.info("done", extra={**said, "answered": allowed(answer), "seconds": round(perf_counter() - start, 3)})
        return answer

    return wrapped


def told_safely(error: Exception) -> PropensityError:
    """Our own errors, whose messages name files, fields and settings by rule and never a value of a row; of an
    AWS error its code and operation, of any other its class; and the place in our code."""
    if isinstance(error, PropensityError):
        return error
    kind = type(error).__name__
    if isinstance(error, ClientError):
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        # which action on which resource is missing from the policy; other messages may quote an item's key
        detail = f": {message}" if code.startswith("AccessDenied") else ""
        kind = f"{code} when calling {error.operation_name}{detail}"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "propensity" in frame.filename or frame.filename.endswith("handler.py")]
    last = (ours or frames)[-1]
    return UnexpectedError(f"{kind} at {Path(last.filename).name}:{last.lineno} in {last.name}")


def described(error: Exception) -> dict[str, object]:
    """Class, whether a retry can help, and where: files and lines, without the text of any cause."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "retryable": isinstance(error, PropensityError) and error.retryable,
        "where": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }


def allowed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that may be logged, where their values are plain."""
    return {
        key: value for key, value in values.items() if key in _ALLOWED and isinstance(value, str | int | float | bool)
    }
