"""make check: tell every mistake of a pack's files, by file, line and remedy."""

from __future__ import annotations

import argparse
from pathlib import Path

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.operations.check_pack import check_pack
from propensity.pack.domain.mistakes import Mistake
from propensity.runtime.pack_files import pack_names

PACKS = Path(__file__).resolve().parents[2] / "shared/src/propensity/packs"


def folder_of(pack: str) -> Path:
    """The folder of a pack, given by its name or by a path. Raises FileNotFoundError, which says what there is."""
    for folder in (PACKS / pack, Path(pack)):
        if folder.is_dir():
            return folder.resolve()
    raise FileNotFoundError(f"PACK is {pack!r}, expected a folder, or one of {', '.join(pack_names())}")


def read_folder(folder: Path) -> tuple[dict[str, str], list[Mistake]]:
    """The YAML and SQL files of a folder by their paths in it, and the mistakes that keep a file from being read.

    Of a file that is not UTF-8, the other mistakes are told as well.
    """
    files, mistakes = {}, []
    for path in sorted(folder.rglob("*")):
        name, ending = path.relative_to(folder).as_posix(), path.suffix.lower().replace(".yml", ".yaml")
        if not path.is_file() or ending not in (".yaml", ".sql"):
            continue
        if path.suffix != ending:
            said = f"is not read; expected the ending {ending}"
            mistakes.append(Mistake(name, None, said, f"Rename it to {path.stem}{ending}."))
            continue
        body = path.read_bytes()
        try:
            files[name] = body.decode("utf-8")
        except UnicodeDecodeError as error:
            wide = body.startswith((b"\xff\xfe", b"\xfe\xff"))
            files[name] = body.decode("utf-16" if wide else "latin-1", errors="replace")
            said = "is UTF-16" if wide else f"byte 0x{body[error.start]:02x} is not UTF-8"
            line = 1 if wide else 1 + body[: error.start].count(b"\n")
            mistakes.append(Mistake(name, line, f"{said}; expected UTF-8", "Save the file as UTF-8."))
    return files, mistakes


def main() -> int:
    parser = argparse.ArgumentParser(prog="make check", description=__doc__)
    parser.add_argument("packs", nargs="*", help="names of packs that ship, or folders; without any, all that ship")
    options = parser.parse_args()
    count = 0
    for pack in options.packs or pack_names():
        try:
            folder = folder_of(pack)
        except FileNotFoundError as error:
            print(error)
            return 2
        files, unread = read_folder(folder)
        found = [*unread, *check_pack(files, folder.name, DuckDbSql)]
        count += len(found)
        for mistake in found:
            print(mistake)
        print(f"{pack}: {f'{len(found)} mistakes' if found else f'no mistake in {len(files)} files'}")
    return 1 if count else 0


if __name__ == "__main__":
    raise SystemExit(main())
