"""check_quarantine: one row per day, tenant and dataset, and one metric of how many tenants breach."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from propensity.ingest.check_quarantine import check_quarantine
from propensity.ingest.replay_quarantine import replay_quarantine
from propensity.ingest.validate_upload import validate_upload
from propensity.lake.gold_tables import QUARANTINE
from tests.kit.faults import Crash, Fuse
from tests.kit.replays import Meeting, Ports, put_at_four, rows_of

START = date(2026, 2, 1)
LIMITS = "quarantine: {min_rows: 5, min_days: 3, min_files: 3, min_gaps: 3}\n"
GOOD, BAD = 3, -1
COLUMNS = "tenant_id, dataset, files, files_rejected, rows_in, bronze, quarantine, breach, measure"


def lake() -> Any:
    ports: Any = Ports(Fuse())
    ports.pack_files["pack.yaml"] += LIMITS
    return ports


def drop(ports: Any, day: date, tenant: str, *pieces: int, name: str = "a", header: str = "id,day,pieces") -> None:
    validate_upload(ports, put_at_four(ports, day, f"orders/tenant_id={tenant}/{name}.csv", pieces, header))


def slot(day: date) -> str:
    return f"{(day + timedelta(days=1)).isoformat()}T07:00:00Z"


def table(ports: Any, columns: str = f"day, {COLUMNS}") -> list[tuple[Any, ...]]:
    snapshot = ports.memory_tables.snapshot(QUARANTINE)
    return sorted(rows_of(ports, snapshot.file_keys() if snapshot else [], columns), key=repr)


def of_day(ports: Any, day: date) -> list[tuple[Any, ...]]:
    return [row[1:] for row in table(ports) if row[0] == day]


def usual_days(ports: Any, number: int = 6, *, tick: bool = True) -> date:
    """Let three tenants send ten good rows each on so many days; the day after them."""
    for ahead in range(number):
        day = START + timedelta(days=ahead)
        for tenant in ("t1", "t2", "t3"):
            drop(ports, day, tenant, *[GOOD] * 10)
        if tick:
            check_quarantine(ports, slot=slot(day))
    return START + timedelta(days=number)


def test_a_jump_a_fall_and_a_missing_file_are_told_and_counted_by_tenants() -> None:
    ports = lake()
    day = usual_days(ports)
    drop(ports, day, "t1", *[BAD] * 8, GOOD, GOOD)
    drop(ports, day, "t1", GOOD, name="b")
    drop(ports, day, "t2", *[GOOD] * 4)
    ports.metrics.counted.clear()

    answer = check_quarantine(ports, slot=slot(day))

    assert of_day(ports, day) == [
        ("t1", "orders", 2, 0, 11, 3, 8, "jump", "rate"),
        ("t2", "orders", 1, 0, 4, 4, 0, "fall", "rows"),
        ("t3", "orders", 0, 0, 0, 0, 0, "missing", "files"),
    ]
    assert (answer["day"], answer["checked"], answer["breaching"]) == (day.isoformat(), [day.isoformat()], 3)
    assert ports.metrics.counted == [("TenantsBreaching", 3, {})]
    [(rate, low, high, baseline, limit, days)] = [
        row[1:]
        for row in table(ports, "day, rate, low, high, baseline, rate_limit, baseline_days")
        if row[0] == day and row[1] == 8 / 11
    ]
    assert low < rate < high
    assert (baseline, limit, days) == (0, 0.05, 6)


def test_usual_days_are_rows_without_a_breach() -> None:
    ports = lake()
    usual_days(ports)
    assert {row[-2:] for row in table(ports)} == {("none", None)}
    assert len(table(ports)) == 18
    assert ports.metrics.total(["TenantsBreaching"]) == 0


def test_a_refused_file_is_a_jump_where_none_was_refused() -> None:
    ports = lake()
    for ahead in range(21):
        for name in ("a", "b"):
            drop(ports, START + timedelta(days=ahead), "t1", GOOD, name=name)
        check_quarantine(ports, slot=slot(START + timedelta(days=ahead)))
    day = START + timedelta(days=21)
    drop(ports, day, "t1", GOOD, header="id,pieces")
    check_quarantine(ports, slot=slot(day))
    assert of_day(ports, day) == [("t1", "orders", 1, 1, 0, 0, 0, "jump", "files")]


def test_a_second_tick_of_a_day_changes_nothing_and_says_the_same_number() -> None:
    ports = lake()
    day = usual_days(ports)
    drop(ports, day, "t1", *[BAD] * 10)
    first = check_quarantine(ports, slot=slot(day))
    before = {key: ports.objects.get(key) for key in ports.objects.keys("")}

    again = check_quarantine(ports, slot=slot(day))

    assert {key: ports.objects.get(key) for key in ports.objects.keys("")} == before
    assert again == {**first, "checked": []}
    assert [value for name, value, _ in ports.metrics.counted if name == "TenantsBreaching"][-2:] == [3, 3]


def test_a_tick_makes_up_for_those_of_the_last_week_that_did_not_come() -> None:
    daily, late = lake(), lake()
    for ports in (daily, late):
        day = usual_days(ports, tick=ports is daily)
        drop(ports, day, "t1", *[BAD] * 10)
        check_quarantine(ports, slot=slot(day))
    assert table(late) == table(daily)


def test_a_replay_changes_no_day_that_is_past_and_is_no_file_of_any() -> None:
    ports = lake()
    day = usual_days(ports, 4)
    drop(ports, day, "t1", *[9] * 10)
    check_quarantine(ports, slot=slot(day))
    before = table(ports)
    ports.deploy("2.0.0")
    ports.pack_files["pack.yaml"] += LIMITS
    assert replay_quarantine(ports, dataset="orders")["healed"] == 10
    check_quarantine(ports, slot=slot(day))
    assert table(ports) == before


def test_a_file_that_names_no_tenant_is_nobodys() -> None:
    ports = lake()
    drop(ports, START, "a b", GOOD)
    drop(ports, START, "t1", GOOD)
    check_quarantine(ports, slot=slot(START))
    assert [row[0] for row in of_day(ports, START)] == ["t1"]


def test_a_day_without_files_of_anyone_leaves_nothing() -> None:
    ports = lake()
    assert check_quarantine(ports, slot=slot(START)) == {
        "slot": slot(START),
        "day": START.isoformat(),
        "checked": [],
        "breaching": 0,
    }
    assert list(ports.objects.keys("")) == []


def two_days_waiting() -> Any:
    ports = lake()
    day = usual_days(ports, 4, tick=False)
    drop(ports, day, "t1", *[BAD] * 10)
    check_quarantine(ports, slot=slot(day - timedelta(days=2)))
    return ports, day


@pytest.mark.parametrize("share", [number / 8 for number in range(8)])
def test_wherever_a_check_dies_or_meets_another_each_day_is_judged_once(share: float) -> None:
    ports, day = two_days_waiting()
    fuse = Fuse()
    fuse.left = 10_000
    ports.burn_by(fuse)
    check_quarantine(ports, slot=slot(day))
    assert fuse.left is not None
    calls = 10_000 - fuse.left
    expected = table(ports)

    died, _ = two_days_waiting()
    fuse.left = int(share * calls)
    died.burn_by(fuse)
    with pytest.raises(Crash):
        check_quarantine(died, slot=slot(day))
    died.burn_by(Fuse())
    assert check_quarantine(died, slot=slot(day))["breaching"] == 3
    assert table(died) == expected

    met, _ = two_days_waiting()
    other = met.beside()
    met.burn_by(Meeting(int(share * calls), lambda: check_quarantine(other, slot=slot(day))))
    check_quarantine(met, slot=slot(day))
    assert table(met) == expected
