"""Reads API Gateway's events and writes the answers.

This package's errors become statuses; other errors stay errors.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from propensity.kernel.errors import (
    BadInputError,
    ConflictError,
    EvidenceError,
    ForbiddenError,
    NotFoundError,
    PropensityError,
    RetryableError,
)
from propensity.kernel.strict_json import parse_json
from propensity.runtime.events import Given
from propensity.runtime.logging import logger

MAX_BODY = 2_000_000  # bytes; the trial of a file takes 1 MB, which base64 makes a third longer
MAX_NAME = 200  # characters of a part of the address: longer than every name, and shorter than S3's longest key
_STATUS: tuple[tuple[type[PropensityError], int], ...] = (
    (BadInputError, 400),
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (EvidenceError, 409),  # the same request can succeed once there is more data
    (RetryableError, 503),
)


@dataclass(frozen=True, slots=True)
class Call:
    """The parts of a request that use cases need.

    `by` is the signer as IAM names it; `at` is when the gateway took the call. `key` is the caller's header
    Idempotency-Key; None without one.
    """

    request_id: str
    by: str
    at: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """An answer that is not JSON, for example a page."""

    content_type: str
    text: str


def parse_call(event: Mapping[str, Any]) -> Call:
    """Parse the call in an event. Raises BadInputError for a body that is not a JSON object."""
    context = event["requestContext"]
    identity = context.get("identity") or {}
    at = datetime.fromtimestamp(context["requestTimeEpoch"] / 1000, tz=UTC)
    return Call(
        request_id=context["requestId"],
        by=identity.get("userArn") or identity.get("caller") or "unsigned",
        at=at.isoformat(timespec="milliseconds"),
        path=_names(event.get("pathParameters"), "path"),
        query=_names(event.get("queryStringParameters"), "query"),
        body=_body(event),
        key=_header(event, "idempotency-key"),
    )


def _header(event: Mapping[str, Any], name: str) -> str | None:
    """A header by its name in lower case; HTTP tells no case of letters. None where it was not sent, or is no text."""
    given = event.get("headers")
    found = [value for key, value in given.items() if key.lower() == name] if isinstance(given, Mapping) else []
    return found[0] if found and isinstance(found[0], str) else None


def _names(given: Mapping[str, Any] | None, where: str) -> Mapping[str, str]:
    """The variables of an address. None of them is empty or too long, and all are printable ASCII."""
    for name, value in (given or {}).items():
        # no name of ours has other characters, and S3's keys, which are made of these names, have a longest length
        if not isinstance(value, str) or not (0 < len(value) <= MAX_NAME and value.isascii() and value.isprintable()):
            raise BadInputError(f"{where}: {name}: expected 1 to {MAX_NAME} printable ASCII characters")
        if where == "path" and ("/" in value or value in (".", "..")):
            raise BadInputError(f"{where}: {name}: expected a name without /, and not . or ..")
    return Given(given or {}, where)


def _body(event: Mapping[str, Any]) -> dict[str, Any]:
    raw = event.get("body") or "{}"
    if len(raw) > MAX_BODY * 4 // 3:
        raise BadInputError(f"body: more than {MAX_BODY} bytes; send less at once")
    if event.get("isBase64Encoded"):
        try:
            raw = base64.b64decode(raw)
        except ValueError as error:
            raise BadInputError("body: not base64, as the event says it is") from error
    if len(raw) > MAX_BODY:
        raise BadInputError(f"body: more than {MAX_BODY} bytes; send less at once")
    body = parse_json(raw, "body")
    if not isinstance(body, dict):
        raise BadInputError("body: expected a JSON object")
    return body


def answer(event: Mapping[str, Any], work: Callable[[Call], Mapping[str, Any] | Document]) -> dict[str, Any]:
    """Run the work. An error that has a status becomes an answer with its message; any other error is raised.

    An answer never tells where things are stored: of an error whose message names a bucket or a key, only its public
    text is answered, and the log has the message.
    """
    try:
        return _answer(200, work(parse_call(event)))
    except PropensityError as error:
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), None)
        if status is None:
            raise
        logger().warning("refused", extra={"status": status, "error": type(error).__name__})
        return _answer(status, {"error": type(error).__name__, "message": error.public or str(error)})


def _answer(status: int, body: Mapping[str, Any] | Document) -> dict[str, Any]:
    if isinstance(body, Document):
        # a page may have styles, and may load or run nothing
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        headers = {"Content-Type": body.content_type, "Content-Security-Policy": policy}
        return {"statusCode": status, "headers": headers, "body": body.text}
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        # NaN is no JSON: an answer that holds one is an error here, and not at the reader
        "body": json.dumps(body, ensure_ascii=False, allow_nan=False),
    }
