"""A tenant's record, its links and policies for uploads, and trials of its files."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.ingest.domain.file_report import file_standing, parse_report
from propensity.ingest.validate_upload import Upload
from propensity.kernel.errors import BadInputError, ConflictError, NotFoundError, OvertimeError
from propensity.portal.manage_tenants import (
    check_sample,
    list_tenants,
    set_tenant,
    show_tenant,
    upload_link,
    upload_policy,
)
from propensity.tenants.domain.record import STATES, TAKES_EFFECT
from propensity.tenants.record_lines import lines
from tests.fakes.memory import MemoryUploadAccess
from tests.fakes.memory_tables import MemoryTables
from tests.functional.ingest.test_validate_upload_refuses import ROW, parquet
from tests.kit.drops import BUCKET, HEADER, Drops, csv_file, good
from tests.kit.faults import Crash, Fuse, Fused
from tests.kit.workbooks import workbook
from tests.kit.world import World

FIRST = datetime(2026, 1, 1, tzinfo=UTC)  # the store's clock begins here, and a write takes a second
AT = (FIRST - timedelta(days=1)).isoformat()
SAID: dict[str, Any] = {"by": "arn:anna", "at": AT}


class Desk(Drops):
    """Drops, with the ports that a tenant's record and its links need."""

    def __init__(self) -> None:
        super().__init__()
        self.upload_access = MemoryUploadAccess(self.landing)
        self.tables = MemoryTables(self.lake)

    @property
    def ports(self) -> Any:
        return self

    def set(self, state: str, *, why: object = "so agreed", at: str = AT, **rest: Any) -> dict[str, Any]:
        return set_tenant(self.ports, "t1", {"state": state, "why": why, **rest}, by="arn:anna", at=at)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_record_says_who_changed_what_when_and_why(desk: Desk) -> None:
    desk.set("onboarding", settings={"datasets": ["orders"], "region": "north"})
    desk.set("active", why="  the sample was good ")
    shown = show_tenant(desk.ports, "t1")
    assert [(one["number"], one["state"], one["by"], one["why"], one["at"]) for one in shown["record"]] == [
        (1, "onboarding", "arn:anna", "so agreed", AT),
        (2, "active", "arn:anna", "the sample was good", AT),
    ]
    assert (shown["state"], shown["settings"]) == ("active", {"datasets": ["orders"], "region": "north"})
    assert shown["missing"] == ["orders"]
    assert list_tenants(desk.ports) == {"tenants": [{"tenant_id": "t1", "state": "active", "at": AT}]}
    assert list(desk.lake.keys("")) == ["tenants/t1/record/000001.json", "tenants/t1/record/000002.json"]


def test_saying_again_what_holds_adds_nothing(desk: Desk) -> None:
    first = desk.set("active", settings={"datasets": ["orders"]})
    assert desk.set("active", at="2026-05-05T00:00:00+00:00") == first
    assert desk.set("active", settings={"datasets": ["orders"]}) == first
    assert desk.set("active", settings={"datasets": []})["number"] == 2


@given(st.lists(st.sampled_from(STATES), max_size=8))
def test_a_record_takes_only_states_that_may_follow_and_keeps_every_line(asked: list[str]) -> None:
    desk, taken = Desk(), list[str]()
    for state in asked:
        if not taken or taken[-1] == state or (taken[-1], state) in FOLLOW:
            desk.set(state)
            taken += [state] if taken[-1:] != [state] else []
        else:
            with pytest.raises(ConflictError, match=f"is {taken[-1]}, from where it may become"):
                desk.set(state)
    record = lines(desk.lake, "t1")
    assert [line.state for line in record] == taken
    assert [line.number for line in record] == list(range(1, len(taken) + 1))


FOLLOW = {
    ("onboarding", "active"),
    ("onboarding", "suspended"),
    ("onboarding", "offboarded"),
    ("active", "suspended"),
    ("active", "offboarded"),
    ("suspended", "active"),
    ("suspended", "offboarded"),
    ("offboarded", "onboarding"),
}


def test_of_many_who_write_at_once_each_gets_a_line_of_one_order(desk: Desk) -> None:
    desk.set("active")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: desk.set("active", settings={"batch": number}), range(8)))
    record = lines(desk.lake, "t1")
    assert [line.number for line in record] == list(range(1, 10))
    assert sorted(line.settings["batch"] for line in record[1:]) == list(range(8))


