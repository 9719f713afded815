"""Promotion in a process of its own, which imports only what it needs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from propensity.adapters.delta_tables import DeltaTables
from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.ingest.promote_silver import BronzeFile, promote_silver
from propensity.kernel.errors import RetryableError
from propensity.runtime.pack_files import pack_files
from tests.fakes.folder_store import FolderStore

ROUNDS = 200  # a guard against a hang


def promote(folder: Path, pack: str, messages: list[dict[str, Any]]) -> int:
    """Promote as the queue would: again, until it is done. Returns how many races were lost."""
    ports: Any = SimpleNamespace(
        pack=pack,
        pack_files=pack_files(pack),
        lake=FolderStore(folder),
        tables=DeltaTables(str(folder)),
        sql=DuckDbSql,
    )
    return _promote(ports, messages)


def _promote(ports: Any, messages: list[dict[str, Any]]) -> int:
    for lost in range(ROUNDS):
        try:
            promote_silver(ports, [BronzeFile.parse(message) for message in messages])
        except RetryableError:
            # the function too tries a batch that lost file by file
            if len(messages) > 1:
                return lost + sum(_promote(ports, [message]) for message in messages)
            continue
        return lost
    raise AssertionError(f"{ROUNDS} races lost")
