"""The model registry over an object store: immutable version folders, aliases as an append-only ledger.

Every write is conditional, so two movers of one alias get one order, and a version once written stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from propensity.domain.errors import NotFoundError, RetryableError
from propensity.domain.pack import Definition
from propensity.domain.registry import CHAMPION, Move, holder, ledger_key, model_root, version_folder
from propensity.ports import ObjectStore
from propensity.usecases.run_files import claim, dumps, read_definition, read_json

_RACES = 20
_SEAL = "lineage.json"  # written last: a version without it is not there


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version and what stands in its folder."""

    model: str
    number: int
    folder: str
    lineage: Mapping[str, Any]

    def definition(self, store: ObjectStore) -> Definition:
        return read_definition(store, f"{self.folder}/definition", self.model)

    def json(self, store: ObjectStore, name: str) -> dict[str, Any]:
        return read_json(store, f"{self.folder}/{name}")

    def onnx(self, store: ObjectStore) -> bytes:
        return store.get(f"{self.folder}/model.onnx")


def moves(store: ObjectStore, model: str) -> list[Move]:
    return [Move.model_validate_json(store.get(key)) for key in store.keys(f"{model_root(model)}/ledger/")]


def move_alias(store: ObjectStore, model: str, alias: str, version: int, *, by: str, why: str, at: str) -> Move:
    """Append one line to the ledger. Moving an alias to where it is adds nothing.

    Raises NotFoundError for a version that is not there, RetryableError where others keep winning the race.
    """
    load_version(store, model, version)
    for _ in range(_RACES):
        known = moves(store, model)
        previous = holder(known, alias)
        if previous == version:
            return [move for move in known if move.alias == alias][-1]
        number = known[-1].number + 1 if known else 1
        move = Move(number=number, alias=alias, version=version, previous=previous, by=by, why=why, at=at)
        if store.put_new(ledger_key(model, number), dumps(move.model_dump())):
            return move
    raise RetryableError(f"model {model}: alias {alias} is being moved by others; try again")


def version_numbers(store: ObjectStore, model: str) -> list[int]:
    """Numbers of the whole versions, in order."""
    root = f"{model_root(model)}/versions/"
    names = [key.removeprefix(root) for key in store.keys(root)]
    return sorted(int(name.split("/")[0]) for name in names if name.endswith(f"/{_SEAL}"))


def load_version(store: ObjectStore, model: str, number: int) -> Version:
    folder = version_folder(model, number)
    try:
        lineage = read_json(store, f"{folder}/{_SEAL}")
    except NotFoundError as error:
        there = ", ".join(map(str, version_numbers(store, model))) or "none"
        raise NotFoundError(f"model {model}: no version {number}; there are {there}") from error
    return Version(model, number, folder, lineage)


def load_champion(store: ObjectStore, model: str) -> Version:
    number = holder(moves(store, model), CHAMPION)
    if number is None:
        raise NotFoundError(f"model {model}: no champion; train it, or promote a version")
    return load_version(store, model, number)


def register(store: ObjectStore, model: str, files: Mapping[str, bytes], lineage: Mapping[str, Any]) -> Version:
    """Write a new version folder; the run of the lineage gets one version however often it registers.

    A number is claimed first, then the files are put, the lineage last. A crash in between leaves a claim
    that the same run picks up again.
    """
    number = _claim_number(store, model, str(lineage["run"]))
    folder = version_folder(model, number)
    for name, body in sorted(files.items()):
        claim(store, f"{folder}/{name}", body)
    claim(store, f"{folder}/{_SEAL}", dumps(lineage))
    return load_version(store, model, number)


def _claim_number(store: ObjectStore, model: str, run: str) -> int:
    root = f"{model_root(model)}/claims/"
    for _ in range(_RACES):
        taken = {int(key.removeprefix(root).removesuffix(".json")): key for key in store.keys(root)}
        for number, key in sorted(taken.items()):
            if json.loads(store.get(key))["run"] == run:
                return number
        number = max(taken, default=0) + 1
        if store.put_new(f"{root}{number:06d}.json", dumps({"run": run})):
            return number
    raise RetryableError(f"model {model}: others keep registering; try again")
