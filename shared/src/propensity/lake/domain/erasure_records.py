"""What records of erasures say to those who read the lake."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

ROOT = "audit/erasures"


def removed_key(key: str, etag: str) -> str:
    """What says that a landed content was erased, for events that come again; the name tells neither."""
    return f"audit/removed/{hashlib.sha256(f'{len(key)}:{key}{etag}'.encode()).hexdigest()[:32]}.json"


def rows_erased(records: Iterable[Mapping[str, Any]], table: str, version: int) -> int:
    """How many rows of a pinned version of a table were erased since it was made."""
    return sum(record["pinned"].get(table, {}).get(str(version), 0) for record in records)
