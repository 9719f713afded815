"""Reads and writes the records that the steps of a run hand to each other (lake/domain/run_records.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from propensity.kernel.errors import IncompleteRunError
from propensity.kernel.spec import Record
from propensity.lake.domain.run_names import item_key, plan_key, result_key
from propensity.lake.domain.run_records import Item, Plan, StepResult
from propensity.lake.json_objects import dumps, parse_record, read_record
from propensity.ports import ObjectStore

_READERS = 8  # threads; they are fewer than the connections that a boto3 client keeps


def read_plan[P: Plan](store: ObjectStore, run: str, kind: type[P]) -> P:
    return read_record(store, plan_key(run), kind)


def claim_plan[P: Plan](store: ObjectStore, run: str, plan: P) -> P:
    """Write a run's plan, or read the plan of an earlier call. The first plan stands, whatever Silver holds by now."""
    return plan if store.put_new(plan_key(run), dumps(plan)) else read_plan(store, run, type(plan))


def write_items(store: ObjectStore, run: str, items: Sequence[Item | Mapping[str, object]], name: str = "items") -> str:
    """Write one object per item, and the list that the Map reads. Returns the list's key."""
    keys = []
    for index, item in enumerate(items, start=1):
        key = item_key(f"{run}/{name}" if name != "items" else run, index)
        fields = item.to_json() if isinstance(item, Record) else item
        store.put_new(key, dumps({**fields, "run": run, "index": index}))
        keys.append(key)
    listed = f"{run}/{name}.json"
    store.put_new(listed, dumps([{"item": key} for key in keys]))
    return listed


def write_result(
    store: ObjectStore, run: str, step: str, index: int, result: StepResult | Mapping[str, object]
) -> None:
    store.put_new(result_key(run, step, index), dumps(result))


def record_result(store: ObjectStore, item: Item, result: StepResult) -> None:
    """Write a step's result for an item, unless there is a result already. The first result stands."""
    write_result(store, item.run, result.step, item.index, result)


def read_results(store: ObjectStore, run: str, step: str, expected: int) -> list[dict[str, Any]]:
    """All results of a step as JSON, in item order. Raises IncompleteRunError where a result is missing."""
    return [json.loads(body) for body in _bodies(store, _result_keys(store, run, step, expected))]


def results_of[R: StepResult](store: ObjectStore, run: str, kind: type[R], expected: int) -> list[R]:
    """All results of a step, in item order. Raises IncompleteRunError where a result is missing."""
    keys = _result_keys(store, run, kind.step, expected)
    return [parse_record(body, key, kind) for key, body in zip(keys, _bodies(store, keys), strict=True)]


def _bodies(store: ObjectStore, keys: Sequence[str]) -> list[bytes]:
    # the results are small objects: at 15 ms each, the 20,000 of a run of 10,000 items take all the time of commit_run
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(store.get, keys))


def _result_keys(store: ObjectStore, run: str, step: str, expected: int) -> list[str]:
    present = set(store.keys(f"{run}/results/{step}/"))
    wanted = [result_key(run, step, index) for index in range(1, expected + 1)]
    missing = [key for key in wanted if key not in present]
    if missing:
        raise IncompleteRunError(
            f"{run}: step {step} left {len(missing)} of {expected} results, first {missing[0]}; redrive the execution"
        )
    return wanted
