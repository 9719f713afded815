"""Planted faults: the gate that is meant for a fault catches it, and the champion stays champion."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propensity.erasure.erase_customer import erase_customer
from propensity.evaluation.golden_set import golden_rows
from propensity.kernel.errors import PackError, RetryableError
from propensity.lake.definition_files import read_definition
from propensity.ports import ObjectInfo
from propensity.registry.versions import champion_number
from tests.kit.people import TICKET
from tests.kit.planted import (
    MODEL,
    Change,
    ConstantTrainer,
    FaultyConverter,
    MixedUpTrainer,
    change_rows,
    cut_at,
    features_of,
    finish,
    shifted_by,
    simple,
    swapped,
    with_column,
)
from tests.kit.world import World
from tests.stack.automotive import AS_OF

DAY = "2025-03-26"  # one date before the champion's, so that both trainings have six dates in common
FEATURE = "days_from_yearly_service"


type Prepared = tuple[World, dict[str, Any]]


@pytest.fixture(scope="module")
def prepared(history: World, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A lake with a champion, and a training run up to its features; both on the pack's seven dates."""
    world = history.copy(tmp_path_factory.mktemp("prepared"))
    with world.edited(f"models/{MODEL}.yaml") as model:
        # the levels of two dealers are two values: their distribution says nothing of a change
        model["features"].remove("dealer")
    world.train(MODEL, AS_OF.isoformat())
    return world, simple(world).prepare(MODEL, DAY)


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
    assert {"min_positives", "auc_floor", "lift_floor", "level", "leak_model", "known_features", "as_served"} <= set(
        gates
    )
    assert all(len(gate["said"]) > 20 for gate in gates.values())
    assert {name for name, gate in gates.items() if gate["figure"] is None} == {
        "as_served",  # no batch was audited
        "fairness",  # no slice is protected
    }
    assert all("over all validation folds is" in gates[name]["said"] for name in ("auc_floor", "lift_floor"))
    assert gates["changed_features"]["figure"] == 0
    assert gates["changed_features"]["n"] > 5_000
    assert "it was fitted on outcomes of their days" in gates["champion_auc"]["said"]
    assert gates["golden_log_loss"]["n"] > 1_000
    assert gates["parity"]["n"] == gates["leak_auc"]["n"] > 5_000
    assert gates["parity_probes"]["n"] > 500


def leak(table: pa.Table) -> pa.Table:
    noise = np.random.default_rng(1).normal(0, 0.4, len(table))
    return with_column(table, FEATURE, table["label"].to_numpy() + noise)


def test_a_leaking_column_is_caught(prepared: Prepared, tmp_path: Path) -> None:
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
        most.extend(np.nanmax(table[name].to_numpy()) for name in features_of(table))
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


def test_a_slice_that_collapses_is_caught_and_slices_too_small_to_judge_are_named(
    prepared: Prepared, tmp_path: Path
) -> None:
    """In the west, each row has the features of another customer, as after a join on the wrong key."""

    def shuffle(table: pa.Table) -> pa.Table:
        chance = np.random.default_rng(1)
        table = with_column(table, FEATURE, table["label"].to_numpy() + chance.normal(0, 0.6, len(table)))
        region = chance.choice(["east", "west", "isle"], len(table), p=[0.69, 0.3, 0.01])
        west = np.flatnonzero(region == "west")
        mixed = chance.permutation(west)
        for name in features_of(table):
            values = table[name].to_numpy().copy()
            values[west] = values[mixed]
            table = with_column(table, name, values)
        return with_column(table, "_slice_region", region)

    gates = judged(prepared, tmp_path, shuffle)
    assert "slices_auc" in failed(gates), gates["slices_auc"]["said"]
    proven, small = gates["slices_auc"]["said"].split("proven to be")[1].split("not enough evidence")
    assert "region west" in proven
    assert "region east" not in proven
    assert "region isle" in small


def test_every_slice_stands_in_the_version_folder_with_its_n(prepared: Prepared, tmp_path: Path) -> None:
    world, plan = prepared
    other = world.copy(tmp_path)
    finish(other, plan)
    found = json.loads(other.lake.get(f"registry/{MODEL}/versions/000002/slices.json"))
    by_slice: dict[str, int] = {}
    for one in found:
        by_slice[one["slice"]] = by_slice.get(one["slice"], 0) + one["n"]
    assert set(by_slice) == {"everyone", "tenant size", "missing features", "tenure", "region"}
    assert set(by_slice.values()) == {found[0]["n"]}
    assert {one["evidence"] for one in found} == {"enough", "not enough evidence"}


def in_other_units(table: pa.Table) -> pa.Table:
    return with_column(table, "tenure_years", table["tenure_years"].to_numpy() * 12)


