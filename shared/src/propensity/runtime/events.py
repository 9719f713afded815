"""What a function is called with. A key that is missing is named, beside an example of a whole event."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from propensity.kernel.errors import BadInputError
from propensity.runtime.logging import Handler

API: Mapping[str, Any] = {
    "httpMethod": "GET",
    "resource": "/v1/tenants/{tenant}",
    "pathParameters": {"tenant": "<tenant>"},
    "requestContext": {"requestId": "<id>", "requestTimeEpoch": 1751421600000, "identity": {"userArn": "<signer>"}},
    "body": "{}",
}
RECORDS: Mapping[str, Any] = {"Records": [{"messageId": "<id>", "body": "<JSON of one message>"}]}


class Given(dict[str, Any]):
    """An object that was given. Reading a key that is not there raises BadInputError naming the key."""

    def __init__(self, given: Mapping[str, Any], where: str, example: Mapping[str, Any] | None = None) -> None:
        super().__init__(given)
        self._where = where
        self._example = example

    def __missing__(self, key: str) -> Any:
        raise BadInputError(f"{self._where}: has no {key!r}{_shown(self._example)}")


def takes(example: Mapping[str, Any] | None = None, **keys: Any) -> Callable[[Handler], Handler]:
    """Say what a handler takes, by an example of its event. A key that the handler reads and misses is an error.

    The error names the key and shows the example. An example is never a default.
    """
    shown = {**(example or {}), **keys}

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        def wrapped(event: dict[str, Any], context: Any) -> dict[str, Any]:
            if not isinstance(event, Mapping):
                raise BadInputError(f"event: expected a JSON object{_shown(shown)}")
            given = Given(event, "event", shown)
            if isinstance(given.get("requestContext"), Mapping):
                given["requestContext"] = Given(given["requestContext"], "event: requestContext", shown)
            return handler(given, context)

        return wrapped

    return decorate


def _shown(example: Mapping[str, Any] | None) -> str:
    return f"; expected an event such as {json.dumps(example)}" if example else ""
