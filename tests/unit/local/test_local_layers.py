"""Layers of the local stack: a later build does not change those of a stack, and the next stack uses its bytecode."""

from __future__ import annotations

import compileall
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.stack import layers


def built(folder: Path) -> Path:
    """A build of two layers, one of which ships with bytecode."""
    build = folder / ".aws-sam" / "build"
    for layer in ("CodeLayer", "MlLayer"):
        python = build / layer / "python"
        python.mkdir(parents=True, exist_ok=True)
        (python / "module.py").write_text("FIRST = 1\n")
    compileall.compile_dir(build / "CodeLayer", quiet=1)
    (build / "template.yaml").write_text("    ContentUri: CodeLayer\n    ContentUri: MlLayer\n")
    return build


def bytecode(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.pyc"))


def test_what_one_stack_compiles_is_there_for_the_next(tmp_path: Path) -> None:
    build = built(tmp_path)
    layers.link(build, tmp_path / "first")
    assert (len(bytecode(tmp_path / "first/CodeLayer")), bytecode(tmp_path / "first/MlLayer/python")) == (1, [])
    compileall.compile_dir(tmp_path / "first/MlLayer/python", quiet=1)
    layers.link(build, tmp_path / "second")
    assert len(bytecode(tmp_path / "second/MlLayer/python")) == 1
    assert bytecode(build / "MlLayer") == []  # what ships still has no bytecode


def test_a_later_build_changes_only_later_stacks(tmp_path: Path) -> None:
    build = built(tmp_path)
    layers.link(build, tmp_path / "first")
    for layer in ("CodeLayer", "MlLayer"):
        (build / layer / "python/module.py").unlink()
        (build / layer / "python/module.py").write_text("LATER = 2\n")  # as long as before
    layers.link(build, tmp_path / "second")
    for layer in ("CodeLayer", "MlLayer"):
        assert (tmp_path / "first" / layer / "python/module.py").read_text() == "FIRST = 1\n"
        assert (tmp_path / "second" / layer / "python/module.py").read_text() == "LATER = 2\n"


def test_of_two_stacks_that_link_a_layer_at_once_one_makes_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, copytree = built(tmp_path), shutil.copytree

    def meanwhile(source: Path, target: Path, **options: Any) -> Any:
        monkeypatch.setattr(shutil, "copytree", copytree)
        layers.link(build, tmp_path / "first")
        return copytree(source, target, **options)

    (build / "template.yaml").write_text("    ContentUri: MlLayer\n")
    monkeypatch.setattr(shutil, "copytree", meanwhile)
    layers.link(build, tmp_path / "second")
    assert (tmp_path / "second/MlLayer").readlink() == (tmp_path / "first/MlLayer").readlink()
    assert [path.name for path in (build.parent / "layers").iterdir()] == [(tmp_path / "first/MlLayer").readlink().name]
