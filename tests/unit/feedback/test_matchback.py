"""The figures of a matchback: each row says of which customers it is, and how many of these converted."""

from __future__ import annotations

import numpy as np
import pytest

from propensity.feedback.domain.matchback import DecileCount, Measure, all_figures
from propensity.stats.figures import lift, lift_of, scored
from propensity.stats.within_tenant import Tenant, by_tenant


def world(seed: int = 1) -> tuple[dict[str, Tenant], list[tuple[str, float, int, int]]]:
    """Four tenants of 300 customers; two of them convert four times as often."""
    chance, rows = np.random.default_rng(seed), []
    for number in range(4):
        level = -3.0 + 1.5 * (number % 2)
        for seen in chance.normal(0, 1, 300):
            score = float(1 / (1 + np.exp(-level - seen)))
            rows.append((f"t{number}", score, 1, int(chance.random() < score)))
    return by_tenant(rows), rows


def measured(deciles: list[DecileCount], chosen: tuple[int, int] | None = None) -> dict[tuple[str, str], Measure]:
    found = all_figures(world()[0], deciles, chosen)
    return {(line.segment, line.measure): line for line in found.measures}


def test_a_lift_states_the_conversions_of_its_own_rows() -> None:
    tenants, rows = world()
    data = scored(row[1:] for row in rows)
    lines = measured([DecileCount(10, 120, 48), DecileCount(1, 120, 3), DecileCount(None, 20, 2)], (100, 30))
    best = sorted(rows, key=lambda row: -row[1])
    assert lines["top_decile", "lift"].positives == sum(row[3] for row in best[:120])
    assert lines["model_at_filter_size", "lift"].positives == sum(row[3] for row in best[:100])
    tops = [row for name in tenants for row in [row for row in best if row[0] == name][:30]]
    assert lines["all", "lift_of_lists"].positives == sum(row[3] for row in tops)
    assert (lines["decile_10", "lift"].positives, lines["filter", "lift"].positives) == (48, 30)
    # the rate of all has an interval of its own, and a lift can be no higher than all conversions in these rows
    assert lines["decile_10", "lift"].estimate == lift_of(48, 120, data)
    assert lines["top_decile", "lift"].estimate == lift(data, 120)
    for (_, measure), line in lines.items():
        if measure == "lift":
            assert line.estimate.value == pytest.approx(line.positives / line.estimate.n / data.base_rate)


def test_a_tenant_whose_own_level_is_wrong_is_named_though_the_whole_is_right() -> None:
    tenants, rows = world()
    assert all_figures(tenants, [], None).findings == ()
    # t1's scores say half of what comes, and t3's twice as much
    factor = {"t1": 0.5, "t3": 2.0}
    wrong = by_tenant((name, score * factor.get(name, 1.0), count, label) for name, score, count, label in rows)
    [said] = all_figures(wrong, [], None).findings
    assert said.startswith("of 4 tenants, proven to convert otherwise than their scores say (O/E, 1 is right): t")
    assert {part.split()[0] for part in said.partition("right): ")[2].split("), ")} == {"t1", "t3"}


def test_customers_without_a_place_are_in_neither_end_of_the_list() -> None:
    few = [DecileCount(10, 50, 20), DecileCount(1, 50, 2)]
    with_unranked = measured([*few, DecileCount(None, 400, 100)])
    for segment in ("high", "low", "high_against_low"):
        measure = "rate_difference" if segment == "high_against_low" else "rate"
        assert with_unranked[segment, measure] == measured(few)[segment, measure]
    assert with_unranked["unranked", "rate"].estimate.n == 400
