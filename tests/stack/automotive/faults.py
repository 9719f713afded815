"""The faults that are planted in files, and the reasons that validation must give for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Row = dict[str, str]
Expected = tuple[tuple[str | None, str], ...]  # (column, rule) of every reason

# dataset -> (what breaks a row, the reasons that validation must give)
FAULTS: dict[str, list[tuple[Callable[[Row], None], Expected]]] = {
    "customers": [
        (lambda row: row.update(email="nobody at home"), (("email", "email"),)),
        (lambda row: row.update(customer_id=""), (("customer_id", "required"),)),
        (lambda row: row.update(consent="perhaps", postcode="1"), (("consent", "type"), ("postcode", "min_length"))),
    ],
    "vehicles": [
        (lambda row: row.update(vin=row["vin"][:-4]), (("vin", "pattern"),)),
        (lambda row: row.update(model_year="1897"), (("model_year", "minimum"),)),
        (lambda row: row.update(first_registered_on="31/12/2019"), (("first_registered_on", "type"),)),
    ],
    "sales": [
        (lambda row: row.update(price="24,990.00"), (("price", "type"),)),
        (
            lambda row: row.update(finance="barter", price="0"),
            (("finance", "allowed_values"), ("price", "exclusive_minimum")),
        ),
        (lambda row: row.update(sold_on="2024-02-30"), (("sold_on", "type"),)),
    ],
    "service_records": [
        (lambda row: row.update(customer_id=""), (("customer_id", "required"),)),
        (lambda row: row.update(odometer_km="-1"), (("odometer_km", "minimum"),)),
        (lambda row: row.update(visit_kind="chat"), (("visit_kind", "allowed_values"),)),
        (lambda row: row.update(amount="abc", visited_at=""), (("visited_at", "required"), ("amount", "type"))),
        (lambda row: row.update(tenant_id="dealer_99"), (("tenant_id", "tenant"),)),
    ],
    "leases": [
        (lambda row: row.update(monthly="-300.00"), (("monthly", "exclusive_minimum"),)),
        (lambda row: row.update(ends_on=""), (("ends_on", "required"),)),
    ],
    "suppressions": [
        (lambda row: row.update(reason="dislike"), (("reason", "allowed_values"),)),
        (lambda row: row.update(until="soon"), (("until", "type"),)),
    ],
}
# noise that validation accepts: white space, letter case
NOISE: dict[str, Callable[[Row], None]] = {
    "customers": lambda row: row.update(email=" " + row["email"].upper()),
    "vehicles": lambda row: row.update(vin=row["vin"].lower() + " "),
    "sales": lambda row: row.update(condition=row["condition"].upper()),
    "service_records": lambda row: row.update(visit_kind=f" {row['visit_kind'].title()}"),
    "leases": lambda row: row.update(vin=row["vin"].lower()),
    "suppressions": lambda row: row.update(reason=f" {row['reason'].upper()}"),
}


def plant(dataset: str, rows: list[Row], dealer: str, random: Any) -> list[dict[str, Any]]:
    """Break about one row in 200 (at least one in a file of 20 rows), and put noise into one in 50.

    Returns the broken lines with their reasons. Rows are replaced, not changed: another file may hold the same row.
    """
    count = max(1, len(rows) // 200) if len(rows) >= 20 else 0
    places = sorted(random.choice(len(rows), size=count, replace=False).tolist())
    planted = []
    for place in places:
        breaks, expected = FAULTS[dataset][int(random.integers(len(FAULTS[dataset])))]
        rows[place] = dict(rows[place])
        breaks(rows[place])
        # a Parquet file's first row is line 1, a CSV file's line 2, after the header
        line = place + (1 if dataset == "leases" else 2)
        planted.append(
            {"dataset": dataset, "tenant_id": dealer, "line": line, "reasons": [list(reason) for reason in expected]}
        )
    for place in random.choice(len(rows), size=len(rows) // 50, replace=False).tolist():
        if place not in places:
            rows[place] = dict(rows[place])
            NOISE[dataset](rows[place])
    return planted
