"""The ObjectStore port over a folder: for tests, and to look at a copy of a lake."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from propensity.kernel.errors import NotFoundError, RetryableError
from propensity.ports import ObjectInfo


class FolderStore:
    """A folder keeps one version of each object, without an id. NotFoundError for any version_id."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def head(self, key: str, version_id: str | None = None) -> ObjectInfo:
        path = self._existing(key, version_id)
        stat = path.stat()
        with path.open("rb") as body:
            etag = hashlib.file_digest(body, "sha256").hexdigest()  # half the time of md5 on today's processors
        return ObjectInfo(
            key=key,
            etag=etag,
            size=stat.st_size,
            last_modified=datetime.fromtimestamp(stat.st_mtime, UTC),
        )

    def get(self, key: str, version_id: str | None = None) -> bytes:
        return self._existing(key, version_id).read_bytes()

    def download(self, key: str, path: Path, version_id: str | None = None) -> ObjectInfo:
        info = self.head(key, version_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._path(key), path)
        return info

    def put(self, key: str, body: bytes) -> None:
        part = self._beside(key, body)
        part.replace(self._path(key))

    def put_new(self, key: str, body: bytes) -> bool:
        part = self._beside(key, body)
        try:
            # a hard link fails where the name is taken: the whole file appears, or nothing
            os.link(part, self._path(key))
        except FileExistsError:
            return False
        finally:
            part.unlink()
        return True

    def upload_new(self, key: str, path: Path) -> bool:
        return self.put_new(key, path.read_bytes())

    def replace(self, key: str, path: Path, *, etag: str | None = None) -> None:
        # a folder cannot compare and write in one step: two writers at the same instant may both succeed
        if etag is not None and self.head(key).etag != etag:
            raise RetryableError(f"{key}: replaced by others in the meantime; look again")
        self.put(key, path.read_bytes())

    def remove(self, key: str, version_id: str | None = None) -> None:
        if version_id is None:
            self._path(key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> Iterator[str]:
        folder = self._path(prefix.rsplit("/", 1)[0]) if "/" in prefix else self._root
        found = (path.relative_to(self._root).as_posix() for path in folder.rglob("*") if path.is_file())
        yield from sorted(key for key in found if key.startswith(prefix) and not key.endswith(".part"))

    def infos(self, prefix: str) -> Iterator[ObjectInfo]:
        for key in self.keys(prefix):
            yield self.head(key)

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        yield from self.infos(prefix)

    def _beside(self, key: str, body: bytes) -> Path:
        """A new file with this body, in the folder of the object."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
            part.write(body)
        return Path(part.name)

    def _existing(self, key: str, version_id: str | None) -> Path:
        path = self._path(key)
        if version_id is not None or not path.is_file():
            raise NotFoundError(f"{key}: no such object" + (f" of version {version_id}" if version_id else ""))
        return path

    def _path(self, key: str) -> Path:
        return self._root / key