def test_a_feature_whose_meaning_changed_is_caught_row_by_row(prepared: Prepared, tmp_path: Path) -> None:
    gates = judged(prepared, tmp_path, in_other_units)
    assert "changed_features" in failed(gates)
    assert "proven to be more than 0.01: tenure_years;" in gates["changed_features"]["said"]


def test_a_feature_whose_meaning_changed_is_caught_by_its_distribution_where_no_rows_are_left_to_compare(
    prepared: Prepared, tmp_path: Path
) -> None:
    world, plan = prepared
    cleared = world.copy(tmp_path / "cleared")
    shutil.rmtree(cleared.folder / "runs/train" / MODEL / AS_OF.isoformat() / "features")
    sound = judged((cleared, plan), tmp_path / "sound")
    assert failed(sound) == set()
    assert "no date in common" in sound["changed_features"]["said"]
    gates = judged((cleared, plan), tmp_path / "faulty", in_other_units)
    assert "changed_features" in failed(gates)
    assert gates["changed_features"]["said"].endswith("over 1: tenure_years")


def test_a_challenger_that_is_worse_than_the_champion_is_caught_on_both_sets(
    prepared: Prepared, tmp_path: Path
) -> None:
    world, plan = prepared
    gates = judged(prepared, tmp_path / "seen", trainer=MixedUpTrainer())
    # the champion knows these rows, so its scores of them prove nothing
    assert not gates["champion_auc"]["passed"]
    assert (
        "(it was fitted on outcomes of their days), so each is held by its own newest fold"
        in gates["champion_auc"]["said"]
    )
    assert "which is not judged: only 0 of" in gates["golden_log_loss"]["said"]
    unseen = world.copy(tmp_path / "unseen")
    path = unseen.folder / f"registry/{MODEL}/versions/000001/lineage.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dates": ["2020-01-01"]}))
    gates = judged((unseen, plan), tmp_path / "judged", trainer=MixedUpTrainer())
    assert {"champion_log_loss", "champion_auc", "golden_log_loss", "golden_auc"} <= failed(gates)
    assert "on the golden set (1,109 of 1,109 rows, of days whose outcomes neither was" in gates["golden_auc"]["said"]


def test_a_champion_with_other_features_is_compared_by_what_each_has_shown(prepared: Prepared, tmp_path: Path) -> None:
    world, _ = prepared
    other = world.copy(tmp_path)
    files = dict(world.pack_files)
    for path, before in (("features/relation.yaml", "name: "), ("features/relation.sql", "as ")):
        files[path] = files[path].replace(f"{before}months_since_purchase", f"{before}months_since_bought")
    other.pack_files = files
    gates = finish(other, other.prepare(MODEL, "2025-04-03"))
    assert "champion_log_loss" not in gates
    assert gates["champion_auc"]["passed"]
    assert "each is held by its own newest fold" in gates["champion_auc"]["said"]
    assert "months_since_bought of today's meaning" in gates["golden_auc"]["said"]


def test_a_golden_set_is_not_used_where_a_feature_means_something_else_by_now(
    prepared: Prepared, tmp_path: Path
) -> None:
    world, _ = prepared
    other = world.copy(tmp_path)
    sql = other.pack_files["features/relation.sql"]
    other.pack_files = other.pack_files | {"features/relation.sql": f"select * from ({sql}) where true"}
    gates = finish(other, other.prepare(MODEL, "2025-04-03"))
    assert "of today's meaning: freeze it anew" in gates["golden_auc"]["said"]
    assert "months_since_purchase" in gates["golden_auc"]["said"]


def test_a_training_that_fails_a_gate_freezes_no_golden_set(prepared: Prepared, tmp_path: Path) -> None:
    world, plan = prepared
    bare, root = world.copy(tmp_path / "bare"), f"registry/{MODEL}/golden"
    bare.lake.remove(f"{root}/base.parquet")
    [features, *_] = bare.feature_keys(plan)
    row = pq.read_table(bare.folder / features).slice(7, 1)
    [who] = row.select(["tenant_id", "customer_id", "as_of"]).to_pylist()
    bare.lake.put(f"{root}/cases.json", json.dumps([who | {"as_of": who["as_of"].isoformat(), "why": "w"}]).encode())
    for name, change in (("faulty", leak), ("sound", None)):
        other = bare.copy(tmp_path / name)
        if change:
            change_rows(other, plan, change)
        gates = finish(other, plan)
        assert gates["golden_auc"]["said"].startswith("there is no golden set yet")
        frozen = [key for key in other.lake.keys(f"{root}/") if key.endswith(".parquet")]
        assert bool(failed(gates)) == bool(change)
        assert len(frozen) == (0 if change else 2)


