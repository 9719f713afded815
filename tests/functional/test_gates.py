"""Planted faults: each is caught by the gate that is meant for it, and the champion stays champion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from propensity.usecases.registry import champion_number
from tests.functional.harness import World
from tests.functional.planted import (
    MODEL,
    Change,
    ConstantTrainer,
    FaultyConverter,
    change_rows,
    cut_at,
    finish,
    shifted_by,
    simple,
    swapped,
    with_column,
)

DAY = "2025-06-01"
FEATURE = "days_from_yearly_service"


type Prepared = tuple[World, dict[str, Any]]


@pytest.fixture(scope="module")
def prepared(trained: World, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A lake with a champion, and a training run up to its features."""
    world = simple(trained.copy(tmp_path_factory.mktemp("prepared")))
    return world, world.prepare(MODEL, DAY)


def judged(
    prepared: Prepared, folder: Path, change: Change | None = None, trainer: Any = None
) -> dict[str, dict[str, Any]]:
    world, plan = prepared
    other = world.copy(folder)
    if change:
        change_rows(other, plan, change)
    if trainer:
        other.trainer = trainer
    gates = finish(other, plan)
    assert champion_number(other.lake, MODEL) == (1 if failed(gates) else 2)
    return gates


def failed(gates: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, gate in gates.items() if not gate["passed"]}


def test_without_a_fault_every_gate_passes_and_says_so_in_a_sentence(prepared: Prepared, tmp_path: Path) -> None:
    gates = judged(prepared, tmp_path)
    assert failed(gates) == set()
    assert all(len(gate["said"]) > 20 and gate["figure"] is not None for gate in gates.values())
    assert gates["parity"]["n"] == gates["leak_auc"]["n"] > 5_000
    assert gates["parity_probes"]["n"] > 500


def test_a_leaking_column_is_caught(prepared: Prepared, tmp_path: Path) -> None:
    def leak(table: pa.Table) -> pa.Table:
        noise = np.random.default_rng(1).normal(0, 0.4, len(table))
        return with_column(table, FEATURE, table["label"].to_numpy() + noise)

    gates = judged(prepared, tmp_path, leak)
    assert "leak_auc" in failed(gates)
    assert f"look at {FEATURE}" in gates["leak_auc"]["said"]


def test_a_column_that_is_filled_in_with_the_outcome_is_caught(prepared: Prepared, tmp_path: Path) -> None:
    def copy(table: pa.Table) -> pa.Table:
        known = np.random.default_rng(1).random(len(table)) < 0.2
        return with_column(table, FEATURE, np.where(known, table["label"].to_numpy() * 7.0, np.nan))

    gates = judged(prepared, tmp_path, copy)
    assert "target_copy" in failed(gates)
    assert FEATURE in gates["target_copy"]["said"]


@pytest.mark.parametrize(("fault", "figure"), [(shifted_by(0.01), 0.01), (swapped(0, 1), None)])
def test_a_converter_that_is_off_is_caught(
    prepared: Prepared, tmp_path: Path, fault: Any, figure: float | None
) -> None:
    gates = judged(prepared, tmp_path, trainer=FaultyConverter(fault))
    assert "parity" in failed(gates)
    assert figure is None or gates["parity"]["figure"] == pytest.approx(figure, abs=1e-5)


def test_a_converter_that_is_off_only_where_no_row_has_been_is_caught_by_the_probes(
    prepared: Prepared, tmp_path: Path
) -> None:
    most: list[float] = []

    def look(table: pa.Table) -> pa.Table:
        names = table.column_names
        features = names[names.index("as_of") + 1 : names.index("label")]
        most.extend(np.nanmax(table[name].to_numpy()) for name in features)
        return table

    world, plan = prepared
    change_rows(world.copy(tmp_path / "look"), plan, look)
    gates = judged(prepared, tmp_path / "faulty", trainer=FaultyConverter(cut_at(np.array(most, np.float32))))
    assert failed(gates) == {"parity_probes"}
    assert "far above its most" in gates["parity_probes"]["said"]


def test_a_constant_model_is_caught(prepared: Prepared, tmp_path: Path) -> None:
    gates = judged(prepared, tmp_path, trainer=ConstantTrainer())
    assert "constant_scores" in failed(gates)
    assert gates["constant_scores"]["figure"] == 1


def test_three_positives_are_too_few(prepared: Prepared, tmp_path: Path) -> None:
    def forget(table: pa.Table) -> pa.Table:
        days, label = table["as_of"].to_numpy(), table["label"].to_numpy()
        kept = np.zeros(len(table), np.int8)
        for day in np.unique(days)[[0, 1, -1]]:
            kept[np.flatnonzero((days == day) & (label == 1))[0]] = 1
        return with_column(table, "label", kept)

    gates = judged(prepared, tmp_path, forget)
    assert {"min_positives", "min_fold_positives"} <= failed(gates)
    assert (gates["min_positives"]["figure"], gates["min_fold_positives"]["figure"]) == (3, 1)
