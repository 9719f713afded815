"""The mutations as data: one YAML file per group beside this module, read and held against the code."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent
_Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class CatalogueError(Exception):
    """An entry that does not fit the code, or a file that is no list of entries. The message names the entry."""


class Mutation(BaseModel):
    """One fault put back: `old` stands exactly once in `file`, `new` replaces it, each of `tests` must turn red."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slug: _Slug
    kind: Annotated[str, StringConstraints(min_length=10, pattern=r"\.$")]
    file: str
    old: Annotated[str, StringConstraints(min_length=1)]
    new: str
    tests: Annotated[tuple[str, ...], Field(min_length=1)]
    group: str = ""

    def mutated(self, text: str) -> str:
        """The file's text with the fault in it."""
        found = text.count(self.old)
        if found != 1:
            raise CatalogueError(
                f"{self.group}.yaml, {self.slug}: `old` stands {found} times in {self.file}, expected once. "
                "Write it again after the code as it is now."
            )
        if self.new == self.old:
            raise CatalogueError(f"{self.group}.yaml, {self.slug}: `new` is `old`. Write what the fault was.")
        return text.replace(self.old, self.new)


def read_catalogue(folder: Path = FOLDER) -> tuple[Mutation, ...]:
    """Every entry of every group, in the order of the files. Raises: CatalogueError."""
    entries: list[Mutation] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            found = TypeAdapter(list[Mutation]).validate_python(yaml.safe_load(path.read_text()))
        except (ValidationError, yaml.YAMLError) as error:
            raise CatalogueError(f"{path.name}: expected a list of mutations. {error}") from error
        entries += [entry.model_copy(update={"group": path.stem}) for entry in found]
    twice = sorted(slug for slug, count in Counter(entry.slug for entry in entries).items() if count > 1)
    if twice:
        raise CatalogueError(f"slugs stand twice: {', '.join(twice)}. Give each entry a slug of its own.")
    return tuple(entries)


def chosen(entries: Sequence[Mutation], *, slugs: Collection[str], groups: Collection[str]) -> tuple[Mutation, ...]:
    """The entries named by slug or by group; all of them where nothing is named. Raises: CatalogueError."""
    known = {entry.slug for entry in entries} | {entry.group for entry in entries}
    if unknown := sorted({*slugs, *groups} - known):
        raise CatalogueError(f"no entry or group is named {', '.join(unknown)}. See tests/mutations/*.yaml.")
    if not slugs and not groups:
        return tuple(entries)
    return tuple(entry for entry in entries if entry.slug in slugs or entry.group in groups)


def faults(entry: Mutation, root: Path = ROOT) -> list[str]:
    """Why an entry cannot be run: its file, its text, what the text becomes, its tests."""
    path, found = root / entry.file, []
    if not path.is_file():
        return [f"{entry.slug}: {entry.file} is not there"]
    try:
        text = entry.mutated(path.read_text())
        if path.suffix == ".py":
            ast.parse(text)
    except CatalogueError as error:
        found.append(str(error))
    except SyntaxError as error:
        found.append(f"{entry.slug}: {entry.file} is no Python with `new` in it, line {error.lineno}")
    for test in entry.tests:
        file, _, name = test.partition("::")
        if not (root / file).is_file() or name.partition("[")[0] not in _tests_of(root / file):
            found.append(f"{entry.slug}: no test is named {test}")
    return found


@cache
def _tests_of(path: Path) -> frozenset[str]:
    """The names of a module's test functions, and of hypothesis' state machines (`TestLake = Lake.TestCase`)."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names.add(f"{node.targets[0].id}::runTest")
    return frozenset(names)
