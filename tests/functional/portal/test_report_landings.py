"""report_landings: a tenant's day, from the landing bucket and the register."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from propensity.ingest.replay_quarantine import replay_quarantine
from propensity.ingest.validate_upload import Upload, validate_upload
from propensity.kernel.errors import BadInputError
from propensity.portal.report_landings import report_landings
from tests.kit.faults import Fuse
from tests.kit.replays import Ports, promote, put_at_four

DAY = date(2026, 3, 2)
GOOD, BAD = 3, -1


@pytest.fixture
def ports() -> Any:
    return Ports(Fuse())


def land(
    ports: Any, name: str, *pieces: int, day: date = DAY, tenant: str = "t1", header: str = "id,day,pieces"
) -> Any:
    return put_at_four(ports, day, f"orders/tenant_id={tenant}/{name}", pieces, header)


def drop(ports: Any, name: str, *pieces: int, **where: Any) -> None:
    validate_upload(ports, land(ports, name, *pieces, **where))


def asked(ports: Any, day: date = DAY, tenant: str = "t1") -> dict[str, Any]:
    answer = report_landings(ports, tenant_id=tenant, day=day.isoformat())
    assert answer["day"] == day.isoformat()
    assert json.loads(json.dumps(answer)) == answer
    found: dict[str, Any] = next(one for one in answer["datasets"] if one["dataset"] == "orders")
    return found


def files(ports: Any, day: date = DAY, tenant: str = "t1") -> dict[str, Any]:
    return {file["key"].rsplit("/", 1)[-1]: file for file in asked(ports, day, tenant)["files"]}


def test_each_file_says_how_it_stands_and_why(ports: Any) -> None:
    drop(ports, "good.csv", GOOD, GOOD)
    drop(ports, "part.csv", GOOD, BAD, BAD)
    drop(ports, "none.csv", BAD)
    drop(ports, "refused.csv", GOOD, header="id,pieces,more")
    land(ports, "waiting.csv", GOOD)

    found = files(ports)

    assert {
        name: (file["status"], *(file.get(field) for field in ("rows_in", "bronze", "quarantine")))
        for name, file in found.items()
    } == {
        "good.csv": ("accepted", 2, 2, 0),
        "part.csv": ("accepted_in_part", 3, 1, 2),
        "none.csv": ("rejected", 1, 0, 1),
        "refused.csv": ("rejected", 0, 0, 0),
        "waiting.csv": ("waiting", None, None, None),
    }
    [why] = found["part.csv"]["why"]
    assert (why["column"], why["rule"], why["rows"], why["first_lines"]) == ("pieces", "minimum", 2, [3, 4])
    assert "column day missing" in found["refused.csv"]["why"][0]["message"]
    assert found["good.csv"]["why"] == []
    assert found["good.csv"]["arrived"].startswith("2026-03-02T04:00:0")
    assert asked(ports)["received"] == 5


def test_a_file_is_promoted_when_all_of_its_rows_are_in_silver(ports: Any) -> None:
    drop(ports, "a.csv", GOOD, 9)
    assert files(ports)["a.csv"]["promoted"] is False
    promote(ports, ports.queue.messages)
    assert files(ports)["a.csv"]["promoted"] is True
    ports.deploy("2.0.0")
    replay_quarantine(ports, dataset="orders")
    healed = files(ports)["a.csv"]
    assert (healed["status"], healed["bronze"], healed["healed"], healed["promoted"]) == ("accepted", 2, 1, False)
    promote(ports, ports.queue.messages)
    assert files(ports)["a.csv"]["promoted"] is True


def test_a_file_is_superseded_once_a_later_one_of_its_key_is_accepted(ports: Any) -> None:
    next_day = DAY + timedelta(days=1)
    drop(ports, "a.csv", BAD)
    drop(ports, "a.csv.csv", GOOD)
    drop(ports, "a.csv", GOOD, day=next_day, header="id,pieces,more")
    upload = land(ports, "a.csv", GOOD, day=next_day)
    assert files(ports)["a.csv"]["superseded"] is False
    validate_upload(ports, upload)
    assert files(ports)["a.csv"]["superseded"] is True
    assert [file["superseded"] for file in asked(ports, next_day)["files"]] == [True, False]
    assert files(ports)["a.csv.csv"]["superseded"] is False


def test_a_file_does_not_supersede_itself_where_a_listing_is_finer_than_the_object(
    ports: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(ports, "a.csv", GOOD)
    listed = ports.store.versions

    def in_milliseconds(prefix: str) -> Any:
        for info in listed(prefix):
            yield replace(info, last_modified=info.last_modified + timedelta(milliseconds=417))

    monkeypatch.setattr(ports.store, "versions", in_milliseconds)
    assert files(ports)["a.csv"]["superseded"] is False

    drop(ports, "a.csv", GOOD)
    assert [file["superseded"] for file in asked(ports)["files"]] == [True, False]


def test_a_marker_of_spark_is_no_file_of_the_day(ports: Any) -> None:
    drop(ports, "_SUCCESS", GOOD)
    drop(ports, "part-00000.csv", GOOD)
    assert set(files(ports)) == {"part-00000.csv"}
    assert asked(ports)["received"] == 1


def test_what_is_expected_comes_from_the_tenants_own_rhythm_before_the_day(ports: Any) -> None:
    for back in range(6, 0, -1):
        land(ports, "week.csv", GOOD, day=DAY - timedelta(days=7 * back))
    found = asked(ports)
    assert {name: found[name] for name in ("expected", "usual_gap_days", "longest_gap_days", "gaps", "received")} == {
        "expected": True,
        "usual_gap_days": 7,
        "longest_gap_days": 7,
        "gaps": 5,
        "received": 0,
    }
    assert found["last_day_before"] == (DAY - timedelta(days=7)).isoformat()
    assert asked(ports, DAY - timedelta(days=1))["expected"] is False
    land(ports, "week.csv", GOOD)
    assert asked(ports)["expected"] is True
    assert asked(ports, tenant="t2")["expected"] is None


def test_a_file_says_the_content_id_that_a_retraction_takes(ports: Any) -> None:
    drop(ports, "a.csv", GOOD)
    land(ports, "b.csv")
    [report] = [json.loads(ports.lake.get(key)) for key in ports.lake.keys("validation/")]
    found = {name: file["content_id"] for name, file in files(ports).items()}
    assert found == {"a.csv": report["content_id"], "b.csv": None}


def test_a_tenant_sees_its_own_files_and_its_own_day_only(ports: Any) -> None:
    drop(ports, "a.csv", GOOD)
    drop(ports, "b.csv", GOOD, tenant="t11")
    drop(ports, "c.csv", GOOD, tenant="a b")
    drop(ports, "d.csv", GOOD, day=DAY + timedelta(days=1))
    assert list(files(ports)) == ["a.csv"]
    with pytest.raises(BadInputError, match="or unknown"):
        files(ports, tenant="unknown")
    assert [one["dataset"] for one in report_landings(ports, tenant_id="t1", day="2026-03-02")["datasets"]] == [
        "orders",
        "cards",
    ]


def test_a_file_for_a_dataset_that_there_is_not_is_told_too(ports: Any) -> None:
    key = "bills/tenant_id=t1/a.csv"
    ports.store.put(key, b"x")
    info = ports.store.head(key)
    validate_upload(ports, Upload("landing", key, info.version_id, info.etag))
    [*_, unknown] = report_landings(ports, tenant_id="t1", day="2026-01-01")["datasets"]
    assert unknown["dataset"] == "unknown"
    assert "unknown dataset, expected" in unknown["files"][0]["why"][0]["message"]


def test_the_answer_outlives_the_object_in_the_landing_bucket(ports: Any) -> None:
    drop(ports, "a.csv", GOOD)
    ports.store.remove("orders/tenant_id=t1/a.csv")
    assert files(ports)["a.csv"]["status"] == "accepted"


@pytest.mark.parametrize(("tenant", "day", "what"), [("t/1", "2026-03-02", "tenant"), ("t1", "yesterday", "day")])
def test_what_is_no_tenant_or_no_day_is_refused(ports: Any, tenant: str, day: str, what: str) -> None:
    with pytest.raises(BadInputError, match=what):
        report_landings(ports, tenant_id=tenant, day=day)
