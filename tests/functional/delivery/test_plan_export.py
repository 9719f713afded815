"""What a plan says of a list before it is asked for, held against the scores themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from propensity.delivery.plan_export import plan_export
from propensity.kernel.errors import BadInputError, ConflictError, EvidenceError, NotFoundError
from tests.kit.pulls import AT, TENANT
from tests.kit.world import World


@pytest.fixture
def world(scored: World, tmp_path: Path) -> World:
    return scored.copy(tmp_path / "world")


def test_conversions_per_decile_are_the_sum_of_the_tenant_s_own_scores(scored: World) -> None:
    found = plan_export(scored, TENANT, {"model": "service"}, at=AT)
    rows = scored.query(
        f"select decile, count(*), sum(score) from s where tenant_id = '{TENANT}' group by 1 order by 1 desc",
        s="gold/scores",
    )
    told = [(one["decile"], one["customers"], one["conversions"]["value"]) for one in found["deciles"]]
    assert told == [(decile, count, pytest.approx(total)) for decile, count, total in rows if decile is not None]
    for one in found["deciles"]:
        assert 0 <= one["conversions"]["low"] <= one["conversions"]["value"] <= one["conversions"]["high"]
        assert one["conversions"]["n"] == one["customers"]
    other = plan_export(scored, "dealer_02", {"model": "service"}, at=AT)
    assert other["deciles"] != found["deciles"]


def test_a_holdout_that_is_enough_has_the_power_and_its_costs_add_up(scored: World) -> None:
    found = plan_export(scored, TENANT, {"model": "service", "lift": "1.5", "deciles": "10,9,8"}, at=AT)
    chosen, needed = found["chosen"], found["needed"]
    assert chosen["deciles"] == [10, 9, 8]
    assert chosen["customers"] == sum(one["customers"] for one in found["deciles"][:3])
    assert needed["held_out"] + needed["contacted"] == chosen["customers"]
    assert needed["conversions_held_out"] == pytest.approx(chosen["conversions"]["value"] * needed["holdout"])
    if needed["enough"]:
        assert needed["power"] >= 0.8
    else:
        assert needed["holdout"] == 0.5
        assert needed["power"] < 0.8
    assert found["asked"]["holdout"] == 0.1
    assert found["asked"]["power"] <= needed["power"]


def test_a_newer_score_of_a_customer_counts_and_a_later_one_does_not_yet(world: World) -> None:
    world.score("service", "2025-08-01")
    before = plan_export(world, TENANT, {"model": "service"}, at="2025-07-15T09:00:00+00:00")
    after = plan_export(world, TENANT, {"model": "service"}, at="2025-08-02T09:00:00+00:00")
    assert before["scored"]["last"] == "2025-07-01"
    assert after["scored"]["last"] == "2025-08-01"
    for found, day in ((before, "2025-07-01"), (after, "2025-08-01")):
        counted = world.query(
            f"select count(*), sum(score) from s where tenant_id = '{TENANT}' and as_of = '{day}'", s="gold/scores"
        )
        [(customers, total)] = counted
        assert found["chosen"]["customers"] == customers
        assert found["chosen"]["conversions"]["value"] == pytest.approx(total)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"model": "none"}, "model"),
        ({"deciles": "11"}, "deciles"),
        ({"deciles": "10,,9"}, "deciles"),
        ({"lift": "1"}, "lift"),
        ({"lift": "nan"}, "lift"),
        ({"lift": "1e3"}, "lift"),
        ({"holdout": "0"}, "holdout"),
        ({"holdout": "0.6"}, "holdout"),
    ],
)
def test_a_wrong_question_is_refused_by_parameter(scored: World, query: dict[str, str], said: str) -> None:
    with pytest.raises(BadInputError, match=f"^{said}"):
        plan_export(scored, TENANT, {"model": "service", **query}, at=AT)


def test_without_champion_scores_or_tenant_there_is_no_plan(scored: World, trained: World) -> None:
    with pytest.raises(NotFoundError):
        plan_export(scored, TENANT, {"model": "buy"}, at=AT)
    with pytest.raises(NotFoundError):
        plan_export(scored, "dealer_99", {"model": "service"}, at=AT)
    with pytest.raises(EvidenceError):
        plan_export(trained, TENANT, {"model": "service"}, at=AT)


def test_more_than_one_answer_can_read_is_refused(scored: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("propensity.delivery.plan_export._READ", 10)
    with pytest.raises(ConflictError, match="more than one answer can read"):
        plan_export(scored, TENANT, {"model": "service"}, at=AT)
