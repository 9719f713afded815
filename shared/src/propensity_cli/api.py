"""Signed calls of the API. An answer is decoded JSON; an error has the API's own words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util.retry import Retry

from propensity_cli.connection import Connection
from propensity_cli.failures import RefusedError, ServiceFailedError, WrongUseError

# seconds to connect, and seconds without a byte; API Gateway itself gives up after 29
TIMEOUT = (10, 60)
_MOST_SHOWN = 2_000  # characters of an answer that is no JSON


class _Signature(AuthBase):
    """Signs a request by SigV4. Only headers that no proxy changes are signed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        told = {name: request.headers[name] for name in ("Content-Type", "Idempotency-Key") if name in request.headers}
        signed = AWSRequest(method=request.method, url=request.url, data=request.body or b"", headers=told)
        SigV4Auth(self._connection.credentials, "execute-api", self._connection.region).add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        return request


class _Unsigned(AuthBase):
    """Leaves a request as it is. Without it, requests would add what ~/.netrc has for the host."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


UNSIGNED = _Unsigned()


def open_session(*, backoff: float) -> requests.Session:
    """A session that asks again where asking again does no harm: a GET that a busy service refused.

    A call that never reached the service is sent again, whatever its method.
    """
    session = requests.Session()
    again = Retry(
        total=3,
        status_forcelist=(429, 502, 503, 504),
        allowed_methods=("GET",),
        backoff_factor=backoff,
        raise_on_status=False,
    )
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=again))
    return session


class Api:
    """The API behind a connection. `session` also serves the links to S3, which are not signed again."""

    def __init__(self, connection: Connection, session: requests.Session) -> None:
        self.session = session
        self._url = connection.url
        self._signature = _Signature(connection)

    def get(self, *parts: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The answer of GET `/v1/<parts joined by />`. Raises RefusedError, ServiceFailedError or WrongUseError."""
        return _decoded(*self._call("GET", parts, None, None, query))

    def page(self, *parts: str) -> str:
        """The HTML page that GET `/v1/<parts joined by />?format=html` answers. Raises as `get` does."""
        call, answer = self._call("GET", parts, None, None, {"format": "html"})
        if answer.status_code != requests.codes.ok or "text/html" not in answer.headers.get("Content-Type", ""):
            _decoded(call, answer)  # an error has its words; a JSON answer is no page
            raise ServiceFailedError(f"{call}: expected a page", status=answer.status_code)
        return answer.content.decode()

    def post(self, *parts: str, body: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
        """The answer of POST with a JSON body; `key` goes into the header Idempotency-Key. Raises as `get` does."""
        return _decoded(*self._call("POST", parts, body, key))

    def _call(
        self,
        method: str,
        parts: tuple[str, ...],
        body: Mapping[str, Any] | None,
        key: str | None,
        query: Mapping[str, str] | None = None,
    ) -> tuple[str, requests.Response]:
        """Call the API. Returns the call in words, and the answer."""
        for part in parts:
            if part in ("", ".", ".."):
                raise WrongUseError(f"a name is {part!r}: expected a tenant, model, day or list in its place")
        path = "/v1/" + "/".join(quote(part, safe="") for part in parts)
        headers = {} if body is None else {"Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        try:
            answer = self.session.request(
                method,
                self._url + path,
                params=query,
                data=None if body is None else json.dumps(body).encode(),
                headers=headers,
                auth=self._signature,
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise unreachable(method, path, error) from error
        except BotoCoreError as error:
            raise WrongUseError(f"AWS credentials: {error}") from error
        return f"{method} {path}", answer


def unreachable(method: str, what: str, error: requests.RequestException) -> ServiceFailedError:
    """The error for a call without an answer. It never has the address: a link to S3 holds a signature."""
    reason = error.args[0] if error.args else error
    cause = getattr(reason, "reason", reason)
    told = type(error).__name__ if "http" in str(cause) or "url:" in str(cause) else str(cause)
    return ServiceFailedError(f"{method} {what}: no answer ({told}); is the address right, and the stack running?")


def _decoded(call: str, answer: requests.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except requests.JSONDecodeError:
        body = None
    if answer.status_code == requests.codes.ok and isinstance(body, dict):
        return body
    told = body if isinstance(body, dict) else {}
    # the gateway's own refusals have a message only, and their kind in a header
    kind = told.get("error") or answer.headers.get("x-amzn-errortype", "").partition(":")[0] or None
    message = told.get("message") or told.get("Message") or answer.text[:_MOST_SHOWN].strip() or answer.reason
    if 400 <= answer.status_code < 500:
        raise RefusedError(str(message), kind=kind, status=answer.status_code)
    if answer.status_code >= 500:
        raise ServiceFailedError(f"{call}: {message}", kind=kind, status=answer.status_code)
    raise ServiceFailedError(f"{call}: expected a JSON object, got: {message}", kind=kind, status=answer.status_code)
