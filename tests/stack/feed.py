"""Seeded files of a few dealers: good rows and bad, doubled, corrected, overwritten, sent again, and unreadable."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random

from tests.stack.automotive.faults import FAULTS, NOISE, Row
from tests.stack.plain import DATASETS

TENANTS = ("dealer_01", "dealer_02", "dealer-3")
SUFFIXES = (".csv", ".csv", ".csv.gz", ".jsonl")
START = datetime(2024, 1, 1)  # noqa: DTZ001 - the files say UTC without a zone
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"


@dataclass(frozen=True, slots=True)
class Sent:
    """What was put under a key. `rows` are its rows in the order of its lines; none where the file cannot be read."""

    key: str
    body: bytes
    dataset: str
    rows: tuple[Row, ...]


class Feed:
    """Equal seeds give equal files. No two rows are recorded at one moment, so each key has one latest row."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - test data, not secrets
        self._minutes = 0
        self._ids = 0
        self._known: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
        self._sent: list[Sent] = []

    @property
    def now(self) -> datetime:
        """When the newest row was recorded."""
        return START + timedelta(minutes=self._minutes)

    def files(self, run: int, count: int) -> list[Sent]:
        return [self._file(run, number) for number in range(count)]

    def _file(self, run: int, number: int) -> Sent:
        again = [sent for sent in self._sent if sent.rows]
        kind = self._random.choices(
            ("new", "overwrite", "again", "copy", "reordered", "reject"),
            (55, 15, 8, 7, 7, 8) if again else (1, 0, 0, 0, 0, 0),
        )[0]
        if kind == "reject":
            return self._unreadable(run, number)
        if kind == "new":
            dataset, tenant = self._random.choice(sorted(DATASETS)), self._random.choice(TENANTS)
            key = f"{dataset}/tenant_id={tenant}/run-{run}/{number:03d}{self._random.choice(SUFFIXES)}"
            return self._keep(key, dataset, self._rows(dataset, tenant))
        old = self._random.choice(again[-60:])
        place, _, name = old.key.rpartition("/")
        tenant = place.split("tenant_id=")[1].split("/")[0]
        if kind == "overwrite":
            return self._keep(old.key, old.dataset, self._rows(old.dataset, tenant))
        if kind == "again":
            return old
        rows = list(old.rows)
        if kind == "reordered":
            self._random.shuffle(rows)
        return self._keep(f"{place}/{kind}-{run}-{number:03d}-{name}", old.dataset, rows)

    def _keep(self, key: str, dataset: str, rows: list[Row]) -> Sent:
        made = Sent(key, _body(key, rows), dataset, tuple(rows))
        self._sent.append(made)
        return made

    def _unreadable(self, run: int, number: int) -> Sent:
        name = f"refused-{run}-{number:03d}"
        body = _body("a.csv", self._rows("sales", TENANTS[0]))
        key, body = self._random.choice(
            [
                (f"sales/tenant_id=dealer_01/{name}.csv", b""),
                (f"sales/tenant_id=dealer_01/{name}.csv", body.replace(b"price", b"prize", 1)),
                (f"boats/tenant_id=dealer_01/{name}.csv", body),
                (f"sales/tenant_id=dealer 01/{name}.csv", body),
                (f"sales/tenant_id=dealer_01/{name}.xlsx", body),
            ]
        )
        return Sent(key, body, "sales", ())

    def _rows(self, dataset: str, tenant: str) -> list[Row]:
        """New keys, corrections of old ones, a doubled line now and then, and rows that break a rule."""
        known = self._known[(dataset, tenant)]
        rows = []
        for _ in range(self._random.randint(5, 60)):
            old = self._random.choice(known) if known and self._random.random() < 0.35 else None
            row = self._row(dataset, tenant, old)
            known.append(row)
            rows.append(row)
            if self._random.random() < 0.03:
                rows.append(row)
        for place in range(len(rows)):
            chance = self._random.random()
            if chance < 0.06:
                rows[place] = dict(rows[place])
                self._random.choice(FAULTS[dataset])[0](rows[place])
            elif chance < 0.12:
                rows[place] = dict(rows[place])
                NOISE[dataset](rows[place])
        return rows

    def _row(self, dataset: str, tenant: str, old: Row | None) -> Row:
        random = self._random
        self._minutes += 1
        self._ids += 1
        recorded = {"recorded_at": (START + timedelta(minutes=self._minutes)).strftime("%Y-%m-%d %H:%M:%S")}
        customer = {"customer_id": f"C-{random.randint(1, 5000)}"}
        vin = "".join(random.choices(_LETTERS, k=17))
        day = (date(2021, 1, 1) + timedelta(days=random.randint(0, 1400))).isoformat()
        money = f"{random.randint(100, 4_000_000) / 100:.2f}"
        if dataset == "sales":
            row = {
                "sale_id": f"S-{self._ids}",
                **customer,
                "vin": vin,
                "sold_on": day,
                "condition": random.choice(("new", "used")),
                "finance": random.choice(("cash", "loan", "lease")),
                "price": money,
            }
            kept = ["sale_id", "customer_id", "vin"]
        elif dataset == "vehicles":
            row = {
                "vin": vin,
                **customer,
                "make": random.choice(("Volvo", 'Citroën, "DS"', "Škoda")),
                "model_year": str(random.randint(1990, 2025)),
                "first_registered_on": day,
                "valid_from": day,
            }
            kept = ["vin", "make"]
        else:
            row = {
                "tenant_id": random.choice(("", tenant)),
                "service_id": f"V-{self._ids}",
                "revision": str(random.randint(1, 4)),
                **customer,
                "vin": vin,
                "visited_at": f"{day} {random.randint(0, 23):02d}:30:00",
                "visit_kind": random.choice(("maintenance", "repair", "inspection", "recall")),
                "odometer_km": str(random.randint(0, 300_000)),
                "amount": money,
                "declined_amount": random.choice(("", "12.50")),
            }
            kept = ["service_id", "customer_id"]
        return {**row, **({name: old[name] for name in kept} if old else {}), **recorded}


def _body(key: str, rows: list[Row]) -> bytes:
    if key.endswith(".jsonl"):
        return "".join(json.dumps({name: value or None for name, value in row.items()}) + "\n" for row in rows).encode()
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    # without the time of packing, so that equal rows give equal bytes
    return gzip.compress(text.getvalue().encode(), mtime=0) if key.endswith(".gz") else text.getvalue().encode()
