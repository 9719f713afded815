"""make check: tell every mistake of a pack's files, by file, line and remedy."""

from __future__ import annotations

import argparse
from pathlib import Path

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.operations.check_pack import check_pack
from propensity.runtime.pack_files import pack_names

PACKS = Path(__file__).resolve().parents[2] / "shared/src/propensity/packs"


def folder_of(pack: str) -> Path:
    """The folder of a pack, given by its name or by a path. Raises FileNotFoundError, which says what there is."""
    for folder in (PACKS / pack, Path(pack)):
        if folder.is_dir():
            return folder.resolve()
    raise FileNotFoundError(f"PACK is {pack!r}, expected a folder, or one of {', '.join(pack_names())}")


def read_folder(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".yaml", ".sql")
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="make check", description=__doc__)
    parser.add_argument("packs", nargs="*", help="names of packs that ship, or folders; without any, all that ship")
    options = parser.parse_args()
    count = 0
    for pack in options.packs or pack_names():
        try:
            folder = folder_of(pack)
            files = read_folder(folder)
        except (FileNotFoundError, UnicodeDecodeError) as error:
            print(error)
            return 2
        found = check_pack(files, folder.name, DuckDbSql)
        count += len(found)
        for mistake in found:
            print(mistake)
        print(f"{pack}: {f'{len(found)} mistakes' if found else f'no mistake in {len(files)} files'}")
    return 1 if count else 0


if __name__ == "__main__":
    raise SystemExit(main())
