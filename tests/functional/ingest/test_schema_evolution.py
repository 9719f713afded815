"""Later versions of a contract: which flow through to Silver, and which are refused with the difference told."""

from __future__ import annotations

from pathlib import Path

import pytest

from propensity.kernel.errors import ContractError
from tests.kit.drops import HEADER, ORDERS, PACK, csv_file, good
from tests.kit.world import World

KEY = "orders/tenant_id=t1/{name}.csv"
ADDED = ("    properties:\n", "    properties:\n      - {name: coupon, logicalType: string}\n")
# changes that leave the meaning of the present rows as it is
FINE = {
    "a column without required": (ADDED,),
    "a rule that is stricter": (("maximum: 99", "maximum: 9"),),
    "a rule that is gone": ((", logicalTypeOptions: {maxLength: 200}", ""),),
    "a column that files may lack": (
        ("{name: note,", "{name: note, customProperties: [{property: optional, value: true}],"),
    ),
}
BREAKING = {
    "another type": (
        ("{name: amount, logicalType: number", "{name: amount, logicalType: integer"),
        "column amount: logical_type 'number' -> 'integer'",
    ),
    "a column less": (
        ("      - {name: note, logicalType: string, logicalTypeOptions: {maxLength: 200}}\n", ""),
        "column note: removed; keep it, with optional: true",
    ),
    "a required column more": (
        ("    properties:\n", "    properties:\n      - {name: coupon, logicalType: string, required: true}\n"),
        "column coupon: added as required",
    ),
    "another key": (
        ("{name: customer,", "{name: customer, primaryKey: true, primaryKeyPosition: 2,"),
        "primary_key: ('order_id',) -> ",
    ),
    "another time": (
        (
            "      - {property: eventTime, value: ordered_at}",
            "      - {property: eventTime, value: ordered_at}\n      - {property: knownAt, value: {lagDays: 3}}",
        ),
        "known_at: ",
    ),
    "a key spelled otherwise": (
        (
            "{name: order_id, logicalType: string,",
            "{name: order_id, logicalType: string, customProperties: [{property: normalise, value: [upper]}],",
        ),
        "column order_id: normalise () -> ('upper',)",
    ),
}


def contract(version: str, *replacements: tuple[str, str]) -> dict[str, str]:
    text = ORDERS.replace("version: 1.2.0", f"version: {version}")
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new, 1)
    return {"pack.yaml": PACK, "contracts/orders.yaml": text}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A lake with one row of version 1.2.0 in Silver."""
    made = World("retail", tmp_path)
    made.pack, made.pack_files = "shop", contract("1.2.0")
    assert made.put(KEY.format(name="old"), csv_file(good(1)))["bronze"] == 1
    made.promote()
    return made


@pytest.mark.parametrize("what", FINE)
def test_a_version_that_rows_can_follow_is_taken(world: World, what: str) -> None:
    world.pack_files = contract("1.3.0", *FINE[what])
    coupon = ",coupon" if ADDED in FINE[what] else ""
    report = world.put(KEY.format(name="new"), csv_file(good(2) + coupon, header=HEADER + coupon))
    assert (report["bronze"], report["contract_version"]) == (1, "1.3.0")
    world.promote()
    assert world.query("select order_id from s order by 1", s="silver/orders") == [("A1",), ("A2",)]


def test_a_nullable_column_flows_through_to_silver_and_old_bronze_stays_readable(world: World) -> None:
    waiting = world.put(KEY.format(name="waiting"), csv_file(good(2)))
    world.pack_files = contract("1.3.0", ADDED)
    world.put(KEY.format(name="new"), csv_file(good(3) + ",SUMMER", header=HEADER + ",coupon"))
    world.promote()
    assert waiting["bronze_key"].endswith(".c1.2.0.parquet")
    rows = world.query("select order_id, coupon from s order by 1", s="silver/orders")
    assert rows == [("A1", None), ("A2", None), ("A3", "SUMMER")]


@pytest.mark.parametrize("what", BREAKING)
def test_a_version_that_breaks_is_refused_with_the_difference_and_nothing_is_written(world: World, what: str) -> None:
    change, told = BREAKING[what]
    world.pack_files = contract("2.0.0", change)
    before = list(world.lake.keys(""))
    with pytest.raises(
        ContractError, match=r"shop/contracts/orders.yaml: version 2.0.0 breaks with 1.2.0: "
    ) as refused:
        world.put(KEY.format(name="new"), csv_file(good(2)))
    assert told in str(refused.value)
    assert list(world.lake.keys("")) == before
    assert world.promote_queue.messages == []


def test_a_version_s_number_stands_for_one_content(world: World) -> None:
    world.pack_files = contract("1.2.0", ("maximum: 99", "maximum: 9"))
    with pytest.raises(ContractError, match="column pieces: maximum 99 -> 9; give the changed contract a higher"):
        world.put(KEY.format(name="new"), csv_file(good(2)))
    world.pack_files = contract("1.2.0", ("name: Orders", "name: The orders"))
    assert world.put(KEY.format(name="new"), csv_file(good(2)))["bronze"] == 1


def test_the_version_before_may_come_back_after_a_rollback_of_the_stack(world: World) -> None:
    world.pack_files = contract("1.10.0", ADDED)
    world.put(KEY.format(name="new"), csv_file(good(2) + ",SUMMER", header=HEADER + ",coupon"))
    world.pack_files = contract("1.2.0")
    assert world.put(KEY.format(name="later"), csv_file(good(3)))["contract_version"] == "1.2.0"
    world.pack_files = contract("1.9.0", ("maximum: 99", "maximum: 9"))
    # the newest version by number, not by text
    with pytest.raises(ContractError, match=r"1\.9\.0 breaks with 1.10.0: column coupon: removed"):
        world.put(KEY.format(name="last"), csv_file(good(4)))
    assert sorted(world.lake.keys("contracts/")) == [
        "contracts/orders/1.10.0.yaml",
        "contracts/orders/1.2.0.yaml",
    ]
