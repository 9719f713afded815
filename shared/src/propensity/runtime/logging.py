"""One structured log line per call. The line names the function, the run and the counts, and never a person.

Only keys on a list are taken from the event and from the answer; everything else stays out of the log.
"""

from __future__ import annotations

import hashlib
import json
import re
import traceback
from collections.abc import Callable, Mapping
from copy import copy
from functools import cache, wraps
from pathlib import Path
from time import perf_counter
from typing import Any

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

from propensity.kernel.errors import PropensityError, UnexpectedError

# a landing key in a message: our own keys in the lake go on with a date, and a message goes on after `: ` or `; `
_LANDED = re.compile(r"\b[a-z0-9_]+/tenant_id=[^/\s]*/(?!ingest_date=|sha256-|erased-).+?(?=: |; | landed|, version|$)")
_PLACE = re.compile(r"[a-z0-9_]{1,64}/tenant_id=[A-Za-z0-9_.-]{1,64}/")
_FILE = re.compile(r"[/.]")
_SUFFIX = re.compile(r"(\.(csv|jsonl|json|parquet|xlsx|txt))?(\.gz)?$")

type Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

_ALLOWED = frozenset(
    {"run", "item", "model", "as_of", "scope", "slot", "version", "dataset", "tenant_id", "content_id", "status"}
    | {"httpMethod", "resource", "statusCode", "summary"}
    | {"rows", "rows_in", "bronze", "quarantine", "files", "population", "had", "new", "failed", "positives", "items"}
)


@cache
def logger() -> Logger:
    # service name and level come from POWERTOOLS_SERVICE_NAME and POWERTOOLS_LOG_LEVEL
    return Logger()


def logged(handler: Handler) -> Handler:
    """Log the event, the answer and the time taken; log an error with its class, and raise it."""

    @wraps(handler)
    def wrapped(event: dict[str, Any], context: Any) -> dict[str, Any]:
        start = perf_counter()
        log = logger()
        fields = {"asked": allowed(event) if isinstance(event, Mapping) else {}}
        log.append_keys(function_name=context.function_name)
        try:
            answer = handler(event, context)
        except Exception as error:  # noqa: BLE001 - each is logged and raised again, with a message that is safe
            safe = told_safely(error, event)
            log.error(str(safe), extra={**fields, **described(error)})
            # raised from None, because the runtime prints the error with its causes, and Step Functions keeps the print
            raise safe from None
        log.info("done", extra={**fields, "answered": allowed(answer), "seconds": round(perf_counter() - start, 3)})
        return answer

    return wrapped


def log_fault(step: str, error: Exception, **fields: str | int) -> None:
    """Log a fault that a function goes on after: a warning with the step, and what may be told of the error."""
    logger().warning(f"{step}: {told_safely(error)}", extra={"step": step, **fields, **described(error)})


def told_safely(error: Exception, event: object = None) -> PropensityError:
    """An error whose message can be logged.

    The message of an error of this package names files, fields and settings, never a value of a row. A landed file's
    name came from outside and can be a person's, so a hash stands for it (`without_file_names`). The message of an AWS
    error gives code and operation, and the message of any other error gives its class. Both also give the place in this
    package's code.
    """
    if isinstance(error, PropensityError):
        shown = without_file_names(str(error), event)
        if shown == str(error):
            return error
        safe = copy(error)
        safe.args = (shown, *error.args[1:])
        return safe.with_traceback(error.__traceback__)
    kind = type(error).__name__
    if isinstance(error, ClientError):
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        # this message says which action on which resource the policy lacks; others may quote an item's key
        detail = f": {message}" if code.startswith("AccessDenied") else ""
        kind = f"{code} when calling {error.operation_name}{detail}"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "propensity" in frame.filename or frame.filename.endswith("handler.py")]
    last = (ours or frames)[-1]
    return UnexpectedError(f"{kind} at {Path(last.filename).name}:{last.lineno} in {last.name}")


def without_file_names(message: str, event: object = None) -> str:
    """A message with a hash in place of the name of each landed file, whose keys the event or the message names.

    A key keeps its dataset and tenant, where they can be such. The keys of the lake keep their names: these are hashes
    and numbers.
    """
    for key in sorted(_keys_in(event), key=len, reverse=True):
        message = message.replace(key, _hashed(key))
    return _LANDED.sub(lambda found: _hashed(found[0]), message)


def _hashed(key: str) -> str:
    name = hashlib.sha256(key.encode()).hexdigest()[:12]
    suffix = _SUFFIX.search(key)
    place = _PLACE.match(key)
    return f"{place[0] if place else ''}sha256-{name}{suffix[0] if suffix else ''}"


def _keys_in(value: object) -> set[str]:
    """The object keys in an event, that of a queue included: every text in a member `key`."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return set()
    if isinstance(value, Mapping):
        own = {one for name, one in value.items() if name == "key" and isinstance(one, str) and _FILE.search(one)}
        return own.union(*(_keys_in(one) for name, one in value.items() if name != "key"))
    if isinstance(value, list):
        return set().union(*map(_keys_in, value))
    return set()


def described(error: Exception) -> dict[str, object]:
    """The class of an error, whether a retry can help, and where it happened.

    The place is given as files and lines, without any error's text.
    """
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "retryable": isinstance(error, PropensityError) and error.retryable,
        "where": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }


def allowed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that may be logged. Their key is on the list, and their value is a text, a number or a boolean."""
    return {
        key: value for key, value in values.items() if key in _ALLOWED and isinstance(value, str | int | float | bool)
    }
