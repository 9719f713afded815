"""Reading and writing what the steps of a run hand to each other: small JSON objects in the lake."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from propensity.domain.errors import ConflictError, IncompleteRunError, NotFoundError
from propensity.domain.pack import Definition, parse_definition
from propensity.domain.runs import item_key, result_key
from propensity.ports import ObjectStore


def dumps(value: object) -> bytes:
    """JSON with sorted keys: equal content, equal bytes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1).encode()


def read_json(store: ObjectStore, key: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(store.get(key))
    return value


def find_json(store: ObjectStore, key: str) -> dict[str, Any] | None:
    """None where there is nothing under the key."""
    try:
        return read_json(store, key)
    except NotFoundError:
        return None


def is_planned(store: ObjectStore, run: str) -> bool:
    """Whether a run has its plan: nobody planned it before, or it has expired, where not."""
    return any(True for _ in store.keys(f"{run}/plan.json"))


def write_once(store: ObjectStore, key: str, body: bytes) -> bytes:
    """What stands under the key in the end: ours, or what an earlier run of the same step put there."""
    return body if store.put_new(key, body) else store.get(key)


def claim(store: ObjectStore, key: str, body: bytes) -> None:
    """Put, or find the very same there; anything else means two different runs share a name."""
    if write_once(store, key, body) != body:
        raise ConflictError(f"{key}: there already with other content; a run's inputs must not change under its name")


def write_items(store: ObjectStore, run: str, items: Sequence[Mapping[str, object]], name: str = "items") -> str:
    """One object per item, and the list the Map reads; the list's key."""
    keys = []
    for index, item in enumerate(items, start=1):
        key = item_key(f"{run}/{name}" if name != "items" else run, index)
        store.put_new(key, dumps({**item, "run": run, "index": index}))
        keys.append(key)
    listed = f"{run}/{name}.json"
    store.put_new(listed, dumps([{"item": key} for key in keys]))
    return listed


def write_result(store: ObjectStore, run: str, step: str, index: int, result: Mapping[str, object]) -> None:
    store.put_new(result_key(run, step, index), dumps(result))


def read_results(store: ObjectStore, run: str, step: str, expected: int) -> list[dict[str, Any]]:
    """All results of a step, in item order. Raises IncompleteRunError where one is missing."""
    present = set(store.keys(f"{run}/results/{step}/"))
    wanted = [result_key(run, step, index) for index in range(1, expected + 1)]
    missing = [key for key in wanted if key not in present]
    if missing:
        raise IncompleteRunError(
            f"{run}: step {step} left {len(missing)} of {expected} results, first {missing[0]}; redrive the execution"
        )
    return [read_json(store, key) for key in wanted]


def write_definition(store: ObjectStore, folder: str, definition: Definition) -> None:
    for path, text in definition.files().items():
        claim(store, f"{folder}/{path}", text.encode())


def read_definition(store: ObjectStore, folder: str, model: str) -> Definition:
    """The definition a run or a version was made with."""
    files = {key.removeprefix(f"{folder}/"): store.get(key).decode() for key in store.keys(f"{folder}/")}
    return parse_definition(files, model, where=folder)


def total(results: Iterable[Mapping[str, Any]], field: str) -> int:
    return sum(int(result[field]) for result in results)
