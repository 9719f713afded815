"""A relay between the deployed functions and the stack. It ends a function's process, or refuses, at a chosen request.

The functions are deployed with the relay's address (stack parameter EndpointUrl). So a fault is certain to hit a
process at work, at a known step, and at a known moment. A kill is SIGKILL to the worker's process: before the store
has the request; after the store has done it, before the function knows; or some milliseconds later. A refusal is 503
SlowDown: in place of what the store would do (`throttled`), or of its answer to what it has done (`unanswered`).
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from tests.stack.stack import LOOPBACK, Stack

_DELTA_LOG = r"/_delta_log/\d+\.json"
_SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
_REFUSAL = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_SLOW_DOWN), _SLOW_DOWN)
)


def _item_steps(step: str, file: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The steps of a function that does one work item: its file, its result, and what it reads."""
    return (
        ("file", re.compile(f"PUT /[^/]+/{file}")),
        ("result", re.compile(rf"PUT /[^/]+/runs/.*/results/{step}/")),
        ("read", re.compile(r"GET /")),
    )


# the steps of a function, told by the method and path of a request; the first pattern that fits names the step
STEPS: Mapping[str, tuple[tuple[str, re.Pattern[str]], ...]] = {
    "ValidateUpload": (
        ("quarantine", re.compile(r"PUT /[^/]+/quarantine/")),
        ("bronze", re.compile(r"PUT /[^/]+/bronze/")),
        ("report", re.compile(r"PUT /[^/]+/validation/")),
        ("announce", re.compile(r"POST /")),
        ("read", re.compile(r"GET /")),
    ),
    "PromoteSilver": (
        ("read", re.compile(r"GET /[^/]+/bronze/")),
        ("commit", re.compile(r"PUT /[^/]+/silver/.*/_delta_log/\d+\.json")),
        ("rows", re.compile(r"PUT /[^/]+/silver/.*\.parquet")),
        ("look", re.compile(r"(GET|HEAD) /[^/]+/silver/|GET /[^/]+/?\?.*silver")),
    ),
    "MaintainTables": (
        ("commit", re.compile(r"PUT /[^/]+/silver/.*/_delta_log/\d+\.json")),
        ("checkpoint", re.compile(r"PUT /[^/]+/silver/.*/_delta_log/.*checkpoint")),
        ("rows", re.compile(r"PUT /[^/]+/silver/.*\.parquet")),
    ),
    "PlanScoring": (
        ("plan", re.compile(r"PUT /[^/]+/runs/.*/plan\.json")),
        ("item", re.compile(r"PUT /[^/]+/runs/.*/items/")),
        ("items", re.compile(r"PUT /[^/]+/runs/.*/items\.json")),
        ("read", re.compile(r"GET /")),
    ),
    "BuildFeatures": _item_steps("build_features", "features/"),
    "ScoreShard": _item_steps("score_shard", "runs/.*/scored/"),
    "RankRun": (("cuts", re.compile(r"PUT /[^/]+/runs/.*/cuts\.json")), ("read", re.compile(r"GET /"))),
    "LabelShard": _item_steps("label_shard", "gold/scores/"),
    "CommitRun": (
        ("features", re.compile(r"PUT /[^/]+/features/.*" + _DELTA_LOG)),
        ("scores", re.compile(r"PUT /[^/]+/gold/scores/.*" + _DELTA_LOG)),
        ("receipt", re.compile(r"PUT /[^/]+/runs/.*/receipt\.json")),
        ("read", re.compile(r"GET /")),
    ),
    "PublishScores": (
        ("online", re.compile(r"POST /")),
        ("result", re.compile(r"PUT /[^/]+/runs/.*/results/publish_scores/")),
        ("read", re.compile(r"GET /")),
    ),
    "BuildExport": (
        ("plan", re.compile(r"PUT /[^/]+/exports/.*/plan(-\d+)?\.json")),
        ("decision", re.compile(r"PUT /[^/]+/exports/.*/decided")),
        ("file", re.compile(r"PUT /[^/]+/exports/.*/part-")),
        ("rows", re.compile(r"PUT /[^/]+/gold/exports/.*\.parquet")),
        ("commit", re.compile(r"PUT /[^/]+/gold/exports/.*" + _DELTA_LOG)),
        ("receipt", re.compile(r"PUT /[^/]+/exports/.*/receipt\.json")),
        ("read", re.compile(r"GET /")),
    ),
}


Moment = Literal["before", "after", "later", "throttled", "unanswered"]


@dataclass(frozen=True, slots=True)
class Kill:
    """A planned fault. From when its turn comes, it lets `skip` requests of its step pass and hits the next `times`."""

    function: str
    step: str
    moment: Moment
    skip: int = 0
    delay: float = 0.0  # seconds after the request, where the moment is `later`
    times: int = 1  # a client asks again by itself: boto3 four times, delta-rs ten times


def step_of(function: str, request: str) -> str | None:
    """The step to which a request (`<method> <path>`) belongs; None where it belongs to none of STEPS."""
    return next((step for step, pattern in STEPS.get(function, ()) if pattern.match(request)), None)


