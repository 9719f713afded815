"""Lists as a test asks for them and makes them: the request, the workflow's step, the files, and everybody's place."""

from __future__ import annotations

import csv
import io
from typing import Any

from propensity.delivery.build_export import build_export
from propensity.delivery.domain.order import export_folder
from propensity.delivery.request_export import request_export, request_recall, show_export
from propensity.identity.domain.queries import IDENTITY_COLUMNS, birth_id
from propensity.kernel.sql_text import text
from propensity.lake.appends import append_once
from propensity.lake.gold_tables import IDENTITIES
from tests.kit.world import World
from tests.stack.automotive import AS_OF

DAY = AS_OF.isoformat()
AT = f"{DAY}T09:00:00+00:00"
TENANT = "dealer_01"


def order(world: World, key: str = "k", at: str = AT, tenant: str = TENANT, **body: Any) -> str:
    """Ask for a list, which is not made yet; its id."""
    asked = {"model": "service", "destination": "plain", **body}
    return str(request_export(world, tenant, asked, key=key, by="arn:anna", at=at, request_id=key)["export"])


def pull(world: World, key: str = "k", at: str = AT, tenant: str = TENANT, **body: Any) -> dict[str, Any]:
    """Ask for a list and make it; its answer, ready."""
    export = order(world, key, at, tenant, **body)
    build_export(world, tenant=tenant, export=export)
    return show_export(world, tenant, export)


def recall(world: World, export: str, key: str = "r", at: str = AT, why: str = "a wrong file") -> dict[str, Any]:
    """Recall a list; the answer about the recall, ready."""
    told = {"why": why}
    asked = request_recall(world, TENANT, export, told, key=key, by="arn:bob", at=at, request_id=key)
    build_export(world, tenant=TENANT, export=asked["export"])
    return show_export(world, TENANT, asked["export"])


def rows(world: World, answer: dict[str, Any], stem: str = "") -> list[dict[str, str]]:
    """The rows of a list's CSV files, of those whose names begin with `stem`."""
    out = []
    for file in answer["files"]:
        if file["file"].startswith(stem):
            body = world.lake.get(f"{export_folder(answer['tenant_id'], answer['export'])}/{file['file']}")
            out += list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"))))
    return out


def members(world: World, export: str) -> dict[str, tuple[str, str]]:
    """The arm and the reason of each customer of a list."""
    found = world.query(f"select customer_id, arm, why from e where export = '{export}'", e="gold/exports")
    assert len({row[0] for row in found}) == len(found)
    return {customer: (arm, why) for customer, arm, why in found}


def of_arm(world: World, export: str, arm: str) -> set[str]:
    return {customer for customer, (have, _) in members(world, export).items() if have == arm}


def move(world: World, customers: dict[str, str], day: str, *, person: bool = False) -> None:
    """Let customers live in other households from a day on, as resolve_identities would record it.

    `customers` has the household of each. With `person` they are one person each household.
    """
    parts = [
        f"select {text(TENANT)} as tenant_id, {text(customer)} as customer_id, "
        + (text(f"p-{household}") if person else birth_id("person", text(TENANT), text(customer)))
        + f" as person_id, {text(household)} as household_id, date {text(day)} as as_of, []::varchar[] as evidence, "
        "null::varchar as previous_person_id, null::varchar as previous_household_id"
        for customer, household in sorted(customers.items())
    ]
    columns = ", ".join(name for name, _ in IDENTITY_COLUMNS)
    with world.sql() as sql:
        query = f"select {columns} from ({' union all '.join(parts)})"
        assert append_once(world, sql, IDENTITIES, query, f"moved {day} {sorted(customers.items())}")


def withdraw(world: World, customers: list[str], name: str, time: str = f"{DAY}T10:00:00Z") -> None:
    """Let customers take their consent back, by a file that arrives."""
    header = "customer_id,email,phone,postcode,consent,valid_from,recorded_at"
    lines = [f"{customer},,,,false,{DAY},{time}" for customer in customers]
    world.put(f"customers/tenant_id={TENANT}/{name}.csv", "\n".join([header, *lines, ""]).encode())
    world.promote()
