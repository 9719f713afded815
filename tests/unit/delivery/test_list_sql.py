"""What becomes of each customer, step by step, over tables that are made by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.delivery.domain.list_sql import CUT, decisions, judged, steps
from propensity.delivery.domain.request import ExportRequest, ListFilter
from propensity.pack.domain.list_rules import ListRule

ASK = ListRule(name="costly", action="review", description="d", sql="select 1")
DEFAULTS: dict[str, Any] = {
    "household_id": None,
    "score": None,
    "percentile": None,
    "decile": None,
    "rules": (),
    "suppressed_as": None,
    "consents": True,
    "matchable": True,
    "recently": False,
    "held": False,
    "in_population": True,
    "approved": (),
    "rejected": False,
}
TYPES = {
    "household_id": "varchar",
    "score": "double",
    "percentile": "integer",
    "decile": "integer",
    "rules": "varchar[]",
    "suppressed_as": "varchar",
    "approved": "varchar[]",
}


def decided(members: list[dict[str, Any]], request: ExportRequest, band: int = 0) -> dict[str, tuple[str, str]]:
    """The arm and reason of each member, by customer."""
    names = ["customer_id", *DEFAULTS]
    with DuckDbSql() as sql:
        kinds = ", ".join(
            f"{name} {TYPES.get(name, 'varchar' if name == 'customer_id' else 'boolean')}" for name in names
        )
        sql.execute(f"create temp table member ({kinds})")
        for one in members:
            full = {**DEFAULTS, "household_id": one["customer_id"], **one}
            sql.execute(
                f"insert into member values ({', '.join('?' * len(names))})",
                [list(value) if isinstance(value, tuple) else value for value in (full[name] for name in names)],
            )
        sql.execute(f"create temp table judged as {judged(steps([ASK], consent=True, matched=True))}")
        for statement in decisions(request, [ASK], band):
            sql.execute(statement)
        return {customer: (arm, why) for customer, arm, why in sql.rows("select customer_id, arm, why from decided")}


def ranked(**changes: dict[str, Any]) -> list[dict[str, Any]]:
    """A hundred customers, one at each percentile; `changes` by customer, of whom p100 is the likeliest."""
    return [
        {
            "customer_id": f"p{place}",
            "score": place / 1000,
            "percentile": place,
            "decile": (place + 9) // 10,
            **changes.get(f"p{place}", {}),
        }
        for place in range(1, 101)
    ]


def asked(household: Any = "each", **chosen: Any) -> ExportRequest:
    return ExportRequest(model="m", destination="d", filter=ListFilter(**chosen), household=household)


def of_arm(found: dict[str, tuple[str, str]], arm: str) -> set[int]:
    return {int(customer.removeprefix("p")) for customer, (have, _) in found.items() if have == arm}


def test_near_the_edge_of_a_decile_customers_wait_on_both_sides() -> None:
    found = decided(ranked(), asked(deciles=(10,)), band=2)
    assert of_arm(found, "review") == {89, 90, 91, 92}
    assert {found[f"p{place}"][1] for place in (89, 90, 91, 92)} == {CUT}
    assert of_arm(found, "exported") == set(range(93, 101))
    assert of_arm(found, "filtered") == set(range(1, 89))


def test_who_was_approved_near_an_edge_is_taken_and_who_was_rejected_is_not() -> None:
    people = ranked(
        p90={"approved": (CUT,)}, p91={"approved": (CUT,)}, p92={"rejected": True}, p50={"approved": (CUT,)}
    )
    found = decided(people, asked(deciles=(10,)), band=2)
    assert of_arm(found, "exported") == {90, 91, *range(93, 101)}
    assert of_arm(found, "review") == {89}
    assert found["p92"] == ("suppressed", "review_rejected")
    # an approval near the cut is none for somebody who is far from it by now
    assert found["p50"] == ("filtered", "decile")


def test_each_edge_of_several_deciles_has_a_band() -> None:
    found = decided(ranked(), asked(deciles=(10, 5)), band=1)
    assert of_arm(found, "review") == {40, 41, 50, 51, 90, 91}


@pytest.mark.parametrize("limit", ["top", "capacity"])
def test_near_a_limit_customers_wait_and_nobody_below_takes_their_places(limit: str) -> None:
    found = decided(ranked(), asked(**{limit: 20}), band=5)
    # the twentieth is p81; five of a hundred customers on either side wait
    assert of_arm(found, "review") == set(range(76, 86))
    assert of_arm(found, "exported") == set(range(86, 101))
    assert of_arm(found, "beyond_limit") == set(range(1, 76))


def test_the_approved_take_the_places_that_are_left_above_a_limit() -> None:
    approved = {f"p{place}": {"approved": (CUT,)} for place in range(76, 86)}
    every = decided(ranked(**approved), asked(top=20), band=5)
    assert of_arm(every, "exported") == set(range(81, 101))
    assert of_arm(every, "beyond_limit") == set(range(1, 81))
    rejected = {f"p{place}": {"rejected": True} for place in range(83, 86)}
    some = decided(ranked(**approved | rejected), asked(top=20), band=5)
    assert len(of_arm(some, "exported")) == 20
    assert of_arm(some, "suppressed") == {83, 84, 85}


def test_a_list_that_takes_everybody_has_no_cut() -> None:
    assert of_arm(decided(ranked(), asked(top=100), band=5), "review") == set()
    assert of_arm(decided(ranked(), asked(), band=5), "exported") == set(range(1, 101))


def test_a_rule_asks_again_although_another_question_was_approved() -> None:
    people = ranked(
        p100={"rules": ("costly",)},
        p99={"rules": ("costly",), "approved": ("rule_costly",)},
        p98={"rules": ("costly",), "approved": (CUT,)},
        p97={"rules": ("costly",), "approved": ("rule_costly",), "rejected": True},
    )
    found = decided(people, asked())
    assert found["p100"] == ("review", "rule_costly")
    assert found["p99"] == ("exported", "listed")
    assert found["p98"] == ("review", "rule_costly")
    assert found["p97"] == ("suppressed", "review_rejected")


def test_who_is_held_back_is_not_exported_whatever_was_approved() -> None:
    held = {"held": True, "rules": ("costly",)}
    found = decided(ranked(p100={**held, "approved": ("rule_costly",)}, p99=held), asked())
    assert found["p100"] == ("held_out", "holdout")
    assert found["p99"] == ("review", "rule_costly")


FILTER = st.one_of(
    st.just({}),
    st.builds(lambda n: {"top": n}, st.integers(1, 40)),
    st.builds(lambda n: {"capacity": n}, st.integers(1, 40)),
    st.builds(lambda d: {"deciles": tuple(sorted(d))}, st.sets(st.integers(1, 10), min_size=1)),
    st.builds(
        lambda d, n: {"deciles": tuple(sorted(d)), "top": n},
        st.sets(st.integers(1, 10), min_size=1),
        st.integers(1, 40),
    ),
    st.builds(
        lambda d, n: {"deciles": tuple(sorted(d)), "capacity": n},
        st.sets(st.integers(1, 10), min_size=1),
        st.integers(1, 40),
    ),
)
MEMBER = st.fixed_dictionaries(
    {
        "percentile": st.integers(1, 100),
        "household_id": st.sampled_from("abcdefghijklmnop"),
        "unranked": st.booleans(),
        "rules": st.sampled_from([(), ("costly",)]),
        "suppressed_as": st.sampled_from([None, None, None, "complaint"]),
        "consents": st.sampled_from([True, True, False]),
        "matchable": st.sampled_from([True, True, True, False]),
        "recently": st.sampled_from([False, False, True]),
        "approved": st.sampled_from([(), (CUT,), ("rule_costly",), (CUT, "rule_costly")]),
        "rejected": st.sampled_from([False, False, True]),
        "in_population": st.just(True),
    }
)


@given(
    people=st.lists(MEMBER, max_size=40),
    chosen=FILTER,
    household=st.sampled_from(["best", "each"]),
    band=st.integers(0, 20),
    held=st.sets(st.sampled_from("abcdefghijklmnop")),
)
def test_every_customer_has_one_place_and_no_list_has_whom_it_may_not_have(
    people: list[dict[str, Any]], chosen: dict[str, Any], household: Any, band: int, held: set[str]
) -> None:
    members = []
    for number, one in enumerate(people):
        known = {name: value for name, value in one.items() if name != "unranked"}
        if one["unranked"]:
            known["percentile"] = None
        known["decile"] = known["percentile"] and (known["percentile"] + 9) // 10
        score = 0.5 if one["unranked"] else one["percentile"] / 101
        members.append({"customer_id": f"p{number}", "score": score, "held": one["household_id"] in held, **known})
    request = asked(household, **chosen)
    found = decided(members, request, band)
    by_customer = {one["customer_id"]: one for one in members}
    assert found.keys() == by_customer.keys()
    exported = [by_customer[customer] for customer, (arm, _) in found.items() if arm == "exported"]
    for one in exported:
        assert one["consents"]
        assert one["matchable"]
        assert one["suppressed_as"] is None
        assert not one["recently"]
        assert not one["rejected"]
        assert not one["held"]
        assert not one["rules"] or "rule_costly" in one["approved"]
    if household == "best":
        assert len({one["household_id"] for one in exported}) == len(exported)
    if request.filter.capacity is not None:
        assert len(exported) <= request.filter.capacity
    if request.filter.top is not None:
        listed = sum(arm in ("exported", "held_out") for arm, _ in found.values())
        assert listed <= request.filter.top
    waiting = {customer for customer, (_, why) in found.items() if why == CUT}
    assert all(CUT not in by_customer[customer]["approved"] for customer in waiting)
    if not band or not request.filter.cuts:
        assert not waiting
