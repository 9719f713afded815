"""Files that are written once. What is told of a file is told of the one that stands, whoever wrote it."""

from __future__ import annotations

from pathlib import Path

from propensity.ports import ObjectStore


def keep_first(store: ObjectStore, key: str, path: Path) -> bool:
    """Put a local file under a key, unless a file is there. `path` then holds the file that stands under the key.

    An earlier try may have died after it wrote its file, and another release may write other bytes than that try.
    Returns whether this call wrote the file.
    """
    if store.upload_new(key, path):
        return True
    store.download(key, path)
    return False
