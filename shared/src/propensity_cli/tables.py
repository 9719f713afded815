"""Tables for people. Nothing of an answer is read as markup, and nothing is cut off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from propensity_cli.failures import ServiceFailedError

_MOST_WHY = 3  # reasons in a cell; --json has all


def cell(value: object) -> Text:
    """A value as people write it; empty where there is none."""
    if value is None:
        return Text("")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, int):
        return Text(f"{value:,}", justify="right")
    if isinstance(value, float):
        return Text(f"{value:.4f}", justify="right")
    if isinstance(value, list | tuple):
        return Text(", ".join(str(one) for one in value))
    return Text(str(value))


def rows(title: str, columns: Sequence[str], found: Iterable[Mapping[str, Any]]) -> Table:
    """A table of records: a column per name, a row per record; a name with dots looks into the record."""
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, show_edge=False)
    for column in columns:
        table.add_column(column.rpartition(".")[2].replace("_", " "), overflow="fold")
    for record in found:
        table.add_row(*(cell(_inside(record, column)) for column in columns))
    return table


def fields(title: str, found: Mapping[str, Any]) -> Table:
    """A table of one record: a row per field."""
    table = Table(title=Text(title), title_justify="left", box=None, show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for name, value in found.items():
        table.add_row(Text(name.replace("_", " ")), cell(value))
    return table


def _inside(record: Mapping[str, Any], column: str) -> object:
    value: Any = record
    for part in column.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def why_of(file: Mapping[str, Any]) -> str:
    """Why rows of a landed file, or the file, were refused: the first reasons, in a line each."""
    reasons = file.get("why") or []
    told = [_reason(one) for one in reasons[:_MOST_WHY]]
    return "\n".join(told + ([f"and {len(reasons) - _MOST_WHY} more"] if len(reasons) > _MOST_WHY else []))


def _reason(reason: Mapping[str, Any]) -> str:
    if "rule" not in reason:
        return str(reason.get("message", ""))
    lines = ", ".join(str(line) for line in reason.get("first_lines", []))
    return f"{reason.get('column')}: {reason['rule']}: {reason.get('rows')} rows (first in line {lines})"


def receipt_tables(receipt: Mapping[str, Any]) -> list[Table]:
    """The tables of a list's receipt: every customer of the population, by arm and reason, and the sum of them.

    Raises ServiceFailedError where the numbers do not add up.
    """
    title = (
        f"{receipt['model']} version {receipt['model_version']} for {receipt['destination']}, as of {receipt['as_of']}"
    )
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, show_edge=False, show_footer=True)
    total = sum(receipt["arms"].values())
    if total != receipt["population"]:
        raise ServiceFailedError(
            f"the receipt of {receipt['export']} does not add up: {total} customers in its arms, "
            f"{receipt['population']} in the population; do not use the list"
        )
    table.add_column("arm", footer="population")
    table.add_column("reason")
    table.add_column("customers", justify="right", footer=f"{total:,}")
    for arm, count in receipt["arms"].items():
        reasons = receipt["why"].get(arm, {})
        if sum(reasons.values()) not in (0, count):
            raise ServiceFailedError(
                f"the receipt of {receipt['export']} does not add up: {count} customers are {arm}, and "
                f"{sum(reasons.values())} have a reason; do not use the list"
            )
        if len(reasons) == 1:
            table.add_row(Text(arm), Text(next(iter(reasons))), f"{count:,}")
            continue
        table.add_row(Text(arm), "", f"{count:,}")
        for reason, part in reasons.items():
            table.add_row("", Text(f"  {reason}"), Text(f"({part:,})"))
    about: dict[str, Any] = {"households contacted": receipt["households"], "mode": receipt["mode"]}
    about |= {name: receipt[name] for name in ("added", "removed") if receipt["mode"] != "full"}
    about |= {f"rows with {name}": count for name, count in receipt["matchable"].items()}
    return [table, fields("", about)]