@pytest.mark.parametrize("left", range(8))
def test_a_change_that_dies_anywhere_is_whole_or_not_there_and_can_be_said_again(desk: Desk, left: int) -> None:
    desk.set("onboarding")
    whole, fuse = desk.lake, Fuse()
    fuse.left = left
    desk.__dict__["lake"] = Fused(whole, fuse)
    try:
        desk.set("active")
    except Crash:
        assert [line.state for line in lines(whole, "t1")] in (["onboarding"], ["onboarding", "active"])
    desk.__dict__["lake"] = whole
    desk.set("active")
    assert [line.state for line in lines(whole, "t1")] == ["onboarding", "active"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no state": ({}, "state: expected one of onboarding, active"),
    "another state": ({"state": "gone", "why": "x"}, "state: expected one of"),
    "no reason": ({"state": "active"}, "why: expected a sentence"),
    "a reason that is no text": ({"state": "active", "why": 3}, "why: expected a sentence"),
    "an address in the reason": ({"state": "active", "why": "a@b.example said so"}, "why: holds an @"),
    "a field too many": ({"state": "active", "why": "x", "by": "me"}, "unknown field 'by'"),
    "settings that are no object": ({"state": "active", "why": "x", "settings": []}, "settings: expected an object"),
    "a person's address": (
        {"state": "active", "why": "x", "settings": {"contact": "anna@dealer.example"}},
        "settings: contact: holds an @",
    ),
    "an address in a list": (
        {"state": "active", "why": "x", "settings": {"to": ["a@b.c"]}},
        "settings: to: holds an @",
    ),
    "a nested value": ({"state": "active", "why": "x", "settings": {"a": {"b": 1}}}, "settings: a: expected a text"),
    "a name that is none": ({"state": "active", "why": "x", "settings": {"a@b": 1}}, "settings: a name is"),
    "an unknown dataset": (
        {"state": "active", "why": "x", "settings": {"datasets": ["sails"]}},
        "settings: datasets: expected a list of orders",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_in_a_request_is_named_and_nothing_is_written(desk: Desk, case: str) -> None:
    body, message = WRONG[case]
    with pytest.raises(BadInputError, match=message):
        set_tenant(desk.ports, "t1", body, **SAID)
    with pytest.raises(BadInputError, match="expected 1 to 64 letters"):
        set_tenant(desk.ports, "t/1", {"state": "active", "why": "x"}, **SAID)
    assert list(desk.lake.keys("")) == []


def test_files_of_a_suspended_tenant_are_refused_whole_and_kept(desk: Desk) -> None:
    desk.set("active")
    assert desk.drop(csv_file(good(1)))["status"] == "accepted"
    desk.set("suspended")
    body = csv_file(good(2), good(3))
    report = desk.drop(body, "b.csv")
    assert (report["status"], report["bronze"], report["tenant_id"]) == ("rejected", 0, "t1")
    assert f"tenant t1 is suspended since {AT}" in report["why"]
    assert "make it active, then send the file again" in report["why"]
    assert desk.lake.get(report["quarantine_key"]) == body
    assert desk.drop(csv_file(good(2)), "b.csv", tenant="t2")["status"] == "accepted"
    desk.set("active")
    assert desk.drop(body, "b.csv")["bronze"] == 2


def test_a_file_is_decided_on_by_its_arrival_however_late_its_event_is_delivered(desk: Desk) -> None:
    report = desk.drop(csv_file(good(1)))
    arrived = desk.landing.head("orders/tenant_id=t1/a.csv").last_modified
    desk.set("suspended", at=(arrived - TAKES_EFFECT + timedelta(seconds=1)).isoformat())
    assert desk.announce("orders/tenant_id=t1/a.csv") == report
    assert list(desk.lake.keys("quarantine/")) == []


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("state"), st.sampled_from(["active", "suspended", "offboarded", "onboarding"])),
        st.tuples(st.just("file"), st.integers(1, 3)),
        st.tuples(st.just("again"), st.integers(0, 9)),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EVENTS)
