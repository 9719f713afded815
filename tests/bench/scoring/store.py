"""A lake in a folder whose files are linked in and out: the time of S3 counts on neither side."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from propensity.ports import ObjectInfo
from tests.fakes.folder_store import FolderStore

_LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


class LinkedStore(FolderStore):
    """Downloads and uploads are hard links, so scratch folders must lie on the same file system."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        scratch = root / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = str(scratch)

    def download(self, key: str, path: Path, version_id: str | None = None) -> ObjectInfo:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(self._existing(key, version_id))
        return ObjectInfo(key, "linked", path.stat().st_size, _LONG_AGO)

    def upload_new(self, key: str, path: Path) -> bool:
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.hardlink_to(path)
        except FileExistsError:
            return False
        return True
