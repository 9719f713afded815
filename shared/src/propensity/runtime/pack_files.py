"""Reads the files of a pack that ships inside this package."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from propensity.kernel.errors import PackError

_KINDS = (".yaml", ".sql")


@cache
def pack_files(pack: str) -> dict[str, str]:
    """Read every YAML and SQL file of a pack, as relative path to text. Raises PackError for an unknown pack."""
    root = files("propensity.packs") / pack
    if not (root / "pack.yaml").is_file():
        raise PackError(f"PACK is {pack!r}, expected one of {', '.join(pack_names())}")
    return dict(_walk(root, ""))


def pack_names() -> list[str]:
    return sorted(folder.name for folder in files("propensity.packs").iterdir() if (folder / "pack.yaml").is_file())


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(_KINDS):
            yield f"{prefix}{entry.name}", entry.read_text(encoding="utf-8")
