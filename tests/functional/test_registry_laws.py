"""Laws of the registry: versions stay as written, and every mover of an alias gets a place in one order."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.adapters.memory import MemoryStore
from propensity.domain.errors import NotFoundError
from propensity.domain.registry import before, holder
from propensity.usecases.registry import (
    load_champion,
    load_version,
    move_alias,
    moves,
    register,
    version_numbers,
)

SAID = {"by": "anna", "why": "test", "at": "2026-01-01"}


def registered(store: MemoryStore, run: str) -> int:
    return register(store, "m", {"model.onnx": run.encode()}, {"run": run, "feature_set": run}).number


def test_a_run_has_one_version_however_often_it_registers() -> None:
    store = MemoryStore()
    assert [registered(store, run) for run in ("a", "b", "a", "b")] == [1, 2, 1, 2]
    assert load_version(store, "m", 1).onnx(store) == b"a"


def test_runs_that_register_at_once_get_a_number_each() -> None:
    store = MemoryStore()
    runs = [f"run-{number % 12}" for number in range(36)]
    with ThreadPoolExecutor(12) as pool:
        numbers = list(pool.map(lambda run: registered(store, run), runs))
    assert sorted(set(numbers)) == list(range(1, 13))
    assert len(set(zip(runs, numbers, strict=True))) == 12
    assert version_numbers(store, "m") == list(range(1, 13))


def test_a_version_without_its_seal_is_not_there() -> None:
    store = MemoryStore()
    store.put("registry/m/versions/000001/model.onnx", b"half")
    assert version_numbers(store, "m") == []
    with pytest.raises(NotFoundError, match="no version 1; there are none"):
        load_version(store, "m", 1)
    with pytest.raises(NotFoundError, match="no champion; train it"):
        load_champion(store, "m")


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12))
def test_an_alias_is_where_it_was_last_moved_and_the_ledger_tells_how(targets: list[int]) -> None:
    store = MemoryStore()
    for run in "abcd":
        registered(store, run)
    for target in targets:
        move_alias(store, "m", "champion", target, **SAID)
    ledger = moves(store, "m")
    assert [move.number for move in ledger] == list(range(1, len(ledger) + 1))
    assert load_champion(store, "m").number == holder(ledger, "champion") == targets[-1]
    held = [move.version for move in ledger]
    assert [move.previous for move in ledger] == [None, *held[:-1]]
    assert all(one != next_one for one, next_one in pairwise(held))
    if len(held) > 1:
        assert before(ledger, "champion", "m") == held[-2]
    else:
        with pytest.raises(NotFoundError, match="no other version to roll back to"):
            before(ledger, "champion", "m")


def test_movers_at_once_get_one_order() -> None:
    store = MemoryStore()
    for run in "abcdefgh":
        registered(store, run)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda version: move_alias(store, "m", "champion", version, **SAID), range(1, 9)))
    ledger = moves(store, "m")
    assert sorted(move.version for move in ledger) == list(range(1, 9))
    assert [move.previous for move in ledger] == [None, *(move.version for move in ledger[:-1])]


def test_moving_to_a_version_that_is_not_there_adds_nothing() -> None:
    store = MemoryStore()
    registered(store, "a")
    with pytest.raises(NotFoundError, match="no version 7; there are 1"):
        move_alias(store, "m", "champion", 7, **SAID)
    assert moves(store, "m") == []
    assert json.loads(store.get("registry/m/claims/000001.json")) == {"run": "a"}