def test_a_golden_file_from_before_meanings_were_written_is_not_used(prepared: Prepared, tmp_path: Path) -> None:
    world, plan = prepared
    other = world.copy(tmp_path)
    path = other.folder / f"registry/{MODEL}/golden/base.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["_meanings"]), path)
    assert "of today's meaning: freeze it anew" in finish(other, plan)["golden_auc"]["said"]


def test_a_champion_without_a_feature_of_the_same_name_is_no_reason_to_stop(prepared: Prepared, tmp_path: Path) -> None:
    world, plan = prepared
    other = world.copy(tmp_path)
    for path in (other.folder / f"registry/{MODEL}/versions/000001/definition/features").glob("*.yaml"):
        path.write_text(path.read_text().replace("name: ", "name: former_"))
    gates = finish(other, plan)
    assert gates["changed_features"]["said"] == "champion version 1 has no feature of the same name"


def test_an_edge_case_that_the_business_names_is_frozen_until_its_customer_is_erased(
    prepared: Prepared, tmp_path: Path
) -> None:
    world, plan = prepared
    other = world.copy(tmp_path / "other")
    row = pq.read_table(other.folder / other.feature_keys(plan)[0]).slice(7, 1).to_pylist()[0]
    case = {"tenant_id": row["tenant_id"], "customer_id": row["customer_id"], "why": "a fleet, not a person"}
    unknown = case | {"customer_id": "NOBODY", "as_of": "2025-01-01"}
    root = f"registry/{MODEL}/golden"
    other.lake.put(f"{root}/cases.json", json.dumps([case | {"as_of": row["as_of"].isoformat()}, unknown]).encode())
    before = finish(other, plan)["golden_log_loss"]["n"]
    after = world.copy(tmp_path / "after")  # the same training once more, with what the first one froze
    for key in other.lake.keys(f"{root}/"):
        after.lake.put(key, other.lake.get(key))
    assert finish(after, plan)["golden_log_loss"]["n"] == before + 1
    [key] = other.lake.keys(f"{root}/cases/")
    [frozen] = pq.read_table(other.folder / key).to_pylist()
    assert frozen["_why"] == case["why"]
    assert frozen["_label"] == row["label"]
    person = {"tenant_id": row["tenant_id"], "customer_id": row["customer_id"]}
    in_base = pq.read_table(other.folder / f"{root}/base.parquet")["customer_id"].to_pylist()
    record = erase_customer(other, **person, **TICKET)
    assert record["zones"]["golden"] == {"objects": 1, "rows": 1, "whole": 0}
    assert pq.read_table(other.folder / key).num_rows == 0
    assert [one["customer_id"] for one in json.loads(other.lake.get(f"{root}/cases.json"))] == ["NOBODY"]
    found = golden_rows(other, read_definition(other.lake, f"{plan['run']}/definition", MODEL))
    assert found is not None
    assert len(found.labels) == before - in_base.count(person["customer_id"])


def test_an_edge_case_written_while_an_erasure_takes_another_off_the_list_stays(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = prepared[0].copy(tmp_path)
    key = f"registry/{MODEL}/golden/cases.json"
    person = {"tenant_id": "dealer_01", "customer_id": "C-17"}
    cases = [person | {"customer_id": one, "as_of": "2025-01-01", "why": "a fleet"} for one in ("C-17", "C-18", "C-19")]
    other.lake.put(key, json.dumps(cases[:2]).encode())
    read = other.lake.download

    def with_a_hand_at_it(one: str, path: Path, version_id: str | None = None) -> ObjectInfo:
        info = read(one, path, version_id)
        if one == key:
            other.lake.put(key, json.dumps(cases).encode())
        return info

    with monkeypatch.context() as racing:
        racing.setattr(other.lake, "download", with_a_hand_at_it)
        with pytest.raises(RetryableError, match=r"cases\.json"):
            erase_customer(other, **person, **TICKET)
    assert json.loads(other.lake.get(key)) == cases
    erase_customer(other, **person, **TICKET)
    assert [one["customer_id"] for one in json.loads(other.lake.get(key))] == ["C-18", "C-19"]


def test_cases_that_cannot_be_read_are_refused_without_naming_anyone(prepared: Prepared, tmp_path: Path) -> None:
    world, plan = prepared
    other = world.copy(tmp_path)
    other.lake.put(f"registry/{MODEL}/golden/cases.json", b'[{"tenant_id": "t", "customer_id": "C-17"}]')
    with pytest.raises(PackError, match="expected a list of") as told:
        finish(other, plan)
    assert "C-17" not in str(told.value)