class Relay:
    """Relays HTTP to `upstream` while the `with` block runs. `arm` says what to kill."""

    def __init__(self) -> None:
        self.upstream = 0
        self.functions: Mapping[str, str] = {}  # deployed name: name in the template
        self.workers = Path()  # the folder that the workers' code is unpacked into
        self.killed: Counter[Kill] = Counter()
        self._plan: defaultdict[str, deque[Kill]] = defaultdict(deque)
        self._skipped: Counter[str] = Counter()
        self._hit: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        serving = asyncio.start_server(self._connect, LOOPBACK, 0)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)
        self.endpoint = f"http://{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def serve(self, stack: Stack) -> None:
        """Say which stack stands behind the relay. Before this call it relays nothing."""
        self.functions = {name: logical for logical, name in stack.names().items()}
        self.workers = stack.folder / "tmp"
        self.upstream = urlsplit(stack.endpoint).port or 0

    def arm(self, kills: Iterable[Kill]) -> None:
        """Replace the plan. Each function has a queue of kills, of which only the first is due."""
        plan: defaultdict[str, deque[Kill]] = defaultdict(deque)
        for kill in kills:
            plan[kill.function].append(kill)

        def swap() -> None:
            self._plan = plan
            self._skipped.clear()
            self._hit.clear()
            self.killed.clear()

        self._loop.call_soon_threadsafe(swap)

    def _due(self, function: str, step: str | None) -> Kill | None:
        """The kill that is due at this request, taken from the plan."""
        kills = self._plan[function]
        if not kills or kills[0].step != step:
            return None
        self._skipped[function] += 1
        if self._skipped[function] <= kills[0].skip:
            return None
        self._hit[function] += 1
        if self._hit[function] < kills[0].times:
            return kills[0]
        self._skipped[function] = self._hit[function] = 0
        return kills.popleft()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")[1]
        # links that a function made name this address too: who follows one is no worker, and is never hit
        pid, function = self._worker(peer) or (0, "")
        back, forth = await asyncio.open_connection(LOOPBACK, self.upstream)
        answers = _Answers(back, writer)
        pump = asyncio.ensure_future(answers.pump())
        try:
            while head := await _head(reader):
                request = " ".join(head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")[:2])
                kill = self._due(function, step_of(function, request))
                if kill and kill.moment == "before":
                    self._end(pid, kill)
                    return
                if kill and kill.moment == "after":
                    answers.on_answer = partial(self._end, pid, kill)
                if kill and kill.moment == "throttled":
                    if b"100-continue" not in head.lower():  # who asks first sends no body after a refusal
                        async for _ in _body(head, reader):
                            pass
                    self._refuse(writer, kill)
                    return
                if kill and kill.moment == "unanswered":
                    answers.on_answer = partial(self._refuse, writer, kill)
                forth.write(head)
                async for part in _body(head, reader):
                    forth.write(part)
                    await forth.drain()
                if kill and kill.moment == "later":
                    task = self._loop.create_task(self._end_later(pid, kill))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the worker or the stack has ended, and the other notices that by itself
        finally:
            forth.close()
            await pump
            writer.close()

    async def _end_later(self, pid: int, kill: Kill) -> None:
        await asyncio.sleep(kill.delay)
        self._end(pid, kill)

    def _end(self, pid: int, kill: Kill) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.killed[kill] += 1

    def _refuse(self, writer: asyncio.StreamWriter, kill: Kill) -> None:
        writer.write(_REFUSAL)
        writer.close()
        self.killed[kill] += 1

    def _worker(self, port: int) -> tuple[int, str] | None:
        """The process behind a connection, and its function; None where it is no worker of this stack."""
        sockets = _sockets(port)
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                command = (process / "cmdline").read_bytes().decode(errors="replace")
                if str(self.workers) not in command:
                    continue
                if any(str(file.readlink()) in sockets for file in (process / "fd").iterdir()):
                    names = [logical for name, logical in self.functions.items() if f"-{name}-" in command]
                    return (int(process.name), names[0]) if names else None
        return None


class _Answers:
    """Passes on what comes back from the stack."""

    def __init__(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._back, self._writer = back, writer
        self.on_answer: Callable[[], None] | None = None

    async def pump(self) -> None:
        with suppress(ConnectionError):
            while part := await self._back.read(65_536):
                # `100 Continue` asks for the body, and is no answer yet
                if self.on_answer and not part.startswith(b"HTTP/1.1 100"):
                    self.on_answer()
                    return
                self._writer.write(part)
                await self._writer.drain()
        self._writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    """A request's first lines, up to the empty one; b"" where the connection has ended."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def _body(head: bytes, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    headers = head.lower()
    if re.search(rb"\r\ntransfer-encoding:\s*chunked", headers):
        while True:
            size = await reader.readuntil(b"\r\n")
            yield size
            yield await reader.readexactly(int(size.split(b";")[0], 16) + 2)
            if int(size.split(b";")[0], 16) == 0:
                return
    found = re.search(rb"\r\ncontent-length:\s*(\d+)", headers)
    left = int(found[1]) if found else 0
    while left:
        part = await reader.read(min(left, 65_536))
        if not part:
            raise ConnectionResetError
        left -= len(part)
        yield part


def _sockets(port: int) -> set[str]:
    """The sockets at this local port, as /proc/<pid>/fd names them."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return {f"socket:[{row[9]}]" for row in fields if int(row[1].rsplit(":", 1)[1], 16) == port}
