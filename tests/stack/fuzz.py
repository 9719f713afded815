"""The inputs of tests/kit/api_inputs.py over HTTP, as a signed caller of the running stack sends them."""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from tests.kit.api_inputs import inputs, known, routes
from tests.stack.stack import Stack

DRAWN = 200  # besides the known ones, of which there are more than 300
# folders of the lake; an answer names none of their objects
_KEY = re.compile(r"\b(bronze|silver|gold|registry|runs|landings|validation|quarantine|retractions|audit)/[\w=.-]+/")


@dataclass(frozen=True)
class Sent:
    """A request: the route it is meant for, and what goes over the wire. `nobody`: no tenant may have its name."""

    route: str
    method: str
    path: str
    body: bytes
    nobody: bool


@dataclass(frozen=True)
class Answered:
    sent: Sent
    status: int
    text: str


def requests() -> Iterator[Sent]:
    for method, path, values, text in known():
        yield _sent(method, path, values, {}, (text or "").encode())
    for _, event in inputs(DRAWN):
        body: bytes = (event["body"] or "").encode(errors="surrogatepass")
        if event["isBase64Encoded"]:
            with suppress(ValueError):  # what was to be no base64 goes as it is
                body = base64.b64decode(body)
        asked = event["queryStringParameters"] or {}
        yield _sent(event["httpMethod"], event["resource"], event["pathParameters"] or {}, asked, body)


def _sent(method: str, path: str, values: dict[str, str], asked: dict[str, str], body: bytes) -> Sent:
    address = path
    for name, value in values.items():
        address = address.replace(f"{{{name}}}", quote(value.encode(errors="surrogatepass"), safe=""))
    query = urlencode({name: value.encode(errors="surrogatepass") for name, value in asked.items()})
    nobody = values.get("tenant", "").lower() in (".", "..", "unknown")
    return Sent(f"{method} {path}", method, f"{address}?{query}" if query else address, body, nobody)


def answers(stack: Stack) -> list[Answered]:
    """Send all requests. Those of one function go one after the other, for a lost race is an honest 503."""
    owners = {f"{method} {path}": folder for folder, method, path in routes()}
    lanes: dict[str, list[Sent]] = defaultdict(list)
    for one in requests():
        lanes[owners[one.route]].append(one)

    def in_turn(lane: Sequence[Sent]) -> list[Answered]:
        return [Answered(one, *stack.send(one.method, one.path, one.body)) for one in lane]

    trainings = lanes.pop("request_retraining")
    with ThreadPoolExecutor(4) as pool:
        done = [one for lane in pool.map(in_turn, lanes.values()) for one in lane]
    # trainings take the cores from every other call, so those that ask for them come last
    return [*done, *in_turn(trainings)]


def fault(stack: Stack, answered: Answered) -> str | None:
    """What is wrong with an answer."""
    status, text = answered.status, answered.text
    if status >= 500:
        return f"status {status}"
    if answered.sent.nobody and status < 400:
        return "answers for a tenant that nobody may be"
    if not text.startswith("<"):  # the model card is a page
        try:
            json.loads(text, parse_constant=_no_json)
        except ValueError as error:
            return f"no JSON: {error}"
    told = [stack.outputs[name] for name in ("LandingBucket", "LakeBucket")] + ["s3://"]
    if status >= 400 and (any(one in text for one in told) or _KEY.search(text)):
        return "names where things are stored"
    return None


def _no_json(name: str) -> None:
    raise ValueError(name)
