"""Drop files as a dealer's system writes them. Faults are planted in them and listed in a manifest."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.stack.automotive import feeds
from tests.stack.automotive.faults import FAULTS, plant
from tests.stack.automotive.people import LENDS, People, people
from tests.stack.automotive.simulate import AS_OF, MAKES, START, World
from tests.stack.automotive.truth import (
    customer_id,
    day_of,
    dealers_told,
    pairs_told,
    vin,
    write_people,
    write_truth,
)
from tests.stack.scenarios import Drop

PHASES = ("history", "gap", "outcomes")
SUPPRESSED = 0.02  # the share of customers whom their dealer does not want contacted
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Generated:
    """The files of each phase in the order to drop them, the manifest, the true probabilities, and who is whom.

    The manifest lists what is planted: faulty rows, pairs of customers, late and changed files, dealers' true rates.
    """

    phases: dict[str, list[Drop]]
    manifest: Path
    truth: Path
    people: Path


@dataclass(frozen=True, slots=True)
class _Stamped:
    """A row, its dealer, when it was recorded, and whether its customer is new between AS_OF and the gap day."""

    tenant: int
    recorded: datetime
    newcomer: bool
    row: Row


def write_files(world: World, out: Path, *, seed: int, gap_day: date) -> Generated:
    random = np.random.default_rng(seed + 1)
    known = people(world, seed=seed + 3)
    tables = _tables(world, known, random, gap_day)
    # drawn last and apart, so that nothing else depends on how many entries there are
    tables["suppressions"] = _suppressions(world, np.random.default_rng(seed + 5))
    phases: dict[str, list[Drop]] = {phase: [] for phase in PHASES}
    manifest: list[dict[str, Any]] = []
    files: list[dict[str, Any]] = []
    late: list[Drop] = []
    for dataset, stamped in tables.items():
        groups: dict[tuple[str, int, int], list[Row]] = defaultdict(list)
        for row in sorted(stamped, key=lambda row: row.recorded):
            groups[(*_file_of(world, dataset, row, gap_day), row.tenant)].append(row.row)
        tails: dict[str, list[Row]] = defaultdict(list)
        for (phase, part, tenant), rows in sorted(groups.items(), key=lambda item: (PHASES.index(item[0][0]), item[0])):
            dealer = world.dealers[tenant]
            if phase != "gap":
                # an export repeats the last rows of the one before; only the list of new customers does not
                rows = tails[dealer] + rows
            tails[dealer] = rows[-20:]
            planted = plant(dataset, rows, dealer, random)
            name, path = _write(out, dataset, dealer, phase, part, rows)
            # files land side by side. A correction that lands before what it corrects makes that a restatement; so
            # the late file comes long after the phase's others, that each run finds the same
            (late if (phase, tenant, part) == ("outcomes", feeds.late_dealer(world), 1) else phases[phase]).append(
                Drop(path, name)
            )
            files.append({"key": name, "phase": phase, "rows": len(rows), "faulty": len(planted)})
            manifest += [{"key": name, **fault} for fault in planted]
    phases["outcomes"] += late
    changed = _changed_again(world, tables[feeds.CHANGED_DATASET], out, phases)
    files += [{"key": one["key"], "phase": one["phase"], "rows": one["rows"], "faulty": 0} for one in changed]
    told = {
        "files": files,
        "faults": manifest,
        "dealers": dealers_told(world),
        "late": _late(world, tables),
        "changed": changed,
        "pairs": pairs_told(world, known),
    }
    path = out / "manifest.json"
    path.write_text(json.dumps(told, indent=1))
    return Generated(phases, path, write_truth(world, out), write_people(world, known, out))


def _file_of(world: World, dataset: str, one: _Stamped, gap_day: date) -> tuple[str, int]:
    """(phase, part): the visits of four years come in two exports, everything else in one export for each phase.

    What comes late is a file of its own.
    """
    if feeds.is_late(world, dataset, one.tenant, one.recorded):
        return "outcomes", 1 if one.recorded.date() < AS_OF else 0
    if one.recorded.date() < AS_OF:
        early = dataset == "service_records" and one.recorded.date() < AS_OF - timedelta(days=540)
        return "history", 0 if early or dataset != "service_records" else 1
    if one.newcomer and one.recorded.date() < gap_day:
        return "gap", 0
    return "outcomes", 0


def _changed_again(
    world: World, stamped: list[_Stamped], out: Path, phases: dict[str, list[Drop]]
) -> list[dict[str, Any]]:
    """Write the vehicles' exports that change what the first one said. They are the last files of their phases."""
    tenant = feeds.changing_dealer(world)
    if tenant is None:
        return []
    dealer = world.dealers[tenant]
    own = [one.row for one in stamped if one.tenant == tenant and one.recorded.date() < AS_OF]
    found = []
    for phase in ("history", "outcomes"):
        vehicles = {vin(vehicle) for vehicle in feeds.changes(world, phase)}
        rows = [
            {**row, "first_registered_on": feeds.OLD, "model_year": feeds.OLD[:4]} if row["vin"] in vehicles else row
            for row in own
        ]
        # the number after that of the phase's own export
        name, path = _write(out, feeds.CHANGED_DATASET, dealer, phase, 1, rows)
        phases[phase].append(Drop(path, name))
        changed = sum(row["vin"] in vehicles for row in own)
        one = {"key": name, "phase": phase, "tenant_id": dealer, "rows": len(rows), "changed": changed}
        found.append({**one, "features": feeds.CHANGED_FEATURES})
    return found


