"""The demo's lake over a world's folder, so that what the demo tells can be tested without a stack."""

from __future__ import annotations

from pathlib import Path

from tests.kit.world import World
from tests.stack.lake import Lake


class FolderLake(Lake):
    def __init__(self, world: World) -> None:
        self._world = world

    def table_files(self, table: str) -> list[Path]:
        snapshot = self._world.tables.snapshot(table)
        assert snapshot is not None, table
        return [self._world.folder / key for key in snapshot.file_keys()]
