"""check_quarantine: writes a table of each tenant's files per day, and a metric of the tenants that breach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Literal

from propensity.ingest.domain.breaches import Breach, BreachMeasure, DayCounts, DayVerdict, judge_day
from propensity.ingest.domain.landing_keys import is_first, register_of
from propensity.ingest.register import read_report
from propensity.kernel.spec import Record
from propensity.kernel.sql_text import read_files
from propensity.lake.appends import append_once
from propensity.lake.domain.run_names import parse_day
from propensity.lake.gold_tables import QUARANTINE, QUARANTINE_PARTITION
from propensity.lake.session import download
from propensity.pack.current import pack_info
from propensity.ports import Ports, Sql

_DAYS = 7  # a call also judges the earlier days of the last week for which no call came

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


class QuarantineDay(Record):
    """A row of gold/quarantine: one tenant's files of one dataset on one day, and whether the day breaches.

    `rate` is the share of quarantined rows, and `low` and `high` are its 95 % interval. `baseline`, `rate_limit` and
    `baseline_days` are the fields `baseline`, `limit` and `days` of DayVerdict. `expected` and the gaps are the
    tenant's rhythm. They are None where there are too few days to tell the rhythm.
    """

    day: date
    tenant_id: str
    dataset: str
    files: int
    files_rejected: int
    rows_in: int
    bronze: int
    quarantine: int
    rate: float | None
    low: float | None
    high: float | None
    baseline: float | None
    rate_limit: float | None
    baseline_days: int
    expected: bool | None
    usual_gap_days: float | None
    longest_gap_days: int | None
    gaps: int
    breach: Breach | Literal["none"]
    measure: BreachMeasure | None

    @property
    def counts(self) -> DayCounts:
        return DayCounts(self.day, self.files, self.files_rejected, self.rows_in, self.bronze, self.quarantine)


def check_quarantine(ports: Ports, *, slot: str) -> dict[str, Any]:
    """Judge the day before the slot, and each earlier day of its week that was not judged yet. No day is judged twice.

    gold/quarantine gets a row per day, tenant and dataset with files, and a row where a file was missing. The metric
    TenantsBreaching counts the tenants that breach on the last day in any dataset. Files count as their first
    validation found them, so a later revalidation changes no past day.
    """
    last = parse_day(slot, "slot") - timedelta(days=1)
    with ports.sql() as sql:
        days = [last - timedelta(days=back) for back in reversed(range(_DAYS))]
        done = ports.tables.committed(QUARANTINE, map(_transaction, days))
        checked = [day.isoformat() for day in days if _transaction(day) not in done and _check(ports, sql, day)]
        breaching = {row.tenant_id for row in _rows(ports, sql, last, last) if row.breach != "none"}
    ports.metrics.count("TenantsBreaching", len(breaching))
    return {"slot": slot, "day": last.isoformat(), "checked": checked, "breaching": len(breaching)}


def _transaction(day: date) -> str:
    return f"quarantine@{day.isoformat()}"


def _check(ports: Ports, sql: Sql, day: date) -> bool:
    """Judge a day and append its rows. Returns False where the day has no rows."""
    limits = pack_info(ports).quarantine
    first = day - timedelta(days=max(limits.window_days, limits.rhythm_days))
    before: defaultdict[Feed, list[DayCounts]] = defaultdict(list)
    for row in _rows(ports, sql, first, day - timedelta(days=1)):
        before[row.tenant_id, row.dataset].append(row.counts)
    today = _counts(ports, day)
    rows = []
    for feed in sorted(before.keys() | today.keys()):
        verdict = judge_day(day, today.get(feed), before[feed], limits)
        if feed in today or verdict.breach:
            rows.append(_row(feed, day, today.get(feed), verdict))
    if not rows:
        return False
    sql.execute(
        f"create or replace temp table judged ({', '.join(f'{name} {kind}' for name, kind in _COLUMNS.items())})"
    )
    for row in rows:
        values = [getattr(row, name) for name in _COLUMNS]
        sql.execute(f"insert into judged values ({', '.join('?' * len(_COLUMNS))})", values)
    stamp = f"date '{day.isoformat()}' as day, '{day.isoformat()[:7]}' as month"
    append_once(ports, sql, QUARANTINE, f"select {stamp}, * from judged", _transaction(day), QUARANTINE_PARTITION)
    return True


def _counts(ports: Ports, day: date) -> Mapping[Feed, DayCounts]:
    """The counts of a day by the register of landings, without files whose key names no tenant."""
    found: dict[Feed, DayCounts] = {}
    for key in filter(is_first, ports.lake.keys(register_of(day))):
        report = read_report(ports.lake, key)
        if report.tenant_id is None:
            continue
        feed = (report.tenant_id, report.dataset)
        so_far = found.get(feed, DayCounts(day, 0, 0, 0, 0, 0))
        found[feed] = DayCounts(
            day,
            so_far.files + 1,
            so_far.files_rejected + (report.status == "rejected"),
            so_far.rows_in + report.rows_in,
            so_far.bronze + report.bronze,
            so_far.quarantine + report.quarantine,
        )
    return found


def _row(feed: Feed, day: date, counts: DayCounts | None, verdict: DayVerdict) -> QuarantineDay:
    counts = counts or DayCounts(day, 0, 0, 0, 0, 0)
    tenant_id, dataset = feed
    rate, rhythm = verdict.rate, verdict.rhythm
    return QuarantineDay(
        day=day,
        tenant_id=tenant_id,
        dataset=dataset,
        files=counts.files,
        files_rejected=counts.files_rejected,
        rows_in=counts.rows_in,
        bronze=counts.bronze,
        quarantine=counts.quarantine,
        rate=rate.value if rate else None,
        low=rate.low if rate else None,
        high=rate.high if rate else None,
        baseline=verdict.baseline,
        rate_limit=verdict.limit,
        baseline_days=verdict.days,
        expected=rhythm.expected(day) if rhythm else None,
        usual_gap_days=rhythm.usual_gap if rhythm else None,
        longest_gap_days=rhythm.longest_gap if rhythm else None,
        gaps=rhythm.gaps if rhythm else 0,
        breach=verdict.breach or "none",
        measure=verdict.measure,
    )


def _rows(ports: Ports, sql: Sql, first: date, last: date) -> Iterator[QuarantineDay]:
    """The rows of gold/quarantine of the days from the first to the last, both included."""
    snapshot = ports.tables.snapshot(QUARANTINE)
    months = {(first + timedelta(days=ahead)).isoformat()[:7] for ahead in range((last - first).days + 1)}
    keys = [key for month in sorted(months) for key in snapshot.file_keys(month=month)] if snapshot else []
    if not keys:
        return
    names = ["day", *_COLUMNS]
    source = read_files(download(sql, ports.lake, keys, "quarantine"))
    where = f"day between date '{first.isoformat()}' and date '{last.isoformat()}'"
    for values in sql.rows(f"select {', '.join(names)} from {source} where {where}"):
        yield QuarantineDay.model_validate(dict(zip(names, values, strict=True)))
