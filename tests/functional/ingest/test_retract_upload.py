"""Backfills and wrong exports: the contract says when history was known, and a wrong file can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from propensity.ingest.promote_silver import BronzeFile, promote_silver
from propensity.ingest.retract_upload import retract_upload
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.kernel.sql_text import read_files
from propensity.lake.domain.as_of_views import as_of_rows, current_view, latest_versions
from propensity.lake.domain.retractions import retraction_key
from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.json_objects import read_json
from propensity.lake.pins import pin_silver
from propensity.lake.silver_tables import shape_of
from propensity.lake.taken_back import retracted
from propensity.pack.current import contract_of, pack_definition
from tests.kit.drops import csv_file
from tests.kit.world import World
from tests.stack.automotive import AS_OF, generate

HEAD = "sale_id,customer_id,vin,sold_on,condition,finance,price,recorded_at"
ARRIVED = "2026-01-01"  # on this day a World's landing bucket begins its clock


def sale(number: int, *, sold: str, recorded: str, price: int = 9_000) -> str:
    return f"S{number:05d},C0034804,1HGCM82633A004352,{sold},new,loan,{price},{recorded} 08:00:00"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World("automotive", tmp_path)


def drop(world: World, name: str, *rows: str, tenant: str = "d1") -> dict[str, Any]:
    report = world.put(f"sales/tenant_id={tenant}/{name}.csv", csv_file(*rows, header=HEAD))
    world.promote()
    return report


def seen(world: World, as_of: str | None) -> list[tuple[str, float]]:
    """(sale, price) as features and labels as of a day see them; None is as known by now."""
    shape = shape_of(contract_of(world, "sales"), retracted(world.lake, "sales"))
    snapshot = world.tables.snapshot("silver/sales")
    assert snapshot is not None
    with duckdb.connect() as session:
        session.execute("set timezone = 'UTC'")
        files = read_files([f"{world.folder}/{key}" for key in snapshot.file_keys()])
        session.execute(f"create view s as from {files}")
        rows = as_of_rows(shape, "s", date.fromisoformat(as_of)) if as_of else current_view(shape, "s")
        return session.execute(f"select sale_id, price from ({rows}) order by all").fetchall()


def take_back(world: World, report: dict[str, Any], at: str) -> dict[str, Any]:
    body = {"content_id": report["content_id"], "why": "rows of another dealer"}
    return retract_upload(world, report["tenant_id"], body, by="arn:anna", at=f"{at}T12:00:00+00:00")


def test_history_is_seen_on_old_days_from_when_its_rows_say_that_they_were_known(world: World) -> None:
    report = drop(
        world,
        "2019",
        sale(1, sold="2019-03-02", recorded="2019-03-03"),
        sale(2, sold="2019-03-02", recorded="2019-07-01"),
        sale(3, sold="2019-08-05", recorded="2019-08-05"),
    )
    assert f"/ingest_date={ARRIVED}/" in report["bronze_key"]
    assert seen(world, "2019-03-03") == []
    assert seen(world, "2019-06-01") == [("S00001", 9000.0)]
    assert [name for name, _ in seen(world, "2019-08-05")] == ["S00001", "S00002"]
    assert len(seen(world, "2019-09-01")) == 3


def test_history_without_a_declared_known_at_is_known_from_its_arrival(world: World) -> None:
    files = dict(world.pack_files)
    files["contracts/sales.yaml"] = files["contracts/sales.yaml"].replace("{column: recorded_at}", "{arrival: true}")
    world.pack_files = files
    drop(world, "2019", sale(1, sold="2019-03-02", recorded="2019-03-03"))
    assert seen(world, "2019-06-01") == seen(world, ARRIVED) == []
    assert seen(world, "2026-01-02") == [("S00001", 9000.0)]


def test_a_thousand_old_files_come_to_silver_in_ten_commits(world: World) -> None:
    report = world.put(
        "sales/tenant_id=d1/0.csv", csv_file(sale(0, sold="2019-01-01", recorded="2019-01-02"), header=HEAD)
    )
    [told] = world.promote_queue.messages
    body = world.lake.get(report["bronze_key"])
    files = []
    for number in range(1_000):
        content = f"{number:032x}"
        key = report["bronze_key"].replace(report["content_id"], content)
        world.lake.put(key, body)
        files.append(BronzeFile.parse({**told, "bronze_key": key, "content_id": content}))
    for start in range(0, 1_000, 100):
        assert promote_silver(world, files[start : start + 100])["rows"] == 100
    snapshot = world.tables.snapshot("silver/sales")
    assert snapshot is not None
    assert (snapshot.version, snapshot.rows(), len(snapshot.files)) == (9, 1_000, 10)


def test_the_right_file_wins_where_keys_are_equal_and_it_is_known_later(world: World) -> None:
    drop(world, "wrong", sale(1, sold="2025-05-02", recorded="2025-05-03", price=1))
    drop(world, "right", sale(1, sold="2025-05-02", recorded="2025-05-09", price=9_000))
    assert seen(world, None) == seen(world, "2025-06-01") == [("S00001", 9000.0)]
    assert seen(world, "2025-05-05") == [("S00001", 1.0)]


@pytest.mark.parametrize("right", [1, 9_000, 31_000])
def test_a_wrong_file_that_claims_the_same_moment_is_taken_back_and_the_right_one_stands(
    world: World, right: int
) -> None:
    """Of two versions known at one moment the row's hash decides, whichever of them is right."""
    wrong = drop(world, "wrong", sale(1, sold="2025-05-02", recorded="2025-05-03", price=12_345))
    take_back(world, wrong, "2026-02-01")
    drop(world, "right", sale(1, sold="2025-05-02", recorded="2025-05-03", price=right))
    assert seen(world, None) == seen(world, "2025-06-01") == seen(world, "2026-03-01") == [("S00001", float(right))]


