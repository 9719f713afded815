"""Reading and writing what the steps of a run hand to each other: small JSON objects in the lake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from propensity.kernel.errors import IncompleteRunError
from propensity.lake.domain.run_names import item_key, result_key
from propensity.lake.json_objects import dumps, read_json
from propensity.ports import ObjectStore


def is_planned(store: ObjectStore, run: str) -> bool:
    """Whether a run has its plan: nobody planned it before, or it has expired, where not."""
    return any(True for _ in store.keys(f"{run}/plan.json"))


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


def total(results: Iterable[Mapping[str, Any]], field: str) -> int:
    return sum(int(result[field]) for result in results)
