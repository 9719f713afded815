"""The places of the records of erasures, and what the records say of an older version of a table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

ERASURES = "audit/erasures"


def removed_key(key: str, etag: str) -> str:
    """The key of an object that says that a landed file was erased, should the file's event come again.

    The name is a hash, which shows neither the file's key nor its etag.
    """
    return f"audit/removed/{hashlib.sha256(f'{len(key)}:{key}{etag}'.encode()).hexdigest()[:32]}.json"


def rows_erased(records: Iterable[Mapping[str, Any]], table: str, version: int) -> int:
    """The number of rows of a table's version that were erased after that version was made."""
    return sum(record["pinned"].get(table, {}).get(str(version), 0) for record in records)