def _late(world: World, tables: dict[str, list[_Stamped]]) -> list[dict[str, Any]]:
    tenant = feeds.late_dealer(world)
    if tenant is None:
        return []
    rows = sum(
        feeds.is_late(world, feeds.LATE_DATASET, one.tenant, one.recorded) and one.recorded.date() < AS_OF
        for one in tables[feeds.LATE_DATASET]
    )
    dealer = world.dealers[tenant]
    return [{"tenant_id": dealer, "dataset": feeds.LATE_DATASET, "days": feeds.LATE_DAYS, "rows": rows}]


def _tables(world: World, known: People, random: Any, gap_day: date) -> dict[str, list[_Stamped]]:
    gap = (gap_day - START).days
    newcomers = set(np.flatnonzero((world.joined >= (AS_OF - START).days) & (world.joined < gap)).tolist())
    tables: dict[str, list[_Stamped]] = {}

    def add(dataset: str, customers: Any, days: Any, rows: list[Row], late: float = 0.0) -> None:
        lag = random.integers(60, 2_000, len(rows))  # minutes
        lag = np.where(random.random(len(rows)) < late, random.integers(5, 60, len(rows)) * 1_440, lag)
        table = tables.setdefault(dataset, [])
        for customer, day, minutes, row in zip(customers.tolist(), days.tolist(), lag.tolist(), rows, strict=True):
            recorded = datetime.combine(START, datetime.min.time(), UTC) + timedelta(days=day, minutes=minutes)
            row["recorded_at"] = recorded.strftime("%Y-%m-%d %H:%M:%S")
            table.append(_Stamped(int(world.tenant[customer]), recorded, customer in newcomers, row))

    _customers(world, known, random, add)
    column = world.column
    who, days = column("vehicles", "customer"), column("vehicles", "day")
    add(
        "vehicles",
        who,
        days,
        [
            {
                "vin": vin(vehicle),
                "customer_id": customer_id(customer),
                "make": MAKES[vehicle % len(MAKES)],
                "model_year": str(day_of(registered).year),
                "first_registered_on": day_of(registered).isoformat(),
                "valid_from": day_of(day).isoformat(),
            }
            for customer, day, vehicle, registered in zip(
                who.tolist(),
                days.tolist(),
                column("vehicles", "vehicle").tolist(),
                column("vehicles", "registered").tolist(),
                strict=True,
            )
        ],
    )
    who, days = column("sales", "customer"), column("sales", "day")
    price = np.round(random.gamma(9.0, 3_200.0, len(who)) + 4_000, 2)
    add(
        "sales",
        who,
        days,
        [
            {
                "sale_id": f"S{number:07d}",
                "customer_id": customer_id(customer),
                "vin": vin(vehicle),
                "sold_on": day_of(day).isoformat(),
                "condition": "used" if used else "new",
                "finance": ("cash", "loan", "lease")[finance],
                "price": f"{cost:.2f}",
            }
            for number, (customer, day, vehicle, used, finance, cost) in enumerate(
                zip(
                    who.tolist(),
                    days.tolist(),
                    column("sales", "vehicle").tolist(),
                    column("sales", "used").tolist(),
                    column("sales", "finance").tolist(),
                    price.tolist(),
                    strict=True,
                )
            )
        ],
        late=0.01,
    )
    _visits(world, known, random, add)
    who, days = column("leases", "customer"), column("leases", "day")
    add(
        "leases",
        who,
        days,
        [
            {
                "lease_id": f"L{vehicle:07d}",
                "customer_id": customer_id(customer),
                "vin": vin(vehicle),
                "starts_on": day_of(day).isoformat(),
                "ends_on": day_of(end).isoformat(),
                "monthly": f"{250 + vehicle % 400}.00",
                "valid_from": day_of(day).isoformat(),
            }
            for customer, day, vehicle, end in zip(
                who.tolist(),
                days.tolist(),
                column("leases", "vehicle").tolist(),
                column("leases", "end").tolist(),
                strict=True,
            )
        ],
    )
    return tables


def _customers(world: World, known: People, random: Any, add: Any) -> None:
    who = np.arange(len(world.joined))
    consent = random.random(len(who)) < 0.8

    def rows(customers: Any, days: Any, host: str) -> list[Row]:
        return [
            {
                "customer_id": customer_id(customer),
                "email": known.email[customer].replace("example.com", host),
                "phone": known.phone[customer],
                "postcode": known.postcode[customer],
                "consent": "true" if consent[customer] else "false",
                "valid_from": day_of(day).isoformat(),
            }
            for customer, day in zip(customers.tolist(), days.tolist(), strict=True)
        ]

    add("customers", who, world.joined, rows(who, world.joined, "example.com"))
    moved = who[random.random(len(who)) < 0.04]
    days = world.joined[moved] + random.integers(30, 900, len(moved))
    past = days < (AS_OF - START).days
    add("customers", moved[past], days[past], rows(moved[past], days[past], "example.org"))


