"""Whether a batch may be made visible: judged tenant by tenant, so that one tenant stops nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.kernel.errors import BadInputError
from propensity.lake.domain.run_records import EarlierBatch, TenantTally
from propensity.pack.domain.model_spec import Sanity
from propensity.scoring.domain.sanity import SMALLER, Forced, SanityFigure, SanityReport, added, judge, refused

RUN, BEFORE = "runs/score/buy/2025-07-01-v000002-batch", "runs/score/buy/2025-06-01-v000001-batch"
EARLIER = EarlierBatch(run=BEFORE, as_of="2025-06-01", version=1, calibration=0, bucket_count=8, kept=[1])
FEATURES = 10


def tally(n: int = 400, **changed: Any) -> TenantTally:
    """A healthy tenant of n customers: its order moved by one decile on average, and its mean score stands still."""
    healthy = {
        "rows": n,
        "unset": 3 * n,
        "ranked": n,
        "tied": 5,
        "both": n,
        "score_now": 0.05 * n,
        "score_then": 0.05 * n,
        "kept": n,
        "unset_now": 3 * n,
        "unset_then": 3 * n,
        "placed": n,
        "steps": n,
    }
    return TenantTally.model_validate({**healthy, **changed})


def report(tallies: dict[str, TenantTally], **limits: float) -> SanityReport:
    return judge(
        tallies,
        Sanity.model_validate(limits),
        run=RUN,
        model="buy",
        version=2,
        features=FEATURES,
        earlier=EARLIER,
    )


def check(tallies: dict[str, TenantTally], name: str, **limits: float) -> SanityFigure:
    [found] = [one for one in report(tallies, **limits).checks if one.name == name]
    return found


FAULTS: dict[str, dict[str, Any]] = {
    "constant_share": {"tied": 390},
    "unset_share": {"unset": 3_900},
    "unset_rise": {"unset_now": 2_400, "unset_then": 1_200},
    "decile_churn": {"steps": 1_320},
    "mean_shift": {"score_now": 60.0},
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_most_tenants_stops_a_batch_and_the_error_has_the_figures_and_their_n(name: str) -> None:
    found = report({"a": tally(**FAULTS[name]), "b": tally(**FAULTS[name]), "c": tally()})
    assert len(found.stopped) == 1
    said = str(refused(found))
    for part in (name, "2 of 3 tenants", "a ", "(n 400)", "(n 1200)", RUN, BEFORE, "version 1", '"force"'):
        assert part in said, part


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_one_tenant_stops_nobody_and_names_the_tenant(name: str) -> None:
    found = check({"a": tally(**FAULTS[name]), "b": tally(), "c": tally()}, name)
    assert not found.stops
    assert [(one.tenant, one.n) for one in found.named] == [("a", 400)]
    assert report({"a": tally(**FAULTS[name]), "b": tally()}).stopped == ()


def test_a_healthy_batch_passes_every_check() -> None:
    found = report({"a": tally(), "b": tally(1_000)})
    assert found.stopped == ()
    assert [one.beyond for one in found.checks] == [0] * len(FAULTS)
    assert {one.name for one in found.checks} == set(FAULTS)


def test_a_large_tenant_weighs_as_much_as_another() -> None:
    # pooled, the large tenant's mean would stop everybody
    found = check({"large": tally(100_000, score_now=60_000.0), "b": tally(), "c": tally()}, "mean_shift")
    assert found.pooled is not None
    assert found.pooled > found.limit
    assert not found.stops


def test_fourteen_customers_are_not_judged_by_themselves_and_small_tenants_are_judged_together() -> None:
    tiny = {f"t{n}": tally(14, steps=60) for n in range(3)}
    found = check({"a": tally(), **tiny}, "decile_churn")
    assert (found.judged, found.beyond, found.named) == (1, 0, ())
    assert found.n == 442
    many = {f"t{n:02d}": tally(14, steps=60) for n in range(20)}
    together = check(many, "decile_churn")
    assert (together.judged, [one.tenant for one in together.named]) == (1, [SMALLER])
    assert together.stops


def test_without_an_earlier_batch_only_what_needs_none_is_judged() -> None:
    first = TenantTally(rows=400, unset=1_200, ranked=400, tied=3)
    found = {one.name: one for one in report({"a": first}).checks}
    for name in ("unset_rise", "decile_churn", "mean_shift"):
        assert (found[name].pooled, found[name].median, found[name].n, found[name].judged) == (None, None, 0, 0)
        assert not found[name].stops
    assert found["constant_share"].judged == found["unset_share"].judged == 1


def test_the_figures_are_what_they_say() -> None:
    found = {one.name: one.pooled for one in report({"a": tally(score_now=40.0, score_then=20.0, steps=660)}).checks}
    # log odds of 0.1 less those of 0.05
    assert found["mean_shift"] == pytest.approx(0.7472144, abs=1e-6)
    # 1.65 deciles, where an order drawn anew moves each customer by 3.3 on average
    assert found["decile_churn"] == pytest.approx(0.5)
    assert found["unset_share"] == pytest.approx(0.3)
    assert found["constant_share"] == pytest.approx(5 / 400)


def test_an_order_drawn_anew_has_a_churn_of_one() -> None:
    steps = sum(abs(one - other) for one in range(10) for other in range(10))
    assert check({"a": tally(100, placed=100, steps=steps)}, "decile_churn", min_customers=20).pooled == pytest.approx(
        1
    )


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 500)), min_size=1, max_size=12))
def test_how_a_tenants_customers_are_spread_over_work_items_changes_nothing(parts: list[tuple[str, int]]) -> None:
    items: dict[str, list[TenantTally]] = {}
    for tenant, n in parts:
        items.setdefault(tenant, []).append(tally(n))
    whole = {tenant: tally(sum(one.rows for one in found)) for tenant, found in items.items()}
    spread = {tenant: added(found) for tenant, found in items.items()}
    for tenant, one in whole.items():
        assert spread[tenant].model_copy(update={"tied": one.tied}).rows == one.rows
        assert spread[tenant].score_now == pytest.approx(one.score_now)
        assert spread[tenant].steps == one.steps


@pytest.mark.parametrize(
    "given", ["yes", {}, {"by": "ana"}, {"reason": "sale"}, {"by": " ", "reason": "x"}, ["ana"], 1]
)
def test_a_force_names_who_and_why(given: object) -> None:
    with pytest.raises(BadInputError, match=r'force: expected \{"by"'):
        Forced.parse(given, "e")


def test_a_force_is_kept_with_its_execution() -> None:
    assert Forced.parse(None, "e") is None
    found = Forced.parse({"by": " ana ", "reason": "a sale"}, "run-2")
    assert found == Forced(by="ana", reason="a sale", execution="run-2")
