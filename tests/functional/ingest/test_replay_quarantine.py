"""replay_quarantine: what a newer contract heals, what it leaves alone, and what others see of it when."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from propensity.ingest.promote_silver import BronzeFile
from propensity.ingest.replay_quarantine import replay_quarantine
from propensity.ingest.validate_upload import Upload, validate_upload
from propensity.kernel.errors import BadInputError
from tests.kit.drops import ORDERS, PACK
from tests.kit.faults import Crash, Fuse
from tests.kit.replays import KINDS, Landed, Meeting, Ports, Row, check, contents, promote, put, rows_of, run_dry, view
from tests.kit.reports import file_standing as standing
from tests.kit.reports import history

BAD, GOOD = -1, 3  # pieces: 1.9.0 takes 0 to 5, 1.10.0 -2 to 6, 2.0.0 2 to 9


def lake(*files: tuple[str, list[Row]], pieces: bool = True) -> tuple[Any, list[Landed]]:
    ports: Any = Ports(Fuse())
    landed = []
    for name, rows in files:
        landed.append(put(ports, "orders", name, rows, pieces))
        validate_upload(ports, landed[-1].upload)
    return ports, landed


def reports(ports: Any, landed: Landed) -> list[dict[str, Any]]:
    [content] = [content for content, arrived in contents(ports, landed.upload.key) if arrived == landed.arrived]
    return history(ports.objects, landed.dataset, "t1", content, landed.arrived.date())


def current(ports: Any, known_before: datetime | None = None) -> list[tuple[Any, ...]]:
    return view(ports, "orders", known_before)


def test_what_was_bad_is_healed_once_and_what_was_good_stays_as_it_was() -> None:
    ports, [landed] = lake(("1", [Row("a", 0, GOOD), Row("b", 0, BAD), Row("c", 0, 9)]))
    [first] = reports(ports, landed)
    ports.deploy("1.10.0")

    answer = replay_quarantine(ports, dataset="orders")

    assert (answer["files"], answer["healed"], answer["quarantine"], answer["left"]) == (1, 1, 1, 0)
    before, healed = reports(ports, landed)
    assert before == first
    assert (healed["rows_in"], healed["earlier"], healed["bronze"], healed["quarantine"]) == (3, 1, 1, 1)
    assert healed["content_id"] == first["content_id"]
    place = f"orders/tenant_id=t1/ingest_date=2026-01-01/{first['content_id']}.c1.10.0"
    assert healed["bronze_key"] == f"bronze/{place}.after1.9.0.parquet"
    assert json.loads(ports.objects.get(f"validation/{place}.json")) == healed
    [reason] = healed["reasons"]
    assert (reason["column"], reason["rule"], reason["rows"], reason["first_lines"]) == ("pieces", "maximum", 1, [4])
    run_dry(ports)
    check(ports, [landed])


def test_rows_that_a_newer_contract_would_refuse_stay_and_are_told() -> None:
    ports, [landed] = lake(("1", [Row("a", 0, 0), Row("b", 0, 9)]))
    ports.deploy("2.0.0")

    replay_quarantine(ports, dataset="orders")

    report = reports(ports, landed)[-1]
    assert (report["earlier"], report["bronze"], report["quarantine"], report["refused_now"]) == (1, 1, 0, 1)


def test_a_file_that_was_refused_whole_is_taken_by_a_contract_that_can_read_it() -> None:
    ports, [landed] = lake(("1", [Row("a", 0, 0), Row("b", 0, 0)]), pieces=False)
    assert standing(reports(ports, landed)).status == "rejected"
    ports.deploy("1.10.0")
    assert replay_quarantine(ports, dataset="orders")["rejected"] == 1
    ports.deploy("2.0.0")

    assert replay_quarantine(ports, dataset="orders")["healed"] == 2

    assert [report["status"] for report in reports(ports, landed)] == ["rejected", "rejected", "accepted"]
    assert standing(reports(ports, landed)).healed == 2
    run_dry(ports)
    check(ports, [landed])


def test_the_very_version_is_read_again_whatever_the_key_holds_by_now() -> None:
    ports, [landed] = lake(("1", [Row("a", 0, BAD)]))
    ports.store.put(landed.upload.key, b"something else")
    ports.deploy("1.10.0")

    assert replay_quarantine(ports, dataset="orders")["healed"] == 1


def test_without_the_original_a_refused_file_is_read_from_its_copy_and_any_other_is_told_as_gone() -> None:
    ports, [landed] = lake(("1", [Row("a", 0, BAD), Row("b", 0, GOOD)]))
    refused = put(ports, "orders", "2", [Row("c", 0, GOOD)], pieces=False)
    validate_upload(ports, refused.upload)
    for one in (landed, refused):
        ports.store.remove(one.upload.key)
    ports.deploy("2.0.0")

    answer = replay_quarantine(ports, dataset="orders")

    assert (answer["files"], answer["healed"]) == (1, 1)
    assert answer["gone"] == [reports(ports, landed)[0]["content_id"]]
    assert len(reports(ports, landed)) == 1


def test_nothing_is_replayed_by_the_same_or_an_older_contract() -> None:
    ports, [landed] = lake(("1", [Row("a", 0, 9)]))
    assert replay_quarantine(ports, dataset="orders")["files"] == 0
    ports.deploy("1.10.0")
    replay_quarantine(ports, dataset="orders")
    ports.deploy("1.9.0")
    before = dict.fromkeys(ports.objects.keys(""))

    assert replay_quarantine(ports, dataset="orders")["files"] == 0
    validate_upload(ports, landed.upload)

    assert dict.fromkeys(ports.objects.keys("")) == before


def test_one_tenant_or_a_few_files_at_a_time() -> None:
    ports, _ = lake(*((str(number), [Row("a", 0, 9)]) for number in range(3)))
    ports.deploy("2.0.0")

    assert replay_quarantine(ports, dataset="orders", tenant_id="t2")["files"] == 0
    assert replay_quarantine(ports, dataset="orders", tenant_id="t1", limit=2)["left"] == 1
    assert replay_quarantine(ports, dataset="orders", limit=2)["left"] == 0
    with pytest.raises(BadInputError, match="dataset is 'bills', expected one of orders"):
        replay_quarantine(ports, dataset="bills")


def test_a_healed_row_whose_unique_value_is_in_bronze_already_stays_in_quarantine() -> None:
    """Line 2 was bad, so the later line 3 was taken; healing line 2 must not bring the value a second time."""
    ports, [landed] = lake(("1", [Row("a", 0, BAD), Row("a", 0, GOOD)]))
    ports.deploy("1.10.0")

    answer = replay_quarantine(ports, dataset="orders")

    assert (answer["healed"], answer["quarantine"]) == (0, 1)
    [reason] = reports(ports, landed)[-1]["reasons"]
    assert (reason["column"], reason["rule"], reason["first_lines"]) == ("id", "unique", [2])


def test_a_corrected_file_heals_its_rows_and_a_later_replay_does_not_undo_the_correction() -> None:
    ports, [bad] = lake(("1", [Row("a", 0, GOOD), Row("b", 0, BAD), Row("c", 0, 9)]))
    corrected = put(ports, "orders", "1", [Row("a", 0, GOOD), Row("b", 0, 1), Row("c", 0, 5)])
    validate_upload(ports, corrected.upload)
    promote(ports, ports.queue.messages)
    alone: Any = Ports(Fuse())
    validate_upload(alone, put(alone, "orders", "1", corrected.rows).upload)
    promote(alone, alone.queue.messages)
    values = [row[:3] for row in current(ports)]
    assert values == [row[:3] for row in current(alone)] == [row[:3] for row in current(ports)]
    # quarantine keeps what it had
    assert standing(reports(ports, bad)).quarantine == 2

    ports.deploy("1.10.0")
    assert replay_quarantine(ports, dataset="orders")["healed"] == 1
    promote(ports, ports.queue.messages)

    assert [row[:3] for row in current(ports)] == values
    check(ports, [bad, corrected])


def test_a_corrected_file_under_another_key_heals_too() -> None:
    ports, _ = lake(("1", [Row("a", 0, BAD)]), ("1-corrected", [Row("a", 0, 4)]))
    ports.deploy("1.10.0")
    replay_quarantine(ports, dataset="orders")
    promote(ports, ports.queue.messages)

    assert [row[:1] + row[2:3] for row in current(ports)] == [("a", 4)]


def test_healed_rows_are_known_from_the_replay_and_no_view_of_before_changes() -> None:
    ports, _ = lake(("1", [Row("a", 0, GOOD), Row("b", 0, BAD)]))
    promote(ports, ports.queue.messages)
    before_replay = ports.store.touch()
    then = current(ports, before_replay)
    ports.deploy("1.10.0")
    replay_quarantine(ports, dataset="orders")
    promote(ports, ports.queue.messages)

    assert current(ports, before_replay) == then
    assert [row[0] for row in then] == ["a"]
    assert [row[0] for row in current(ports, ports.store.touch())] == ["a", "b"]


def test_where_the_contract_declares_when_rows_were_known_that_stands_for_healed_ones() -> None:
    ports, _ = lake()
    for version in ("1.9.0", "1.10.0"):
        ports.deploy(version, knownAt={"column": "day"})
        if version == "1.9.0":
            validate_upload(ports, put(ports, "orders", "1", [Row("b", 0, BAD)], True).upload)
    replay_quarantine(ports, dataset="orders")
    promote(ports, ports.queue.messages)

    assert [row[0] for row in current(ports, datetime.fromisoformat("2025-01-01T00:00:01+00:00"))] == ["b"]


def test_a_message_from_before_there_were_replays_is_promoted_under_the_name_it_would_have_had() -> None:
    message = {"dataset": "orders", "tenant_id": "t1", "bronze_key": "b", "content_id": "c", "rows": 3}
    assert BronzeFile.parse(message).transaction == "c"
    assert BronzeFile.parse({**message, "known_from": "2026-01-01T00:00:00+00:00", "contract_version": "2.0.0"}) == (
        BronzeFile("orders", "t1", "b", "c", "2026-01-01T00:00:00+00:00", "2.0.0")
    )
    with pytest.raises(BadInputError, match="contract_version missing"):
        BronzeFile.parse({**message, "known_from": "2026-01-01T00:00:00+00:00"})


OCCURRENCE = ORDERS.replace(
    "      - {property: eventTime, value: ordered_at}\n",
    "      - {property: eventTime, value: ordered_at}\n"
    "      - {property: occurrence, value: {column: nth, within: [order_id, pieces]}}\n",
).replace("primaryKey: true, unique: true}", "primaryKey: true}")


def test_equal_lines_that_are_healed_are_numbered_on_from_those_in_bronze() -> None:
    contract = OCCURRENCE.replace(
        "    properties:\n      - {name: order_id, logicalType: string, primaryKey: true}\n",
        "    properties:\n      - {name: order_id, logicalType: string, primaryKey: true, primaryKeyPosition: 1}\n"
        "      - {name: nth, logicalType: integer, primaryKey: true, primaryKeyPosition: 2}\n",
    )
    ports: Any = Ports(Fuse())
    ports.pack_files = {"pack.yaml": PACK, "contracts/orders.yaml": contract}
    lines = [
        "A,1,,2026-03-01,2,9,web",
        "A,1,,2026-03-01,2,9,fax",
        "A,1,,2026-03-01,2,9,shop",
        "A,1,,2026-03-01,2,9,fax",
    ]
    key = "orders/tenant_id=t1/a.csv"
    ports.store.put(key, "\n".join(["order_id,customer,note,ordered_at,pieces,amount,channel", *lines]).encode())
    info = ports.store.head(key)
    first = validate_upload(ports, Upload("landing", key, info.version_id, info.etag))
    assert (first["bronze"], first["quarantine"]) == (2, 2)
    ports.pack_files["contracts/orders.yaml"] = contract.replace("version: 1.2.0", "version: 1.3.0").replace(
        "[web, shop]", "[web, shop, fax]"
    )

    assert replay_quarantine(ports, dataset="orders")["healed"] == 2

    promote(ports, ports.queue.messages)
    keys = ports.memory_tables.snapshot("silver/orders").file_keys()
    assert sorted(rows_of(ports, keys, "nth, _line")) == [(1, 4), (2, 2), (3, 3), (4, 5)]


FILES = (("1", [Row("a", 0, GOOD), Row("b", 0, BAD), Row("c", 0, 9)]), ("2", [Row("a", 1, 6), Row("d", 0, 7)]))


def refused_and_partly_bad() -> tuple[Any, list[Landed]]:
    ports, landed = lake(*FILES)
    refused = put(ports, "orders", "3", [Row("e", 0, GOOD)], pieces=False)
    validate_upload(ports, refused.upload)
    ports.deploy("1.10.0")
    return ports, [*landed, refused]


def calls_of_a_replay() -> int:
    ports, _ = refused_and_partly_bad()
    fuse = Fuse()
    fuse.left = 10_000
    ports.burn_by(fuse)
    replay_quarantine(ports, dataset="orders")
    assert fuse.left is not None
    return 10_000 - fuse.left


CALLS = calls_of_a_replay()


@pytest.mark.parametrize("left", range(CALLS))
def test_wherever_a_replay_dies_doing_it_again_ends_as_if_it_had_not(left: int) -> None:
    ports, landed = refused_and_partly_bad()
    fuse = Fuse()
    ports.burn_by(fuse)
    fuse.left = left
    with pytest.raises(Crash):
        replay_quarantine(ports, dataset="orders")
    fuse.left = None
    run_dry(ports)
    check(ports, landed)


@pytest.mark.parametrize("other", ["1.10.0", "2.0.0"])
@pytest.mark.parametrize("left", range(0, CALLS, 3))
def test_replays_that_meet_by_the_same_or_by_another_contract_give_a_file_one_history(left: int, other: str) -> None:
    ports, landed = refused_and_partly_bad()
    beside = ports.beside()
    beside.deploy(other)
    ports.burn_by(Meeting(left, lambda: replay_quarantine(beside, dataset="orders")))
    replay_quarantine(ports, dataset="orders")
    ports.burn_by(Fuse())
    run_dry(ports)
    check(ports, landed)


def test_every_dataset_is_replayed_by_itself() -> None:
    ports, _ = lake(("1", [Row("a", 0, 9)]))
    ports.deploy("2.0.0")
    assert {dataset: replay_quarantine(ports, dataset=dataset)["healed"] for dataset in KINDS} == {
        "orders": 1,
        "cards": 0,
    }
