"""The demo's figures of each tenant are its own code: here they are held against the product's."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from propensity.stats import within_tenant
from tests.stack.tenants import auc_within, between_and_within, tenant_figures

Row = tuple[str, float, bool, str | None, str | None]


def worlds(seed: int) -> list[Row]:
    """Four tenants of other rates, with equal scores in plenty, and a fifth in whom nobody converts."""
    random = Random(seed)  # noqa: S311 - test data
    rows: list[Row] = []
    for number, rate in enumerate((0.05, 0.2, 0.3, 0.6, 0.0)):
        for _ in range(60 + 40 * number):
            score = round(min(0.95, max(0.01, random.gauss(rate + 0.02, 0.1))), 2)
            rows.append((f"t{number}", score, random.random() < score * (rate > 0), None, "global"))
    return rows


def product(rows: list[Row]) -> dict[str, within_tenant.Tenant]:
    return within_tenant.by_tenant((tenant, score, 1, int(converted)) for tenant, score, converted, *_ in rows)


@pytest.mark.parametrize("seed", range(5))
def test_each_tenant_s_figures_are_those_of_the_product(seed: int) -> None:
    rows = worlds(seed)
    for one in tenant_figures(rows):
        tenant = product(rows)[one["tenant_id"]]
        assert (one["n"], one["positives"]) == (tenant.rows, tenant.positives)
        level = within_tenant.observed_over_expected([tenant])
        told = [one[f"observed_over_expected{bound}"] for bound in ("", "_low", "_high")]
        assert told == pytest.approx([level.value, level.low, level.high], rel=1e-6)
        if not tenant.positives:
            assert (one["auc"], one["lift_of_list"]) == (None, None)
            continue
        area = within_tenant.auc_within({one["tenant_id"]: tenant})
        assert [one["auc"], one["auc_low"], one["auc_high"]] == pytest.approx([area.value, area.low, area.high])
        assert one["lift_of_list"] == pytest.approx(within_tenant.lift_of_lists({"t": tenant}).value)


def test_the_auc_over_all_tenants_is_the_product_s_and_the_mean_of_its_two_parts() -> None:
    rows = worlds(7)
    known = product(rows)
    within = auc_within((tenant, score, converted) for tenant, score, converted, *_ in rows)
    assert within == pytest.approx(within_tenant.auc_within(known).value)
    pooled = auc_within(("all", score, converted) for _, score, converted, *_ in rows)
    tenants = tenant_figures(rows)
    model: dict[str, Any] = {
        "tenants": tenants,
        "population": sum(one["n"] for one in tenants),
        "positives": sum(one["positives"] for one in tenants),
        "auc": pooled,
        "auc_within": within,
    }
    parts = between_and_within(model)
    assert parts["pairs_within"] is not None
    assert 0 < parts["pairs_within"] < 0.5
    # between the tenants: every pair of a converter of one and another customer of another
    right = pairs = 0.0
    for tenant, score, converted, *_ in rows:
        for other, lower, bought, *_ in rows:
            if converted and not bought and tenant != other:
                pairs += 1
                right += 1.0 if score > lower else 0.5 if score == lower else 0.0
    assert parts["auc_between"] == pytest.approx(right / pairs)


def test_a_tenant_without_places_says_why() -> None:
    rows: list[Row] = [
        ("small", 0.1, False, "few_customers", "global"),
        ("small", 0.3, True, "few_customers", "global"),
    ]
    [one] = tenant_figures(rows)
    assert (one["unranked"], one["rung"], one["auc"]) == ("few_customers", "global", 1.0)
    assert one["auc_low"] < 0.5