def _suppressions(world: World, random: Any) -> list[_Stamped]:
    """Customers whom their dealer does not want contacted: one in fifty, some of them until a day."""
    known = (AS_OF - START).days
    who = np.flatnonzero((world.joined < known) & (random.random(len(world.joined)) < SUPPRESSED))
    found = []
    for customer in who.tolist():
        day = int(random.integers(max(world.joined[customer], 0), known + 60))
        recorded = datetime.combine(START, datetime.min.time(), UTC) + timedelta(days=day, hours=9)
        until = day_of(day + int(random.integers(60, 400))).isoformat() if random.random() < 0.3 else ""
        row = {
            "customer_id": customer_id(customer),
            "reason": str(random.choice(["complaint", "lawsuit", "staff", "deceased", "other"])),
            "until": until,
            "valid_from": day_of(day).isoformat(),
            "recorded_at": recorded.strftime("%Y-%m-%d %H:%M:%S"),
        }
        found.append(_Stamped(int(world.tenant[customer]), recorded, False, row))
    return found


def _visits(world: World, known: People, random: Any, add: Any) -> None:
    who, days = world.column("visits", "customer"), world.column("visits", "day")
    vehicle, declined = _brought(world, known, random), world.column("visits", "declined")
    amount = np.round(random.gamma(2.5, 130.0, len(who)) + 40, 2)
    minutes = random.integers(7 * 60, 17 * 60, len(who))
    kinds = random.choice(["maintenance", "repair", "inspection", "recall"], size=len(who), p=[0.5, 0.3, 0.15, 0.05])
    age = days - world.column("vehicles", "registered")[vehicle]  # a vehicle's number is its place in that table
    a_day = random.integers(20, 60, int(vehicle.max()) + 1)
    kilometres = (age + 1) * a_day[vehicle]

    def row(number: int, revision: int, cost: float) -> Row:
        at = datetime.combine(day_of(int(days[number])), datetime.min.time()) + timedelta(minutes=int(minutes[number]))
        return {
            "tenant_id": world.dealers[int(world.tenant[who[number]])],
            "service_id": f"V{number:07d}",
            "revision": str(revision),
            "customer_id": customer_id(int(who[number])),
            "vin": vin(int(vehicle[number])),
            "visited_at": at.isoformat(sep=" "),
            "visit_kind": str(kinds[number]),
            "odometer_km": str(kilometres[number]),
            "amount": f"{cost:.2f}",
            "declined_amount": f"{declined[number]:.2f}" if declined[number] else "",
        }

    numbers = np.arange(len(who))
    add("service_records", who, days, [row(number, 1, amount[number]) for number in numbers.tolist()], late=0.02)
    # one visit in a hundred is invoiced again, some weeks later
    again = numbers[random.random(len(numbers)) < 0.01]
    later = days[again] + random.integers(7, 40, len(again))
    add("service_records", who[again], later, [row(number, 2, amount[number] * 0.9) for number in again.tolist()])


def _brought(world: World, known: People, random: Any) -> Any:
    """The vehicle of each visit: in some visits it is the one that the household's first member kept on that day."""
    who, days, own = (world.column("visits", name) for name in ("customer", "day", "vehicle"))
    keeper, since, vehicle = (world.column("vehicles", name) for name in ("customer", "day", "vehicle"))
    wide = 1 << 20  # more than any number of days, from the first customers' joining on
    order = np.argsort(keeper * wide + since, kind="stable")
    at = np.searchsorted((keeper * wide + since)[order], known.lender[who] * wide + days, side="right") - 1
    place = order[np.maximum(at, 0)]
    lends = (known.lender[who] != who) & (random.random(len(who)) < LENDS)
    lends &= (at >= 0) & (keeper[place] == known.lender[who])  # the first member may have had no vehicle yet
    return np.where(lends, vehicle[place], own)


def _write(out: Path, dataset: str, dealer: str, phase: str, part: int, rows: list[Row]) -> tuple[str, Path]:
    suffix = {"vehicles": "csv.gz", "leases": "parquet"}.get(dataset, "csv")
    if dataset == "service_records" and phase == "history" and part == 0:
        suffix = "csv.gz"
    name = f"{dataset}/tenant_id={dealer}/{phase}-{part + 1}.{suffix}"
    path = out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == "parquet":
        columns = {key: [row[key] or None for row in rows] for key in rows[0]}
        pq.write_table(pa.table(columns), path)
        return name, path
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\r\n" if dataset == "sales" else "\n")
    writer.writeheader()
    writer.writerows(rows)
    if dataset == "customers" and dealer.endswith("3"):
        text.write("\n")  # some systems end a file with an empty line
    body = text.getvalue().encode()
    path.write_bytes(gzip.compress(body, mtime=0) if suffix.endswith("gz") else body)
    return name, path


__all__ = ["FAULTS", "Generated", "write_files"]
