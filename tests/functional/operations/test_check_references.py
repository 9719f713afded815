"""References between datasets: orphans are kept, flagged from the day they are known, and unflagged when they heal."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.kernel.errors import PackError
from propensity.operations.check_references import check_references
from tests.kit.drops import PACK, column, contract
from tests.kit.faults import Crash, light
from tests.kit.world import World

NAMED = column("customer", relationships=[{"type": "foreignKey", "to": "customers.number"}])
KNOWN = column("known", "date", required=True)
FILES = {
    "pack.yaml": PACK.replace("[orders]", "[orders, customers]"),
    "contracts/orders.yaml": contract(
        "orders", "event", column("id", primaryKey=True), NAMED, KNOWN, knownAt={"column": "known"}
    ),
    "contracts/customers.yaml": contract(
        "customers", "event", column("number", primaryKey=True), KNOWN, knownAt={"column": "known"}
    ),
}


def made(folder: Path) -> World:
    world = World("retail", folder)
    world.pack, world.pack_files = "shop", FILES
    return world


def orders(world: World, *rows: tuple[str, str, int], tenant: str = "t1", name: str = "a") -> None:
    """Drop orders: (order, customer, day of January on which it is known)."""
    lines = "".join(f"{order},{customer},2026-01-01,2026-01-{known:02d}\n" for order, customer, known in rows)
    world.put(f"orders/tenant_id={tenant}/{name}.csv", f"id,customer,day,known\n{lines}".encode())
    world.promote()


def customers(world: World, *rows: tuple[str, int], tenant: str = "t1", name: str = "a") -> None:
    lines = "".join(f"{number},2026-01-01,2026-01-{known:02d}\n" for number, known in rows)
    world.put(f"customers/tenant_id={tenant}/{name}.csv", f"number,day,known\n{lines}".encode())
    world.promote()


def flagged(world: World) -> list[tuple[str, str]]:
    """(tenant, order) whose newest flag says orphan."""
    snapshot = world.tables.snapshot("gold/orphans")
    if snapshot is None or not snapshot.files:
        return []
    return world.query(
        "select tenant_id, row_key from (select * from o qualify row_number() over "
        "(partition by tenant_id, dataset, column_name, row_key order by as_of desc) = 1) where orphan order by all",
        o="gold/orphans",
    )


def test_orphans_are_kept_and_flagged_and_healed_when_what_they_name_comes(tmp_path: Path) -> None:
    world = made(tmp_path)
    customers(world, ("K1", 1), ("K9", 20))
    orders(world, ("A1", "K1", 1), ("A2", "K2", 1), ("A3", "", 1), ("A4", "K9", 1))
    orders(world, ("A1", "K1", 1), tenant="t2")

    assert check_references(world, slot="2026-01-10") == {
        "slot": "2026-01-10",
        "references": 1,
        "checked": 1,
        "orphans": 3,
    }
    # K9 is not known yet, and another tenant's K1 is no K1 of t2
    assert flagged(world) == [("t1", "A2"), ("t1", "A4"), ("t2", "A1")]
    counted = world.query("select tenant_id, row_count, orphans from r order by 1", r="gold/references")
    assert counted == [("t1", 3, 2), ("t2", 1, 1)]

    assert check_references(world, slot="2026-01-25")["orphans"] == 2
    assert flagged(world) == [("t1", "A2"), ("t2", "A1")]
    customers(world, ("K2", 26), name="b")
    customers(world, ("K1", 26), tenant="t2")
    assert check_references(world, slot="2026-01-27")["orphans"] == 0
    assert flagged(world) == []
    assert world.query("select count(*) from s", s="silver/orders") == [(5,)]
    assert world.metrics.total(["OrphanRows"]) == 5


def test_a_slot_that_was_done_and_one_before_it_change_nothing(tmp_path: Path) -> None:
    world = made(tmp_path)
    orders(world, ("A1", "K1", 1))
    check_references(world, slot="2026-01-10")
    before = sorted(world.lake.keys("gold/"))
    for slot in ("2026-01-10", "2026-01-05"):
        assert check_references(world, slot=slot)["checked"] == 0
    assert sorted(world.lake.keys("gold/")) == before


def test_a_reference_to_what_the_pack_does_not_have_is_an_error(tmp_path: Path) -> None:
    world = made(tmp_path)
    world.pack_files = {**FILES, "contracts/orders.yaml": FILES["contracts/orders.yaml"].replace(".number", ".id")}
    with pytest.raises(PackError, match=r"orders\.yaml: customer: relationships names customers\.id"):
        check_references(world, slot="2026-01-10")


days = st.integers(1, 28)
order_rows = st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("KLM"), days), max_size=6)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(order_rows, min_size=1, max_size=3),
    st.lists(st.tuples(st.sampled_from("KLM"), days), max_size=4),
    st.lists(days, min_size=1, max_size=3, unique=True),
    st.integers(0, 40),
)
def test_flags_are_what_a_plain_model_says_whatever_crashes(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[list[tuple[str, str, int]]],
    people: list[tuple[str, int]],
    slots: list[int],
    left: int,
) -> None:
    world = made(tmp_path_factory.mktemp("lake"))
    for number, rows in enumerate(files):
        # one version per key, day and file: of two versions of one day a hash would decide
        kept = {(order, known): customer for order, customer, known in rows}
        spread = [(order, customer, known) for (order, known), customer in kept.items()]
        if spread:
            orders(world, *spread, name=f"f{number}")
    if people:
        customers(world, *dict(people).items())
    stored = (
        world.query("select _key, customer, _known_at::date::varchar, _row_hash from s", s="silver/orders")
        if any(files)
        else []
    )
    for slot in sorted(slots):
        fuse = light(world, left)
        try:
            check_references(world, slot=f"2026-01-{slot:02d}")
        except Crash:
            fuse.left = None
            check_references(world, slot=f"2026-01-{slot:02d}")
        fuse.left = None
        day = f"2026-01-{slot:02d}"
        known = {name for name, at in dict(people).items() if f"2026-01-{at:02d}" < day}
        newest: dict[str, tuple[str, str, str]] = {}
        for key, customer, at, row_hash in stored:
            if at < day:
                newest[key] = max(newest.get(key, ("", "", "")), (at, row_hash, customer))
        expected = sorted(("t1", key) for key, (_, _, customer) in newest.items() if customer not in known)
        assert flagged(world) == expected
