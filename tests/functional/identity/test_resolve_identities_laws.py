"""Whatever customers share and however it changes: identities are what a simple model in Python says they are.

The model knows nothing of SQL or Delta: a union-find over the values, and who keeps an id, in dictionaries.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.identity.domain.identity_rules import rollout_arm
from propensity.identity.resolve_identities import _components, _table
from tests.kit.club import Club, union_find

START = date(2025, 1, 1)
TENANTS = ("t1", "t2")


@dataclass(frozen=True)
class Row:
    """A version of a member's details, in force and known from `day` on; slots fall on every tenth day."""

    tenant: str
    member: str
    email: str
    phone: str
    name: str
    day: int

    def line(self) -> str:
        day = START + timedelta(days=self.day)
        return f"{self.member},{self.email},{self.phone},{self.name},10115,{day.isoformat()}"


ROWS = st.lists(
    st.builds(
        Row,
        st.sampled_from(TENANTS),
        st.sampled_from("abcdefg"),
        st.sampled_from(["", "", "x@web.de", "y@web.de", "z@web.de", "noreply@web.de"]),
        st.sampled_from(["", "", "1", "2", "3"]),
        st.sampled_from(["", "", "", "Mia", "Noa"]),
        st.integers(0, 39),
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda row: (row.tenant, row.member, row.day),
)


@dataclass
class Model:
    """What was said of everyone by slot: (slot, tenant, member) to (person, household)."""

    held: dict[tuple[str, str, str], str] = field(default_factory=dict)  # (level, tenant, member) to id
    born: dict[tuple[str, str], int] = field(default_factory=dict)
    joined: dict[tuple[str, str, str, str], int] = field(default_factory=dict)

    def resolve(self, rows: list[Row], slot: int) -> None:
        newest: dict[tuple[str, str], Row] = {}
        for row in sorted(rows, key=lambda row: row.day):
            if row.day < slot:
                newest[row.tenant, row.member] = row
        people = sorted(newest)
        person = links(newest, "email", 3, ignored="noreply@web.de") + links(newest, "name", 9)
        household = person + links(newest, "phone", 300)
        for level, joined in (("person", person), ("household", household)):
            self._assign(level, union_find(people, joined), slot)

    def _assign(self, level: str, root: dict[tuple[str, str], tuple[str, str]], slot: int) -> None:
        before = {one: self.held[level, *one] for one in root if (level, *one) in self.held}
        taken = {one for (kind, _, _), one in self.held.items() if kind == level}
        offered: dict[tuple[str, str], list[str]] = {}
        for held in set(before.values()):
            parts: dict[tuple[str, str], list[tuple[str, str]]] = {}
            for one, its in before.items():
                if its == held:
                    parts.setdefault(root[one], []).append(one)

            def rank(part: tuple[str, str], parts: Any = parts, held: str = held) -> tuple[Any, ...]:
                return -len(parts[part]), min(self.joined[level, *one, held] for one in parts[part]), part

            offered.setdefault(min(parts, key=rank), []).append(held)
        ids = {}
        for first in set(root.values()):
            if first in offered:
                ids[first] = min(offered[first], key=lambda held: (self.born[level, held], self.order(held)))
            else:
                name = "/".join((level, *first))
                ids[first] = f"{name}@{slot}" if name in taken else name
        for one, first in root.items():
            self.held[level, *one] = ids[first]
            self.born.setdefault((level, ids[first]), slot)
            self.joined.setdefault((level, *one, ids[first]), slot)

    def order(self, held: str) -> str:
        """Ids born on one day are told apart by the text of the real id, of which this one is a picture."""
        return self.real.get(held, held)

    real: dict[str, str] = field(default_factory=dict)


def links(
    newest: dict[tuple[str, str], Row], column: str, most: int, ignored: str | None = None
) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    shared: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for one, row in newest.items():
        value = getattr(row, column)
        if value and value != ignored:
            shared.setdefault((row.tenant, value), []).append(one)
    return [(ones[0], other) for ones in shared.values() if len(ones) <= most for other in ones[1:]]


def load(club: Club, rows: list[Row], files: int = 1) -> None:
    for tenant in TENANTS:
        of_tenant = [row for row in rows if row.tenant == tenant]
        for start in range(files):
            part = of_tenant[start::files]
            if part:
                club.people(*(row.line() for row in part), tenant=tenant)


def slot(number: int) -> str:
    return (START + timedelta(days=number)).isoformat()


def said(club: Club) -> list[tuple[Any, ...]]:
    return sorted((tenant, member, *ids) for tenant in TENANTS for member, ids in club.current(tenant).items())


@settings(max_examples=25, deadline=None)
@given(ROWS)
def test_identities_are_what_a_simple_model_says_slot_by_slot(rows: list[Row]) -> None:
    club, model = Club(), Model()
    load(club, rows)
    for number in (10, 20, 30, 40):
        club.resolve(slot(number))
        model.resolve(rows, number)
        found = said(club)
        expected = sorted(
            (tenant, member, held, model.held["household", tenant, member])
            for (level, tenant, member), held in model.held.items()
            if level == "person"
        )
        assert [one[:2] for one in found] == [one[:2] for one in expected]
        for level in (2, 3):
            # one name for one id and the other way round, over all slots
            for real, held in {(one[level], other[level]) for one, other in zip(found, expected, strict=True)}:
                assert model.real.setdefault(held, real) == real
        assert len(set(model.real.values())) == len(model.real)
        one_arm_per_household(found, expected)


def one_arm_per_household(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> None:
    """Households are the model's, arms are made of the real ids."""
    arms: dict[str, set[str]] = {}
    for (_, _, _, household), (_, _, _, held) in zip(found, expected, strict=True):
        arms.setdefault(held, set()).add(rollout_arm(household, salt="v2", share=0.5))
    assert all(len(found) == 1 for found in arms.values())


@settings(max_examples=15, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_neither_the_order_of_files_nor_what_comes_later_nor_a_call_again_changes_anything(
    rows: list[Row], chance: random.Random
) -> None:
    known = [row for row in rows if row.day < 20]
    one, other = Club(), Club()
    load(one, known)
    shuffled = list(rows)
    chance.shuffle(shuffled)
    load(other, shuffled, files=3)
    load(other, shuffled[:5])
    for number in (10, 20):
        assert one.resolve(slot(number)) == other.resolve(slot(number))
        other.resolve(slot(number))
    if known:
        assert one.rows() == other.rows()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60).flatmap(lambda n: st.lists(st.tuples(st.integers(1, n), st.integers(1, n)), max_size=80)))
def test_components_are_those_of_a_union_find(pairs: list[tuple[int, int]]) -> None:
    assert components(pairs) == union_find(
        {node for pair in pairs if pair[0] != pair[1] for node in pair}, pairs_of(pairs)
    )


def test_long_paths_stars_and_grids_end_and_are_right() -> None:
    chance = random.Random(1)  # noqa: S311 - an order, not a secret
    order = list(range(1, 3_001))
    chance.shuffle(order)
    shapes = {
        "path": [(number, number + 1) for number in range(1, 3_000)],
        "shuffled path": list(pairwise(order)),
        "star around the largest": [(number, 3_000) for number in range(1, 3_000)],
        "grid": [(n, n + 1) for n in range(1, 2_500) if n % 50] + [(n, n + 50) for n in range(1, 2_450)],
        "random": [(chance.randint(1, 3_000), chance.randint(1, 3_000)) for _ in range(2_500)],
    }
    for pairs in shapes.values():
        assert components(pairs) == union_find({node for pair in pairs_of(pairs) for node in pair}, pairs_of(pairs))


def pairs_of(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [pair for pair in pairs if pair[0] != pair[1]]


def components(pairs: list[tuple[int, int]]) -> dict[int, int]:
    with DuckDbSql() as sql:
        sql.execute("create schema resolve; create table resolve.pair (a bigint, b bigint)")
        listed = ", ".join(f"({min(pair)}, {max(pair)})" for pair in pairs_of(pairs))
        if listed:
            sql.execute(f"insert into resolve.pair values {listed}")
        _table(sql, "link", "select distinct a, b from resolve.pair")
        _components(sql)
        return dict(sql.rows("select node, root from resolve.component"))
