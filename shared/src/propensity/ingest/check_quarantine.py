"""check_quarantine: what came of each tenant's files, day by day, in a table; one metric for how many breach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from propensity.ingest.domain.breaches import DayCounts, Verdict, judge
from propensity.ingest.domain.register_keys import is_first, register_of
from propensity.kernel.sql_text import read_files
from propensity.lake.appends import append_once
from propensity.lake.domain.run_names import parse_day
from propensity.lake.gold_tables import QUARANTINE, QUARANTINE_PARTITION
from propensity.lake.json_objects import read_json
from propensity.lake.session import download
from propensity.pack.current import pack_info
from propensity.ports import Ports, Sql

_DAYS = 7  # a tick makes up for those that did not come in the last week

_COLUMNS = {
    "tenant_id": "varchar",
    "dataset": "varchar",
    "files": "bigint",
    "files_rejected": "bigint",
    "rows_in": "bigint",
    "bronze": "bigint",
    "quarantine": "bigint",
    "rate": "double",
    "low": "double",
    "high": "double",
    "baseline": "double",
    "rate_limit": "double",
    "baseline_days": "bigint",
    "expected": "boolean",
    "usual_gap_days": "double",
    "longest_gap_days": "bigint",
    "gaps": "bigint",
    "breach": "varchar",
    "measure": "varchar",
}

type Feed = tuple[str, str]  # tenant, dataset


def check_quarantine(ports: Ports, *, slot: str) -> dict[str, Any]:
    """Judge the day before the slot's, and those of the week before it that were not judged yet, each once.

    gold/quarantine has a row per day, tenant and dataset with files, or without where one was missing. The metric
    TenantsBreaching counts the tenants of the last day that breach in any dataset. Files are counted as they were first
    validated: a later replay changes no day that is past.
    """
    last = parse_day(slot, "slot") - timedelta(days=1)
    sql = ports.sql()
    try:
        days = [last - timedelta(days=back) for back in reversed(range(_DAYS))]
        done = ports.tables.committed(QUARANTINE, map(_transaction, days))
        checked = [day.isoformat() for day in days if _transaction(day) not in done and _check(ports, sql, day)]
        breaching = {row["tenant_id"] for row in _rows(ports, sql, last, last) if row["breach"] != "none"}
    finally:
        sql.close()
    ports.metrics.count("TenantsBreaching", len(breaching))
    return {"slot": slot, "day": last.isoformat(), "checked": checked, "breaching": len(breaching)}


def _transaction(day: date) -> str:
    return f"quarantine@{day.isoformat()}"


def _check(ports: Ports, sql: Sql, day: date) -> bool:
    """Whether there was anything to write of a day."""
    limits = pack_info(ports).quarantine
    first = day - timedelta(days=max(limits.window_days, limits.rhythm_days))
    before: defaultdict[Feed, list[DayCounts]] = defaultdict(list)
    for row in _rows(ports, sql, first, day - timedelta(days=1)):
        counts = (row[name] for name in ("day", "files", "files_rejected", "rows_in", "bronze", "quarantine"))
        before[row["tenant_id"], row["dataset"]].append(DayCounts(*counts))
    today = _counts(ports, day)
    rows = []
    for feed in sorted(before.keys() | today.keys()):
        verdict = judge(day, today.get(feed), before[feed], limits)
        if feed in today or verdict.breach:
            rows.append(_row(feed, day, today.get(feed), verdict))
    if not rows:
        return False
    sql.execute(
        f"create or replace temp table judged ({', '.join(f'{name} {kind}' for name, kind in _COLUMNS.items())})"
    )
    for values in rows:
        sql.execute(f"insert into judged values ({', '.join('?' * len(_COLUMNS))})", values)
    stamp = f"date '{day.isoformat()}' as day, '{day.isoformat()[:7]}' as month"
    append_once(ports, sql, QUARANTINE, f"select {stamp}, * from judged", _transaction(day), QUARANTINE_PARTITION)
    return True


def _counts(ports: Ports, day: date) -> Mapping[Feed, DayCounts]:
    """From the register of landings; files that nobody can be told from are nobody's breach."""
    found: dict[Feed, DayCounts] = {}
    for key in filter(is_first, ports.lake.keys(register_of(day))):
        report = read_json(ports.lake, key)
        if report["tenant_id"] is None:
            continue
        feed = (report["tenant_id"], report["dataset"])
        held = found.get(feed, DayCounts(day, 0, 0, 0, 0, 0))
        found[feed] = DayCounts(
            day,
            held.files + 1,
            held.files_rejected + (report["status"] == "rejected"),
            held.rows_in + report["rows_in"],
            held.bronze + report["bronze"],
            held.quarantine + report["quarantine"],
        )
    return found


def _row(feed: Feed, day: date, counts: DayCounts | None, verdict: Verdict) -> list[object]:
    """In the order of _COLUMNS."""
    counts = counts or DayCounts(day, 0, 0, 0, 0, 0)
    rate, beat = verdict.rate, verdict.rhythm
    return [
        *feed,
        counts.files,
        counts.files_rejected,
        counts.rows_in,
        counts.bronze,
        counts.quarantine,
        *((rate.value, rate.low, rate.high) if rate else (None, None, None)),
        verdict.baseline,
        verdict.limit,
        verdict.days,
        *((beat.expected(day), beat.usual_gap, beat.longest_gap, beat.gaps) if beat else (None, None, None, 0)),
        verdict.breach or "none",
        verdict.measure,
    ]


def _rows(ports: Ports, sql: Sql, first: date, last: date) -> Iterator[dict[str, Any]]:
    """Rows of gold/quarantine of these days, both included."""
    snapshot = ports.tables.snapshot(QUARANTINE)
    months = {(first + timedelta(days=ahead)).isoformat()[:7] for ahead in range((last - first).days + 1)}
    keys = [key for month in sorted(months) for key in snapshot.file_keys(month=month)] if snapshot else []
    if not keys:
        return
    names = ["day", *_COLUMNS]
    source = read_files(download(sql, ports.lake, keys, "quarantine"))
    where = f"day between date '{first.isoformat()}' and date '{last.isoformat()}'"
    for values in sql.rows(f"select {', '.join(names)} from {source} where {where}"):
        yield dict(zip(names, values, strict=True))
