"""`drop` sends a file and waits for its report; `status` says what landed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kit.cli_service import Answer, Command, Service

KEY = "sales/tenant_id=dealer_01/sales.csv"
LINK = "POST /v1/tenants/dealer_01/uploads"
PUT = "PUT /s3/landing?sig=secret"
DAY, BEFORE = "GET /v1/tenants/dealer_01/landings/2025-07-01", "GET /v1/tenants/dealer_01/landings/2025-06-30"
ROWS = b"id\n1\n2\n"
WHY = [{"column": "id", "rule": "unique", "message": "twice", "severity": "reject_row", "rows": 1, "first_lines": [3]}]
TAKEN = {
    "key": KEY,
    "content_id": "0" * 32,
    "arrived": "2025-07-01T00:00:02+00:00",
    "status": "accepted_in_part",
    "rows_in": 2,
    "bronze": 1,
    "quarantine": 1,
    "healed": 0,
    "promoted": True,
    "superseded": False,
    "why": WHY,
}
WAITING = {"key": KEY, "content_id": None, "arrived": "2025-07-01T00:00:02+00:00", "status": "waiting"}


def landings(*files: dict[str, Any]) -> Answer:
    told = {"expected": None, "usual_gap_days": None, "longest_gap_days": None, "gaps": 0, "last_day_before": None}
    sales = {"dataset": "sales", **told, "received": len(files), "files": list(files)}
    return Answer({"tenant_id": "dealer_01", "day": "2025-07-01", "datasets": [sales]})


@pytest.fixture
def drop(service: Service, tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "sales.csv").write_bytes(ROWS)
    headers = {"Content-Type": "text/csv", "If-None-Match": "*", "Content-Length": str(len(ROWS))}
    link = {"method": "PUT", "url": f"{service.address}/s3/landing?sig=secret", "headers": headers, "key": KEY}
    service.on(LINK, Answer({**link, "seconds": 900}))
    service.on(PUT, Answer(b""))
    service.on(BEFORE, landings())
    service.on(DAY, landings(TAKEN))
    return ("drop", str(tmp_path / "sales.csv"), "--dataset", "sales", "--tenant", "dealer_01", "--timeout", "3")


def test_a_file_is_sent_by_link_and_its_report_is_shown(
    propensity: Command, service: Service, drop: tuple[str, ...]
) -> None:
    earlier = {**TAKEN, "arrived": "2025-07-01T00:00:01+00:00", "status": "rejected"}
    service.on(
        DAY, landings(earlier, WAITING), landings(earlier, {**TAKEN, "promoted": False}), landings(earlier, TAKEN)
    )
    result = propensity(*drop)
    assert result.exit_code == 0, result.output
    asked, put = service.asked[:2]
    assert asked.json == {"dataset": "sales", "file": "sales.csv", "size": len(ROWS)}
    assert asked.is_signed(service.address)
    assert put.body == ROWS
    assert {"content-type": "text/csv", "if-none-match": "*", "content-length": "7"}.items() <= put.headers.items()
    assert "authorization" not in put.headers
    assert service.calls().count(DAY) == 3
    assert "accepted_in_part" in result.stdout
    assert "id: unique: 1 rows (first in line 3)" in result.stdout
    assert result.stderr == ""
    assert "secret" not in result.output


def test_the_report_as_json(propensity: Command, drop: tuple[str, ...]) -> None:
    answer = propensity.json(*drop, "--name", "2025/sales.csv")["answer"]
    assert answer == {"tenant_id": "dealer_01", "dataset": "sales", "key": KEY, "day": "2025-07-01", "file": TAKEN}
    assert propensity.service.asked[0].json["file"] == "2025/sales.csv"


def test_a_file_that_landed_before_midnight_is_found(
    propensity: Command, service: Service, drop: tuple[str, ...]
) -> None:
    service.on(DAY, landings())
    service.on(BEFORE, landings(TAKEN))
    assert propensity.json(*drop)["answer"]["day"] == "2025-06-30"


def test_a_file_of_which_no_row_is_taken_ends_with_3(
    propensity: Command, service: Service, drop: tuple[str, ...]
) -> None:
    refused = {**TAKEN, "status": "rejected", "bronze": 0, "promoted": False, "why": [{"message": "no column id"}]}
    service.on(DAY, landings(refused))
    result = propensity(*drop)
    assert result.exit_code == 3
    assert "no column id" in result.stdout
    assert propensity.json(*drop, code=3)["answer"]["file"]["status"] == "rejected"


def test_a_file_that_is_not_validated_in_time_ends_with_4(
    propensity: Command, service: Service, drop: tuple[str, ...]
) -> None:
    service.on(DAY, landings(WAITING))
    result = propensity(*drop, "--timeout", "0.05")
    assert result.exit_code == 4
    assert "still not validated" in result.stderr


def test_a_file_is_sent_without_waiting(propensity: Command, service: Service, drop: tuple[str, ...]) -> None:
    assert "propensity status dealer_01 2025-07-01" in propensity(*drop, "--no-wait").stdout
    assert service.calls() == [LINK, PUT]


def test_a_name_that_is_taken_asks_for_another(propensity: Command, service: Service, drop: tuple[str, ...]) -> None:
    service.on(PUT, Answer(b"<Error><Code>PreconditionFailed</Code></Error>", 412))
    result = propensity(*drop)
    assert result.exit_code == 3
    assert "--name" in result.stderr


@pytest.mark.parametrize(("status", "code"), [(403, 3), (400, 3), (503, 5)])
def test_a_store_that_refuses_is_quoted(
    status: int, code: int, propensity: Command, service: Service, drop: tuple[str, ...]
) -> None:
    service.on(PUT, Answer(b"<Error><Code>SlowDown</Code></Error>", status))
    result = propensity(*drop)
    assert result.exit_code == code
    assert "SlowDown" in result.stderr
    assert "secret" not in result.output


def test_a_file_that_is_not_there_is_named(propensity: Command, service: Service) -> None:
    result = propensity("drop", "gone.csv", "--dataset", "sales", "--tenant", "dealer_01")
    assert result.exit_code == 2
    assert "gone.csv: cannot be read: No such file" in result.stderr
    assert service.asked == []


def test_the_landings_of_a_day(propensity: Command, service: Service) -> None:
    service.on(DAY, landings(TAKEN, WAITING))
    result = propensity("status", "dealer_01", "2025-07-01")
    assert result.exit_code == 0, result.output
    assert "waiting" in result.stdout
    assert "id: unique: 1 rows (first in line 3)" in result.stdout
    assert len(propensity.json("status", "dealer_01", "2025-07-01")["answer"]["datasets"][0]["files"]) == 2


def test_the_landings_of_today_in_utc(propensity: Command, service: Service) -> None:
    propensity("status", "dealer_01")
    [call] = service.calls()
    assert call.startswith("GET /v1/tenants/dealer_01/landings/20")


def test_a_day_that_is_none_is_not_asked_for(propensity: Command, service: Service) -> None:
    assert propensity("status", "dealer_01", "1.7.2025").exit_code == 2
    assert service.asked == []
