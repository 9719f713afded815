"""Ports in memory, for tests. The suites of tests/contract run against these and against the real adapters."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from propensity.kernel.errors import NotFoundError, RetryableError
from propensity.kernel.tenant import MAX_CUSTOMER_ID
from propensity.ports import DownloadLink, Execution, ObjectInfo, OnlineScore, UploadLink


class MemoryStore:
    """A versioned bucket. Its clock starts at 2026-01-01 and moves by a second with each write."""

    def __init__(self) -> None:
        self._objects: dict[str, list[tuple[ObjectInfo, bytes]]] = {}
        self._lock = threading.Lock()
        self._writes = 0

    def head(self, key: str, version_id: str | None = None) -> ObjectInfo:
        return self._find(key, version_id)[0]

    def get(self, key: str, version_id: str | None = None) -> bytes:
        return self._find(key, version_id)[1]

    def download(self, key: str, path: Path, version_id: str | None = None) -> ObjectInfo:
        info, body = self._find(key, version_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return info

    def put(self, key: str, body: bytes) -> None:
        with self._lock:
            self._write(key, body)

    def put_new(self, key: str, body: bytes) -> bool:
        with self._lock:
            if key in self._objects:
                return False
            self._write(key, body)
            return True

    def upload_new(self, key: str, path: Path) -> bool:
        return self.put_new(key, path.read_bytes())

    def replace(self, key: str, path: Path, *, etag: str | None = None) -> None:
        with self._lock:
            if etag is not None and self._find(key, None)[0].etag != etag:
                raise RetryableError(f"{key}: replaced by others in the meantime; look again")
            self._write(key, path.read_bytes())

    def remove(self, key: str, version_id: str | None = None) -> None:
        with self._lock:
            versions = self._objects.pop(key, [])
            left = [(info, body) for info, body in versions if version_id is not None and info.version_id != version_id]
            if left:
                self._objects[key] = left

    def keys(self, prefix: str) -> Iterator[str]:
        yield from sorted(key for key in self._objects if key.startswith(prefix))

    def infos(self, prefix: str) -> Iterator[ObjectInfo]:
        for key in self.keys(prefix):
            yield replace(self._objects[key][-1][0], version_id=None)

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        for key in self.keys(prefix):
            yield from [info for info, _ in self._objects[key]]

    def touch(self) -> datetime:
        """Move the clock by a second; the time that it then has."""
        self._writes += 1
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._writes)

    def _write(self, key: str, body: bytes) -> None:
        now = self.touch()
        info = ObjectInfo(
            key=key,
            etag=hashlib.md5(body, usedforsecurity=False).hexdigest(),
            size=len(body),
            last_modified=now,
            version_id=f"v{self._writes}",
        )
        self._objects.setdefault(key, []).append((info, body))

    def _find(self, key: str, version_id: str | None) -> tuple[ObjectInfo, bytes]:
        versions = self._objects.get(key, [])
        for info, body in reversed(versions):
            if version_id is None or info.version_id == version_id:
                return info, body
        raise NotFoundError(f"{key}: no such object", public="nothing is stored under this name")


class MemoryQueue:
    def __init__(self) -> None:
        self.messages: list[dict[str, object]] = []

    def send(self, message: Mapping[str, object]) -> None:
        self.messages.append(dict(message))


class MemoryWorkflows:
    """Executions run until `end` or `fail`. The name of one that ended is refused from then on."""

    def __init__(self) -> None:
        self.started: dict[tuple[str, str], dict[str, object]] = {}
        self.ended: set[tuple[str, str]] = set()
        self.failed: dict[tuple[str, str], str] = {}

    def start(self, machine: str, name: str, payload: Mapping[str, object]) -> bool:
        started = self.started.setdefault((machine, name), dict(payload))
        return started == payload and (machine, name) not in self.ended

    def find(self, machine: str, name: str) -> Execution | None:
        key = (machine, name)
        if key not in self.started:
            return None
        state = "failed" if key in self.failed else "succeeded" if key in self.ended else "running"
        began, ended = "2026-01-01T00:00:00.000+00:00", "2026-01-01T00:01:00.000+00:00"
        stopped = None if state == "running" else ended
        return Execution(name, self.started[key], state, began, stopped, self.failed.get(key))  # type: ignore[arg-type]

    def recent(self, machine: str, part: str, most: int) -> list[Execution]:
        names = [name for kind, name in reversed(self.started) if kind == machine and part in name]
        found = [self.find(machine, name) for name in names[:most]]
        return [execution for execution in found if execution is not None]

    def end(self) -> None:
        """Let every execution that runs succeed."""
        self.ended.update(self.started)

    def fail(self, reason: str) -> None:
        """Let every execution that runs fail for this reason."""
        self.failed |= {key: reason for key in self.started if key not in self.ended}
        self.end()


class MemoryOnline:
    def __init__(self) -> None:
        self.items: dict[tuple[str, str, str, int], OnlineScore] = {}

    def put_many(self, scores: Sequence[OnlineScore]) -> None:
        for score in scores:
            key = (score.tenant_id, score.customer_id, score.model, score.version)
            known = self.items.get(key)
            fits = len(score.customer_id.encode()) <= MAX_CUSTOMER_ID
            if fits and (known is None or known.as_of <= score.as_of):
                self.items[key] = score

    def get_many(self, tenant_id: str, customer_ids: Sequence[str], model: str, version: int) -> list[OnlineScore]:
        wanted = [(tenant_id, customer, model, version) for customer in dict.fromkeys(customer_ids)]
        return [self.items[key] for key in wanted if key in self.items]

    def newest(self, tenant_id: str, customer_ids: Sequence[str], model: str) -> list[OnlineScore]:
        found = {
            key[1]: item
            for key, item in sorted(self.items.items(), key=lambda entry: entry[0][3])
            if (key[0], key[2]) == (tenant_id, model)
        }
        return [found[customer] for customer in dict.fromkeys(customer_ids) if customer in found]

    def remove(self, tenant_id: str, customer_ids: Sequence[str] | None) -> int:
        removed = [
            key for key in self.items if key[0] == tenant_id and (customer_ids is None or key[1] in set(customer_ids))
        ]
        for key in removed:
            del self.items[key]
        return len(removed)


@dataclass
class MemoryMetrics:
    counted: list[tuple[str, float, dict[str, str]]] = field(default_factory=list)

    def count(self, name: str, value: float = 1, **dimensions: str) -> None:
        self.counted.append((name, value, dimensions))

    def total(self, names: Iterable[str]) -> float:
        wanted = set(names)
        return sum(value for name, value, _ in self.counted if name in wanted)


class MemoryDownloadAccess:
    """Links that name the object."""

    def link(self, key: str) -> DownloadLink:
        return DownloadLink(f"memory://lake/{quote(key)}", 900)


class MemoryUploadAccess:
    """Links that `put` follows, as a browser or curl would follow a real one."""

    def __init__(self, store: MemoryStore, bucket: str = "landing") -> None:
        self._store = store
        self._bucket = bucket
        self._signed: dict[str, tuple[str, dict[str, str]]] = {}

    def link(self, key: str, *, content_type: str, size: int | None = None) -> UploadLink:
        headers = {"Content-Type": content_type, "If-None-Match": "*"}
        if size is not None:
            headers["Content-Length"] = str(size)
        signature = hashlib.sha256(repr((key, headers)).encode()).hexdigest()
        self._signed[signature] = (key, headers)
        return UploadLink(f"memory://{self._bucket}/{quote(key)}?X-Amz-Signature={signature}", 900, headers)

    def resource(self, prefix: str) -> str:
        return f"arn:aws:s3:::{self._bucket}/{prefix}*"

    def put(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status that the bucket would answer. As HTTP does, it sends the body's own length."""
        parts = urlsplit(url)
        key, signed = self._signed.get(parts.query.partition("=")[2], ("", {}))
        sent = {**headers, "Content-Length": str(len(body))}
        if key != unquote(parts.path[1:]) or any(sent.get(name) != value for name, value in signed.items()):
            return 403
        return 200 if self._store.put_new(key, body) else 412
