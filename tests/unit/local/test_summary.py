"""The demo's tables, also for a pack of real customers, who have no true probabilities."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from tests.stack.summary import table

TENANT = {
    "tenant_id": "dealer_01",
    "n": 3_990,
    "positives": 299,
    "auc": 0.71,
    "auc_low": 0.65,
    "auc_high": 0.76,
    "observed_over_expected": 1.02,
    "observed_over_expected_low": 0.91,
    "observed_over_expected_high": 1.14,
    "lift_of_list": 2.4,
    "unranked": None,
    "rung": "intercept",
}
SMALL = {
    **dict.fromkeys(TENANT),
    "tenant_id": "dealer_02",
    "n": 10,
    "positives": 1,
    "observed_over_expected": 1.5,
    "observed_over_expected_low": 0.04,
    "observed_over_expected_high": 8.4,
    "unranked": "few_customers",
    "rung": "global",
}
MODEL = {
    "version": 1,
    "family": "random_forest",
    "as_of": "2025-07-01",
    "population": 4_000,
    "positives": 300,
    "auc_within": 0.71,
    "auc_within_low": 0.66,
    "auc_within_high": 0.75,
    "best_possible_auc_within": None,
    "lift_of_lists": 2.4,
    "observed_over_expected": 1.03,
    "observed_over_expected_low": 0.92,
    "observed_over_expected_high": 1.15,
    "unranked": 10,
    "auc": 0.7,
    "auc_low": 0.6,
    "auc_high": 0.8,
    "pairs_within": 0.99,
    "auc_between": 0.5,
    "lift_top_decile": 2.5,
    "brier_skill": 0.05,
    "calibration_slope": 1.0,
    "ece": 0.01,
    "filter_size": 900,
    "lift_filter": 1.2,
    "lift_at_filter_size": 1.9,
    "tenants": [TENANT, SMALL],
}
GAP = {"population": 10, "had": 8, "new": 2, "failed": 0, "coverage": 1.0}


def printed(model: dict[str, Any], **more: Any) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        table({"datasets": {}, "models": {"m": model}, "gap_fill": GAP, **more}, console)
    return captured.get()


@pytest.mark.parametrize(("best", "said"), [(0.75, "0.700 (0.600–0.800) of 0.750"), (None, "0.700 (0.600–0.800) ")])
def test_the_best_possible_auc_is_told_where_it_is_known(best: float | None, said: str) -> None:
    assert said in printed({**MODEL, "best_possible_auc": best})


def test_each_tenant_stands_first_then_what_is_within_tenants_then_the_pooled_figures() -> None:
    told = printed({**MODEL, "best_possible_auc": None})
    places = [
        told.index(said)
        for said in ("0.710 (0.650–0.760)", "few_customers", "0.710 (0.660–0.750)", "0.700 (0.600–0.800)")
    ]
    assert places == sorted(places)
    assert "between + within" in told
    assert "0.710 × 99% + 0.500 × 1%" in told
    [small] = [line for line in told.splitlines() if "dealer_02" in line]
    assert "1.50 (0.04–8.40)" in small


IDENTITY = {
    "customers": 100,
    "persons": 97,
    "households": 90,
    "person": {"planted": 4, "found": 3, "joined": 4, "wrong": 1},
    "household": {"planted": 10, "found": 9, "joined": 9, "wrong": 0},
    "kinds": {"email_plus": {"planted": 4, "one_person": 3, "one_household": 3}},
}
LATE = {"tenant_id": "dealer_02", "feature": "visits_6m", "n": 100, "differing": 20}
SERVED = {
    "limit": 0.05,
    "all": {"feature": "visits_6m", "n": 1_000, "differing": 20},
    "named": [LATE],
    "late": [{**LATE, "days": 20, "rows": 31}],
    "changed": [{"tenant_id": "dealer_03", "feature": "visits_6m", "n": 200, "differing": 0, "changed": 40}],
}


def test_what_was_planted_is_told_with_what_was_found_of_it() -> None:
    told = printed({**MODEL, "best_possible_auc": None}, identity=IDENTITY, as_served={"m": SERVED})
    for said in (
        "identity, persons: 3 of 4 planted pairs found (75.0%); 1 of 4 joined pairs are wrong (25.0%)",
        "email_plus 3 of 4",
        "20 of 1,000 customers were scored on another visits_6m than a training reads now (2.0%, limit 5%)",
        "above the limit: dealer_02 (20.0%)",
        "31 visits came 20 days late; 20 of 100 customers had another visits_6m",
        "40 vehicles were exported again with other values under the old days; 0 of 200",
    ):
        assert said in told, said
