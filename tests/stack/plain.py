"""What files say, read with the standard library only: which rows are good, and which is the latest of each key.

Written after docs/reference/contracts.md, without the product's code, for three of the automotive pack's datasets.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime

Values = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """`columns` in the order of a row's values; the latest row of a key is the one with the greatest `rank`."""

    name: str
    columns: tuple[str, ...]
    key: str
    unique: bool
    rank: tuple[str, ...]

    def place(self, column: str) -> int:
        return self.columns.index(column)


DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "sales",
            ("sale_id", "customer_id", "vin", "sold_on", "condition", "finance", "price", "recorded_at"),
            key="sale_id",
            unique=True,
            rank=("recorded_at",),
        ),
        Dataset(
            "vehicles",
            ("vin", "customer_id", "make", "model_year", "first_registered_on", "valid_from", "recorded_at"),
            key="vin",
            unique=False,
            rank=("valid_from", "recorded_at"),
        ),
        Dataset(
            "service_records",
            (
                *("service_id", "revision", "customer_id", "vin", "visited_at", "visit_kind"),
                *("odometer_km", "amount", "declined_amount", "recorded_at"),
            ),
            key="service_id",
            unique=False,
            rank=("revision", "recorded_at"),
        ),
    )
}
UPPER, LOWER = {"vin"}, {"condition", "finance", "visit_kind"}
MONEY, WHOLE = {"price", "amount", "declined_amount"}, {"model_year", "revision", "odometer_km"}
MOMENTS = {"visited_at", "recorded_at"}
OPTIONAL = {"declined_amount"}


def _ident(value: str) -> bool:
    return bool(re.fullmatch(r"[A-Z0-9-]{3,20}", value))


def _day(value: str) -> bool:
    try:
        return date(1990, 1, 1) <= date.fromisoformat(value) <= date(2100, 1, 1)
    except ValueError:
        return False


def _moment(value: str) -> bool:
    try:
        return datetime(1990, 1, 1) <= datetime.strptime(value, "%Y-%m-%d %H:%M:%S") <= datetime(2100, 1, 1)  # noqa: DTZ001, DTZ007 - all of them UTC
    except ValueError:
        return False


def _between(low: float, high: float) -> Callable[[str], bool]:
    def within(value: str) -> bool:
        return bool(re.fullmatch(r"-?\d+(\.\d+)?", value)) and low <= float(value) <= high

    return within


CHECKS: dict[str, Callable[[str], bool]] = {
    "sale_id": _ident,
    "service_id": _ident,
    "customer_id": _ident,
    "vin": lambda value: bool(re.fullmatch(r"[A-HJ-NPR-Z0-9]{17}", value)),
    "sold_on": _day,
    "first_registered_on": _day,
    "valid_from": _day,
    "condition": lambda value: value in ("new", "used"),
    "finance": lambda value: value in ("cash", "loan", "lease"),
    "visit_kind": lambda value: value in ("maintenance", "repair", "inspection", "recall"),
    "make": bool,
    "model_year": _between(1950, 2100),
    "revision": _between(1, 99),
    "odometer_km": _between(0, 1_000_000),
    "price": _between(0.01, 500_000),
    "amount": _between(0, 50_000),
    "declined_amount": _between(0, 50_000),
    "visited_at": _moment,
    "recorded_at": _moment,
}


@dataclass(frozen=True, slots=True)
class Read:
    """A file's rows by line: values of the good ones, raw lines of the bad ones."""

    good: dict[int, Values]
    bad: dict[int, str]


def read(key: str, body: bytes) -> Read | None:
    """The rows of a file; None where it must be refused whole."""
    found = re.fullmatch(r"([^/]+)/tenant_id=([A-Za-z0-9_.-]{1,64})/.*?(\.csv|\.csv\.gz|\.jsonl)", key)
    if not found or found[1] not in DATASETS:
        return None
    dataset, tenant = DATASETS[found[1]], found[2]
    lines = (gzip.decompress(body) if found[3] == ".csv.gz" else body).decode().split("\n")[:-1]
    if found[3] == ".jsonl":
        rows = [(number, line, json.loads(line)) for number, line in enumerate(lines, 1)]
    else:
        if not lines or not set(dataset.columns) <= set(header := lines[0].split(",")):
            return None
        # no value of these files holds a line break, so a line is a record
        split = [next(csv.reader([line])) for line in lines[1:]]
        rows = [
            (number, line, dict(zip(header, values, strict=True)))
            for number, line, values in zip(range(2, len(lines) + 1), lines[1:], split, strict=True)
        ]
    if not rows:
        return None
    good: dict[int, Values] = {}
    bad: dict[int, str] = {}
    taken: set[str] = set()
    for number, line, row in rows:
        values = tuple(_clean(column, row[column] or "") for column in dataset.columns)
        whose = (row.get("tenant_id") or "").strip()
        key_value = values[dataset.place(dataset.key)]
        fits = all(
            CHECKS[column](value) if value else column in OPTIONAL
            for column, value in zip(dataset.columns, values, strict=True)
        )
        if fits and whose in ("", tenant) and not (dataset.unique and key_value in taken):
            good[number] = tuple(as_text(column, value) for column, value in zip(dataset.columns, values, strict=True))
            taken.add(key_value)
        else:
            bad[number] = line
    return Read(good, bad)


def _clean(column: str, value: str) -> str:
    value = value.strip()
    return value.upper() if column in UPPER else value.lower() if column in LOWER else value


def as_text(column: str, value: object) -> str:
    """A value as text: equal for a value of a file and for the same value in the lake."""
    if value is None or value == "":
        return ""
    if column in MONEY:
        return f"{float(str(value)):.2f}"
    if column in WHOLE:
        return str(int(str(value)))
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return str(value).removesuffix("+00") if column in MOMENTS else str(value)


def latest(dataset: Dataset, rows: Iterable[tuple[str, str, Values]], *, before: str | None) -> set[tuple[str, Values]]:
    """Of rows (tenant, arrival, values), each tenant's latest of each key; only rows known before the moment count.

    A row is known when it was recorded. A row that was recorded no later than one of its fact that arrived before it is
    known when it arrived.
    """
    recorded, key = dataset.place("recorded_at"), dataset.place(dataset.key)
    rows = list(rows)

    def rank(arrival: str, values: Values) -> tuple[list[tuple[int, str]], str]:
        # so that numbers compare by size: the longer is the greater
        ranked = [values[dataset.place(column)] for column in dataset.rank]
        return [(len(value), value) for value in ranked], arrival

    facts: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    parts = [key, dataset.place("valid_from")] if "valid_from" in dataset.columns else [key]
    for tenant, arrival, values in rows:
        told = facts.setdefault((tenant, *(values[part] for part in parts)), [])
        told.append((arrival.replace("T", " "), values[recorded]))

    def is_known(tenant: str, arrival: str, values: Values) -> bool:
        if before is None or (values[recorded] < before and arrival < before):
            return True
        told = facts[(tenant, *(values[part] for part in parts))]
        return values[recorded] < before and not any(
            earlier < arrival and as_recorded >= values[recorded] for earlier, as_recorded in told
        )

    found: dict[tuple[str, str], tuple[str, Values]] = {}
    for tenant, arrival, values in rows:
        if not is_known(tenant, arrival.replace("T", " "), values):
            continue
        known = found.get((tenant, values[key]))
        if known is None or rank(*known) < rank(arrival, values):
            found[(tenant, values[key])] = arrival, values
    return {(tenant, values) for (tenant, _), (_, values) in found.items()}
