"""The built layers as MiniStack gets them: each zip file only says where in the stack's folder the layer lies.

MiniStack unpacks a function's layers for each process that it starts: 14 GB for some forty processes in a demo. Lambda
unpacks them once and mounts them. So here a zip holds one line of Python path, and the files are linked once a stack.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import IO

# the variable that tells a function of the local stack where its layers' files are
FOLDER = "LOCAL_LAYERS"
_LAYER = re.compile(r"^(\s*ContentUri: )(\w+)$", re.MULTILINE)
# MiniStack, like Lambda, reads .pth files here. A plain path in one would come behind MiniStack's own packages
_PATHS = "python/lib/python3.13/site-packages/layer.pth"


def packed(build: Path, out: Path) -> Path:
    """Copy a build folder's template to `out`, a folder beside it, with zip files as its layers.

    Code and data keep their names, which are relative to the template.
    """
    template = (build / "template.yaml").read_text()
    out.mkdir(exist_ok=True)
    for _, layer in _LAYER.findall(template):
        with whole(out / f"{layer}.zip") as file, zipfile.ZipFile(file, "w") as zipped:
            zipped.writestr(_PATHS, f"import os, sys; sys.path.insert(0, os.environ['{FOLDER}'] + '/{layer}/python')\n")
    path = out / "template.yaml"
    with whole(path) as file:
        file.write(_LAYER.sub(r"\1\2.zip", template).encode())
    return path


def link(build: Path, folder: Path) -> None:
    """Put a build's layers into `folder`, by hard links where the file system can. A later build leaves them.

    Some layers ship without bytecode, because a function has no room for it. All stacks share such a layer: what the
    first processes compile (scikit-learn: some 5 CPU seconds each) is there for the next ones. Copies of earlier builds
    stay until `make clean`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for _, layer in _LAYER.findall((build / "template.yaml").read_text()):
        if next((build / layer).rglob("*.pyc"), None):
            shutil.copytree(build / layer, folder / layer, copy_function=_link)
        else:
            (folder / layer).symlink_to(_shared(build / layer))


def _shared(layer: Path) -> Path:
    """The one copy of a built layer. Like bytecode, it is named after its files, their sizes and their times."""
    files = sorted(path for path in layer.rglob("*") if path.is_file())
    listed = "".join(
        f"{path.relative_to(layer)} {(stat := path.stat()).st_size} {stat.st_mtime_ns}\n" for path in files
    )
    copies = layer.parents[1] / "layers"
    copy = copies / f"{layer.name}-{sha256(listed.encode()).hexdigest()[:16]}"
    if not copy.exists():
        copies.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=copies) as half:
            shutil.copytree(layer, Path(half, layer.name), copy_function=_link)
            try:
                Path(half, layer.name).rename(copy)
            except OSError:
                if not copy.exists():  # another stack was first
                    raise
    return copy


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        shutil.copy2(source, target)


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write. It appears under its name once it is whole, for two stacks may start at once."""
    with NamedTemporaryFile(dir=path.parent, delete=False) as half:
        try:
            yield half
        except BaseException:
            Path(half.name).unlink()
            raise
    Path(half.name).replace(path)