def test_whatever_becomes_of_a_tenant_every_row_of_its_files_is_in_bronze_or_kept_whole(
    happened: list[tuple[str, Any]],
) -> None:
    desk = Desk()
    uploads: list[tuple[Upload, int, str]] = []
    now, state = FIRST, "active"
    for what, value in happened:
        if what == "state":
            now = desk.landing.touch()
            try:
                desk.set(value, at=(now - TAKES_EFFECT).isoformat())
                state = value
            except ConflictError:
                continue
        elif what == "file":
            body = csv_file(*(good(number) for number in range(value)))
            key = f"orders/tenant_id=t1/{len(uploads)}.csv"
            desk.landing.put(key, body)
            info = desk.landing.head(key)
            uploads.append((Upload(BUCKET, key, info.version_id, info.etag), value, state))
            desk.validate(uploads[-1][0])
        elif uploads:
            desk.validate(uploads[value % len(uploads)][0])
    reports = [json.loads(desk.lake.get(key)) for key in desk.lake.keys("validation/")]
    told = {one["key"]: one for one in reports}
    assert len(told) == len(reports) == len(uploads)
    for upload, rows, then in uploads:
        report = told[upload.key]
        if then in ("suspended", "offboarded"):
            assert (report["status"], report["bronze"]) == ("rejected", 0)
            assert desk.lake.get(report["quarantine_key"]) == desk.landing.get(upload.key)
        else:
            assert (report["bronze"], report["quarantine"]) == (rows, 0)
    assert len(list(desk.lake.keys("bronze/"))) == sum(one["status"] == "accepted" for one in reports)


def link_to(desk: Desk, **body: Any) -> dict[str, Any]:
    return upload_link(desk.ports, "t1", body, at=AT)


def test_a_link_takes_one_file_of_the_tenant_and_the_file_is_taken_in(desk: Desk) -> None:
    link = link_to(desk, dataset="orders", file="2026/a b.csv")
    assert (link["method"], link["key"], link["seconds"]) == ("PUT", "orders/tenant_id=t1/2026/a b.csv", 900)
    assert list(desk.landing.keys("")) == []
    assert desk.upload_access.put(link["url"].replace("t1", "t2"), b"x", link["headers"]) == 403
    assert desk.upload_access.put(link["url"], csv_file(good(1)), link["headers"]) == 200
    assert desk.announce(link["key"])["bronze"] == 1


REFUSED_LINKS: dict[str, tuple[dict[str, Any], str]] = {
    "no file": ({"dataset": "orders"}, "file: expected text"),
    "an unknown dataset": ({"dataset": "sails", "file": "a.csv"}, "unknown dataset, expected one of orders"),
    "another tenant's": ({"dataset": "orders/tenant_id=t2", "file": "a.csv"}, "dataset: expected one of orders"),
    "an unknown kind": ({"dataset": "orders", "file": "a.pdf"}, "unknown kind of file, expected"),
    "a way up": ({"dataset": "orders", "file": "../tenant_id=t2/a.csv"}, "none of them empty, . or .."),
    "an empty part": ({"dataset": "orders", "file": "/a.csv"}, "none of them empty"),
    "a line end": ({"dataset": "orders", "file": "a\n.csv"}, "printable"),
    "a long name": ({"dataset": "orders", "file": "é" * 600 + ".csv"}, "bytes, expected at most 1024"),
}


@pytest.mark.parametrize("case", REFUSED_LINKS)
def test_a_link_is_refused_for_what_validation_would_refuse_by_its_name(desk: Desk, case: str) -> None:
    body, message = REFUSED_LINKS[case]
    with pytest.raises(BadInputError, match=message.replace(".", "[.]")):
        link_to(desk, **body)


@pytest.mark.parametrize("state", ["suspended", "offboarded"])
def test_there_are_no_links_for_a_tenant_whose_files_are_not_taken_in(desk: Desk, state: str) -> None:
    desk.set(state)
    with pytest.raises(ConflictError, match=f"t1: is {state}"):
        link_to(desk, dataset="orders", file="a.csv")


def test_a_policy_names_the_tenant_s_prefixes_and_putting_alone(desk: Desk) -> None:
    [statement] = upload_policy(desk.ports, "t1")["Statement"]
    assert statement["Action"] == ["s3:PutObject"]
    assert statement["Resource"] == ["arn:aws:s3:::landing/orders/tenant_id=t1/*"]
    with pytest.raises(BadInputError):
        upload_policy(desk.ports, "*")


def trial(desk: Desk, body: bytes, file: str = "a.csv") -> dict[str, Any]:
    content = {"base64": base64.b64encode(body).decode()}
    return check_sample(desk.ports, "t1", {"dataset": "orders", "file": file, **content}, at=AT)


SAMPLES: dict[str, tuple[Callable[[], bytes], str]] = {
    "good and bad rows": (lambda: csv_file(good(1), "A2,1,ok,yesterday,200,-1,fax", "", good(3), good(1)), "a.csv"),
    "a column too many": (lambda: csv_file(good(1) + ",x", header=HEADER + ",more"), "a.csv"),
    "json lines": (lambda: b'{"order_id": "A1"}\nno json\n', "a.jsonl"),
    "parquet": (lambda: parquet(ROW), "a.parquet"),
    "nothing": (lambda: b"", "a.csv"),
    "no gzip": (lambda: b"x", "a.csv.gz"),
    "an unknown kind": (lambda: b"x", "a.pdf"),
    "a workbook": (lambda: workbook(HEADER.split(","), good(1).split(",")), "a.xlsx"),
    "no workbook": (lambda: b"x", "a.xlsx"),
}


