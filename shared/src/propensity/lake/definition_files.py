"""The files of a definition in the folder of a run or of a version."""

from __future__ import annotations

from propensity.lake.json_objects import claim
from propensity.pack.domain.definition import Definition, parse_definition
from propensity.ports import ObjectReader, ObjectStore


def write_definition(store: ObjectStore, folder: str, definition: Definition) -> None:
    """Write a definition's files. Raises ConflictError where the folder has another definition."""
    for path, text in definition.files().items():
        claim(store, f"{folder}/{path}", text.encode())


def read_definition(store: ObjectReader, folder: str, model: str) -> Definition:
    """The definition that a run or a version was made with."""
    files = {key.removeprefix(f"{folder}/"): store.get(key).decode() for key in store.keys(f"{folder}/")}
    return parse_definition(files, model, where=folder)