def test_rows_that_should_never_have_been_go_and_what_they_replaced_is_back(world: World) -> None:
    drop(world, "mine", sale(1, sold="2025-05-02", recorded="2025-05-03"))
    wrong = drop(
        world,
        "another dealer's",
        sale(1, sold="2025-05-02", recorded="2025-06-01", price=1),
        sale(7, sold="2025-05-02", recorded="2025-06-01", price=7),
    )
    both = [("S00001", 1.0), ("S00007", 7.0)]
    assert seen(world, None) == both
    before = world.silver_hash("sales", "2100-01-01")
    take_back(world, wrong, "2026-01-10")
    mine = [("S00001", 9000.0)]
    assert seen(world, None) == seen(world, "2026-01-11") == mine
    # as of days between the file's arrival and its retraction, its rows are still seen
    assert seen(world, "2026-01-05") == seen(world, "2026-01-10") == both
    # as of days before the arrival nobody had the file, whatever its rows claim: a training on old dates is rid of them
    assert seen(world, ARRIVED) == seen(world, "2025-07-01") == mine
    assert world.silver_hash("sales", "2100-01-01") == before, "no row left Silver"


def test_taking_back_twice_keeps_the_first_and_sending_again_brings_the_rows_back(world: World) -> None:
    wrong = drop(world, "a", sale(1, sold="2025-05-02", recorded="2025-05-03"))
    first = take_back(world, wrong, "2026-01-10")
    assert take_back(world, wrong, "2026-01-20") == first
    assert seen(world, None) == []
    drop(world, "a", sale(1, sold="2025-05-02", recorded="2025-05-03"))
    assert seen(world, None) == [("S00001", 9000.0)]


def test_a_file_taken_back_before_it_came_to_silver_is_in_no_view(world: World) -> None:
    report = world.put(
        "sales/tenant_id=d1/a.csv", csv_file(sale(1, sold="2025-05-02", recorded="2025-05-03"), header=HEAD)
    )
    take_back(world, report, "2026-01-10")
    world.promote()
    assert seen(world, None) == []


def test_only_what_was_taken_in_of_the_tenant_can_be_taken_back(world: World) -> None:
    report = drop(world, "a", sale(1, sold="2025-05-02", recorded="2025-05-03"))
    refused = world.put("sales/tenant_id=d1/b.csv", b"")
    for tenant, content in (("d2", report["content_id"]), ("d1", refused["content_id"]), ("d1", "0" * 32)):
        with pytest.raises(NotFoundError, match="was taken in"):
            retract_upload(world, tenant, {"content_id": content, "why": "x"}, by="b", at="2026-01-10T00:00:00+00:00")
    for wrong in ({"why": "x"}, {"content_id": "../x", "why": "x"}, {"content_id": report["content_id"]}):
        with pytest.raises(BadInputError, match=r"content_id|why"):
            retract_upload(world, "d1", wrong, by="b", at="2026-01-10T00:00:00+00:00")
    assert list(world.lake.keys("retractions/")) == []


def days() -> Iterator[str]:
    for number in range(0, 900, 60):
        yield (date(2025, 1, 1) + timedelta(days=number)).isoformat()


def test_a_run_that_was_planned_sees_the_files_that_it_pinned_whatever_is_taken_back_since(world: World) -> None:
    made = generate(world.folder / "data", dealers=1, customers=300)
    reports = world.load(made.phases["history"])
    world.prepare("service", AS_OF.isoformat())
    run = f"runs/train/service/{AS_OF.isoformat()}"
    items = {key: world.lake.get(key) for key in world.lake.keys(f"{run}/items/")}
    plan = read_json(world.lake, f"{run}/plan.json")
    visits = next(one for one in reports if one["dataset"] == "service_records" and one["bronze"])
    take_back(world, visits, "2026-02-01")
    for key in items:
        (world.folder / key).unlink()
    world.prepare("service", AS_OF.isoformat())
    assert {key: world.lake.get(key) for key in world.lake.keys(f"{run}/items/")} == items
    definition = pack_definition(world, "service")
    assert pin_silver(world, definition, SilverAt.of_plan(plan)).retracted()["service_records"] == []
    [[content, at]] = pin_silver(world, definition).retracted()["service_records"]
    assert (content, at) == (visits["content_id"], "2026-02-01T12:00:00+00:00")
    assert list(world.lake.keys(retraction_key("service_records", content)))


def test_the_later_a_view_the_more_it_knows_and_a_retraction_is_known_from_its_moment_on(world: World) -> None:
    wrong = drop(world, "a", sale(1, sold="2025-05-02", recorded="2025-05-03"))
    drop(world, "b", sale(2, sold="2025-05-02", recorded="2025-05-03"))
    before = {day: seen(world, day) for day in days()}
    take_back(world, wrong, "2026-06-01")
    shape = shape_of(contract_of(world, "sales"), retracted(world.lake, "sales"))
    assert "_ingested_at" in latest_versions(shape, "s", known_before="timestamptz '2026-01-01'", valid_before=None)
    for day, rows in before.items():
        held = ARRIVED < day <= "2026-06-01"
        assert seen(world, day) == (rows if held else [one for one in rows if one[0] != "S00001"]), day
