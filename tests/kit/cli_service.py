"""A service on this machine, for the API and S3: it answers what a test sets, and keeps what it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from typer.testing import CliRunner

from propensity_cli.main import app

REGION = "eu-central-1"
USER = Credentials("AKIATEST", "a secret")
DATE = "Tue, 01 Jul 2025 00:00:03 GMT"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_signed(self, address: str) -> bool:
        """Whether the signature is that of the request as it came, by the user's own secret."""
        given = self.headers.get("authorization", "")
        names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        told = {name: self.headers[name] for name in names if name in self.headers and name != "host"}
        request = AWSRequest(method=self.method, url=f"{address}{self.path}", data=self.body, headers=told)
        request.context["timestamp"] = self.headers.get("x-amz-date", "")
        signer = SigV4Auth(USER, "execute-api", REGION)
        text = signer.string_to_sign(request, signer.canonical_request(request))
        return f"Credential={USER.access_key}/" in given and given.endswith(
            f"Signature={signer.signature(text, request)}"
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answers. With `promised` it says so many bytes come, and then closes after those of `body`."""

    body: Any = None
    status: int = 200
    promised: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Service:
    """`answers` has per method and path what is answered; of several answers the last is given again and again."""

    address: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    date: str = DATE

    def on(self, call: str, *answers: Answer) -> None:
        """Answer a call such as `GET /v1/models`."""
        self.answers[call] = list(answers)

    def calls(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.asked]

    def take(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        left = self.answers.get(f"{asked.method} {asked.path}")
        if not left:
            return Answer({"message": "Missing Authentication Token"}, 403, headers={"x-amzn-ErrorType": "NoRoute:x"})
        return left.pop(0) if len(left) > 1 else left[0]


@contextmanager
def running(kind: type[Service] = Service) -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            """The test's own assertions tell what was asked."""

        def date_time_string(self, timestamp: float | None = None) -> str:
            return service.date

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = service.take(Asked(self.command, self.path, headers, body))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            promised = len(answer.content) if answer.promised is None else answer.promised
            self.send_header("Content-Length", str(promised))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the names that http.server asks for

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = kind(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Command:
    """The command in this process, with the environment file of a local stack that is the test's service."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.folder = folder / "stack"
        self.folder.mkdir()
        self.service = service
        lines = {
            "AWS_ACCESS_KEY_ID": USER.access_key,
            "AWS_SECRET_ACCESS_KEY": f"'{USER.secret_key}'",
            "AWS_REGION": REGION,
            "LOCAL_API": service.address,
        }
        (self.folder / "env").write_text("".join(f"export {name}={value}\n" for name, value in lines.items()))

    def __call__(self, *words: str, env: dict[str, str] | None = None) -> Any:
        return CliRunner().invoke(app, [*words, "--folder", str(self.folder)], env=env)

    def json(self, *words: str, code: int = 0) -> Any:
        """The document that --json prints."""
        result = self(*words, "--json")
        assert result.exit_code == code, result.output
        document = json.loads(result.stdout)
        assert document["schema"] == 1
        assert document["command"] == words[0]
        return document
