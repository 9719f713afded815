"""The built layers as zip files, made once a build: `sam deploy` would compress them anew for each stack, for 28 s.

They are not compressed: MiniStack unpacks its layers for each process that it starts, some forty in a demo.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

_LAYER = re.compile(r"^(\s*ContentUri: )(\w+)$", re.MULTILINE)


def zipped(build: Path, out: Path) -> Path:
    """The template of a build folder with zip files as its layers, in `out`, a folder beside it; made where missing.

    Code and data are named as before, relative to the template.
    """
    template = (build / "template.yaml").read_text()
    out.mkdir(exist_ok=True)
    for _, layer in _LAYER.findall(template):
        _zip(build / layer, out / f"{layer}.zip", newer_than=build / "template.yaml")
    path = out / "template.yaml"
    with _whole(path) as held:
        held.write(_LAYER.sub(r"\1\2.zip", template).encode())
    return path


def _zip(folder: Path, path: Path, *, newer_than: Path) -> None:
    if path.exists() and path.stat().st_mtime >= newer_than.stat().st_mtime:
        return
    with _whole(path) as held, zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                packed.write(file, file.relative_to(folder))


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which appears under its name when it is whole: two stacks may start at once."""
    with NamedTemporaryFile(dir=path.parent, delete=False) as half:
        yield half
    Path(half.name).replace(path)
