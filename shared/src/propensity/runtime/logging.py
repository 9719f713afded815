"""One structured log line per call: the function, the run and the counts, never a person.

Keys of the event and of the answer are an allow-list; everything else stays out of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, wraps
from time import perf_counter
from typing import Any

from aws_lambda_powertools import Logger

from propensity.domain.errors import PropensityError

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
        said = {"function_name": getattr(context, "function_name", None), "asked": allowed(event)}
        try:
            answer = handler(event, context)
        except PropensityError as error:
            # these messages name files, fields and settings by rule, never a value of a row
            log.error(str(error), extra={**said, "error": type(error).__name__, "retryable": error.retryable})
            raise
        except Exception as error:
            # the text of a foreign error may quote data: its class and place are enough to find it
            log.error("failed", extra={**said, "error": type(error).__name__})
            raise
        log.info("done", extra={**said, "answered": allowed(answer), "seconds": round(perf_counter() - start, 3)})
        return answer

    return wrapped


def allowed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that may be logged, where their values are plain."""
    return {
        key: value for key, value in values.items() if key in _ALLOWED and isinstance(value, str | int | float | bool)
    }
