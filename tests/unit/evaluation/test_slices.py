"""Slices: a gate fails only on proven harm, and names the slices that cannot be judged."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.evaluation.calibrate import NewestFold
from propensity.evaluation.domain.slices import SlicePart as Part
from propensity.evaluation.domain.slices import slice_gates as judge
from propensity.evaluation.slicing import parts_of
from propensity.kernel.errors import ContractError, PackError
from propensity.kernel.tenant import TENANT
from propensity.pack.domain.contract_parser import parse_contract
from propensity.pack.domain.model_spec import Gates
from propensity.pack.domain.protected import protected_slices
from propensity.stats.figures import Estimate

LIMITS = Gates()
AREA = Estimate(0.80, 0.78, 0.82, 4_000)
WHOLE = Part("everyone", "", False, 4_000, 800, 800.0, 400, 200, AREA, None)
GOOD = Part("region", "north", False, 2_000, 400, 400.0, 200, 100, Estimate(0.79, 0.76, 0.82, 2_000), AREA)


def passed(*parts: Part, whole: Part = WHOLE) -> dict[str, bool]:
    return {gate.name: gate.passed for gate in judge(parts, whole, LIMITS)}


def test_a_slice_fails_by_its_bound_not_by_its_figure() -> None:
    doubtful = replace(GOOD, auc=Estimate(0.60, 0.50, 0.70, 150))
    assert passed(GOOD, doubtful)["slices_auc"]
    assert not passed(GOOD, replace(GOOD, auc=Estimate(0.56, 0.55, 0.57, 9_000)))["slices_auc"]
    # below the floor for all slices, though the others are only a little better
    weak = Estimate(0.60, 0.59, 0.61, 9_000)
    assert not passed(GOOD, replace(GOOD, auc=Estimate(0.51, 0.50, 0.52, 9_000), others_auc=weak))["slices_auc"]


def test_a_slice_is_not_held_against_a_handful_of_others() -> None:
    most = replace(GOOD, rows=3_900, positives=785, auc=Estimate(0.56, 0.55, 0.57, 3_900))
    [gate, *_] = judge([most], WHOLE, LIMITS)
    assert (gate.passed, gate.figure) == (True, None)


@given(st.integers(30, 1_500))
def test_a_slice_that_gets_the_scores_it_earns_passes(positives: int) -> None:
    assert all(passed(replace(GOOD, positives=positives, expected=float(positives), hits=positives // 4)).values())


def test_scores_half_of_what_is_seen_fail_calibration() -> None:
    [_, gate, _] = judge([GOOD, replace(GOOD, value="south", expected=200.0)], WHOLE, LIMITS)
    assert (gate.passed, gate.figure) == (False, 2.0)
    assert "region south is furthest off" in gate.said


def test_a_season_that_lifts_all_alike_is_no_slices_fault() -> None:
    whole = replace(WHOLE, expected=400.0)  # half of what is seen, in the slice as in all rows
    [_, gate, _] = judge([replace(GOOD, expected=200.0)], whole, LIMITS)
    assert (gate.passed, gate.figure) == (True, 1.0)
    assert not passed(replace(GOOD, expected=400.0), whole=whole)["slices_calibration"]


def test_a_small_slice_is_named_and_not_judged() -> None:
    small = replace(GOOD, value="isle", rows=40, positives=3, expected=90.0, auc=Estimate(0.1, 0, 0.2, 40))
    gates = judge([GOOD, small], WHOLE, LIMITS)
    assert all(gate.passed for gate in gates)
    assert "not enough evidence: region isle (n 40, 3 positive)" in gates[0].said
    assert small.to_json(30)["evidence"] == "not enough evidence"
    [gate, *_] = judge([GOOD] + [replace(small, value=f"isle {one}") for one in range(8)], WHOLE, LIMITS)
    assert gate.said.endswith("region isle 4 (n 40, 3 positive) and 3 smaller ones (slices.json)")


@pytest.mark.parametrize("protected", [True, False])
def test_error_rates_are_held_to_each_other_where_a_slice_is_protected(protected: bool) -> None:
    # of 400 positives of the slice 20 are listed, of the other 400 there are 180
    part = replace(GOOD, protected=protected, listed=60, hits=20)
    gate = judge([part], WHOLE, LIMITS)[2]
    assert gate.passed != protected
    assert gate.figure == (pytest.approx(0.4) if protected else None)


@pytest.mark.parametrize("scores", [[0.5] * 100, [0.9] * 4 + [0.5] * 36 + [0.1] * 60, list(np.linspace(0, 1, 100))])
def test_a_tenth_of_each_tenant_is_listed_whatever_the_ties(scores: list[float]) -> None:
    fold = NewestFold(np.arange(200) % 4 == 0, np.r_[scores, np.array(scores) / 10])
    tenants, size = np.repeat(["a", "b"], 100), np.arange(200) % 2 == 0
    data = SimpleNamespace(columns={TENANT: tenants}, matrix=np.where(size, np.nan, 1.0)[:, None])
    definition = SimpleNamespace(model=SimpleNamespace(slices=()))
    parts, whole = parts_of(fold, np.arange(200), data, definition)  # type: ignore[arg-type]
    assert whole.listed == pytest.approx(20)
    # tenant b has the lower scores and a list of its own
    assert [part.listed for part in parts if part.slice == "tenant size"] == pytest.approx([10, 10])
    assert sum(part.listed for part in parts if part.slice == "missing features") == pytest.approx(20)
    if len(set(scores)) == 1:
        assert whole.hits == pytest.approx(5)


def test_a_slices_auc_is_within_tenants() -> None:
    """The scores know which tenant converts more, and nothing of its customers."""
    chance = np.random.default_rng(2)
    tenants = np.repeat(["a", "b"], 500)
    labels = chance.random(1_000) < np.where(tenants == "b", 0.5, 0.05)
    fold = NewestFold(labels, np.where(tenants == "b", 0.5, 0.05) + chance.random(1_000) / 1_000)
    data = SimpleNamespace(columns={TENANT: tenants}, matrix=(np.arange(1_000) % 2)[:, None] / 1.0)
    definition = SimpleNamespace(model=SimpleNamespace(slices=()))
    parts, whole = parts_of(fold, np.arange(1_000), data, definition)  # type: ignore[arg-type]
    missing = next(part for part in parts if part.slice == "missing features")
    for part in (whole, missing):
        assert part.auc is not None
        assert part.auc.low < 0.5 < part.auc.high < 0.6


CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: people
version: 1.0.0
schema:
  - name: people
    customProperties: [{property: kind, value: state}, {property: validFrom, value: since}]
    properties:
      - {name: person_id, logicalType: string, primaryKey: true}
      - {name: since, logicalType: date, required: true}
      - name: sex
        logicalType: TYPE
        customProperties: [{property: protected, value: true}]
"""


def test_a_protected_column_makes_a_slice() -> None:
    contract = parse_contract(CONTRACT.replace("TYPE", "string"), where="people")
    [one] = protected_slices(contract, "person_id")
    assert (one.name, one.protected, one.column) == ("people_sex", True, "_slice_people_sex")
    assert 'arg_max("sex"::varchar, "since")' in one.sql
    with pytest.raises(PackError, match="give the model a slice people_sex whose SQL joins them"):
        list(protected_slices(contract, "customer_id"))
    assert list(protected_slices(contract, "customer_id", {"people_sex"})) == []
    with pytest.raises(ContractError, match="for bands of numbers or dates give the model a slice"):
        parse_contract(CONTRACT.replace("TYPE", "number"), where="people")
