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
from propensity.runtime.logging import logger

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

    `by` is the signer as IAM names it; `at` is when the gateway took the call.
    """

    request_id: str
    by: str
    at: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Document:
    """An answer that is not JSON, for example a page."""

    content_type: str
    text: str


def parse_call(event: Mapping[str, Any]) -> Call:
    """Parse the call in an event. Raises BadInputError for a body that is not a JSON object."""
    context = event["requestContext"]
    raw = event.get("body") or "{}"
    if event.get("isBase64Encoded"):
        raw = base64.b64decode(raw)
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise BadInputError("body: not JSON") from error
    if not isinstance(body, dict):
        raise BadInputError("body: expected a JSON object")
    identity = context.get("identity") or {}
    at = datetime.fromtimestamp(context["requestTimeEpoch"] / 1000, tz=UTC)
    return Call(
        request_id=context["requestId"],
        by=identity.get("userArn") or identity.get("caller") or "unsigned",
        at=at.isoformat(timespec="milliseconds"),
        path=event.get("pathParameters") or {},
        query=event.get("queryStringParameters") or {},
        body=body,
    )


def answer(event: Mapping[str, Any], work: Callable[[Call], Mapping[str, Any] | Document]) -> dict[str, Any]:
    """Run the work. An error that has a status becomes an answer with its message; any other error is raised."""
    try:
        return _answer(200, work(parse_call(event)))
    except PropensityError as error:
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), None)
        if status is None:
            raise
        logger().warning("refused", extra={"status": status, "error": type(error).__name__})
        return _answer(status, {"error": type(error).__name__, "message": str(error)})


def _answer(status: int, body: Mapping[str, Any] | Document) -> dict[str, Any]:
    if isinstance(body, Document):
        # a page may have styles, and may load or run nothing
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        headers = {"Content-Type": body.content_type, "Content-Security-Policy": policy}
        return {"statusCode": status, "headers": headers, "body": body.text}
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(body, ensure_ascii=False, allow_nan=False),
    }