@pytest.mark.parametrize("case", SAMPLES)
def test_a_trial_says_what_validation_would_say_and_writes_nothing(desk: Desk, case: str) -> None:
    make, file = SAMPLES[case]
    told = trial(desk, make(), file)
    assert [list(store.keys("")) for store in (desk.lake, desk.landing)] == [[], []]
    assert desk.promote_queue.messages == []
    report = desk.drop(make(), file)
    assert {"status", "rows_in", "bronze", "quarantine"} <= told.keys()
    same = {name: report[name] for name in told}
    assert told == same | {"status": file_standing([parse_report(json.dumps(report).encode())]).status}


@pytest.mark.parametrize("tenant", [".", "..", "unknown", "Unknown", "a/b", ""])
def test_a_trial_for_a_tenant_that_nobody_may_be_is_refused(desk: Desk, tenant: str) -> None:
    asked = {"dataset": "orders", "file": "a.csv", "text": csv_file(good(1)).decode()}
    with pytest.raises(BadInputError, match="tenant"):
        check_sample(desk.ports, tenant, asked, at=AT)


def test_a_trial_takes_text_and_names_what_it_cannot_take(desk: Desk) -> None:
    asked: dict[str, Any] = {"dataset": "orders", "file": "a.csv", "text": csv_file(good(1)).decode()}
    assert check_sample(desk.ports, "t1", asked, at=AT)["bronze"] == 1
    for wrong, message in (
        ({"text": None}, "text: expected the file's content"),
        ({"base64": "eA=="}, "one of them"),
        ({"text": None, "base64": "*"}, "base64: cannot be decoded"),
        ({"text": "x" * 1_000_001}, "1000001 bytes, expected at most 1000000"),
    ):
        with pytest.raises(BadInputError, match=message):
            check_sample(desk.ports, "t1", {**asked, **wrong}, at=AT)


def test_a_trial_that_takes_too_long_says_so_before_the_gateway_gives_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    class Slow(DuckDbSql):
        def __init__(self, seconds: float) -> None:
            given.append(seconds)
            super().__init__(seconds=seconds)

        def execute(self, sql: str, parameters: Any = ()) -> None:
            raise OvertimeError("too long")

    monkeypatch.setattr(desk, "sql", Slow)
    told = trial(desk, csv_file(good(1)))
    assert told["status"] == "rejected"
    assert told["why"].endswith("takes more than 20 seconds, the budget of seconds is 20; split the file")
    assert given[0] < 29  # seconds after which the gateway answers 504 by itself


def test_a_tenant_of_whom_nothing_is_known_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFoundError, match="nobody: has no record, and nothing came of it"):
        show_tenant(desk.ports, "nobody")


SALES = """sale_id,customer_id,vin,sold_on,condition,finance,price,recorded_at
S{0},C0034804,1HGCM82633A004352,2025-05-02,new,loan,31999.00,2025-05-02 18:00:00
S{0}1,C0034805,1HGCM82633A004352,2025-05-03,new,cash,{1},2025-05-03 18:00:00
"""


def test_readiness_counts_files_and_rows_and_says_what_is_missing(tmp_path: Path) -> None:
    world = World("automotive", tmp_path)
    body = {"state": "onboarding", "why": "x", "settings": {"datasets": ["sales", "leases"]}}
    set_tenant(world, "dealer_01", body, **SAID)
    world.put("sales/tenant_id=dealer_01/1.csv", SALES.format("001", "12000.00").encode())
    world.put("sales/tenant_id=dealer_01/2.csv", SALES.format("002", "cheap").encode())
    world.put("sales/tenant_id=dealer_01/3.csv", b"")
    world.put("sales/tenant_id=dealer_010/1.csv", SALES.format("001", "12000.00").encode())
    world.promote()
    shown = show_tenant(world, "dealer_01")
    assert shown["datasets"] == {
        "sales": {"files": 2, "refused": 1, "first": "2026-01-01", "last": "2026-01-01", "rows": 3},
        "leases": {"files": 0, "refused": 0, "first": None, "last": None, "rows": 0},
    }
    assert shown["missing"] == ["leases"]
    without_record = show_tenant(world, "dealer_010")
    assert (without_record["state"], without_record["record"]) == (None, [])
    assert without_record["datasets"]["sales"]["rows"] == 2
