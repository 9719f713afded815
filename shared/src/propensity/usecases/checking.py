"""Every rule against every row in one pass, uniqueness after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from propensity.domain.contract import Contract
from propensity.domain.landing import Landed
from propensity.domain.rules import Rule, cleaned, rules_of, typed
from propensity.domain.views import quote, text
from propensity.ports import Sql
from propensity.usecases.sources import TENANT, Source

_BITS = 60  # rules per mask column: a BIGINT has 63
_FIRST_LINES = 5

_FILE_RULES = (
    Rule(None, "columns", "as many values as the header has columns", "error = 'columns'"),
    Rule(None, "quote", "quotes that close at the end of a value", "error = 'quote'"),
    Rule(None, "encoding", "UTF-8 text", "error = 'encoding'"),
    Rule(None, "control", "no control characters", "error = 'control'"),
    Rule(None, "length", "a line of at most 1,000,000 bytes", "error = 'length'"),
)


@dataclass(frozen=True, slots=True)
class Checked:
    """`good_rows`: SELECT of line and the typed columns; `bad_rows`: SELECT of line, raw, reasons.

    `reasons` says per column and rule how many rows broke it, and the first lines; no values.
    """

    good_rows: str
    bad_rows: str
    good: int
    bad: int
    reasons: list[dict[str, Any]]


def check_rows(sql: Sql, source: Source, landed: Landed, contract: Contract) -> Checked:
    rules = [*_FILE_RULES, *_tenant_rule(source, landed), *rules_of(contract)]
    _check(sql, source, contract, rules)
    unique = [column for column in contract.file_columns if column.unique]
    rules += [Rule(column.name, "unique", "a value that no earlier row has", "") for column in unique]
    _check_unique(sql, [column.name for column in unique], first=len(rules) - len(unique))
    bad = " or ".join(f"{mask} <> 0" for mask in _masks(rules))
    [(good_count, bad_count)] = sql.rows(
        f"select count(*) filter (not ({bad})), count(*) filter ({bad}) from checked"
    )
    good_rows = f"select * from checked where not ({bad})"
    if contract.occurrence:
        within = ", ".join(quote(name) for name in contract.occurrence.within)
        rest = [column.name for column in contract.file_columns if column.name not in contract.occurrence.within]
        # equal lines are told apart by their other columns first, so that two files with the same lines in
        # another order number them alike
        order = ", ".join([*(f"{quote(name)} nulls first" for name in rest), "line"])
        good_rows = (
            f"select *, row_number() over (partition by {within} order by {order})::bigint as "
            f"{quote(contract.occurrence.column)} from ({good_rows})"
        )
    return Checked(
        good_rows=good_rows,
        bad_rows=_bad_rows(source, rules, bad),
        good=int(good_count),
        bad=int(bad_count),
        reasons=_reasons(sql, rules) if bad_count else [],
    )


def _tenant_rule(source: Source, landed: Landed) -> list[Rule]:
    if TENANT not in source.names:
        return []
    broken = f"coalesce(trim({quote(source.names[TENANT])}) <> {text(landed.tenant_id)}, false)"
    return [Rule(TENANT, "tenant", "the tenant of the file's key, or nothing", broken)]


def _check(sql: Sql, source: Source, contract: Contract, rules: Sequence[Rule]) -> None:
    """Table `checked`: line, the masks, the typed columns."""
    texts, values, kept = [], [], []
    for column in contract.file_columns:
        name = source.names.get(column.name)
        raw = quote(name) if name else "null::varchar"
        texts.append(f"{cleaned(column, raw)} as {quote(column.name + '$')}")
        values.append(f"{typed(column)} as {quote(column.name)}")
        kept.append(quote(column.name))
    masks = ", ".join(f"{_mask(rules, number)} as {mask}" for number, mask in enumerate(_masks(rules)))
    sql.execute(
        f"create temp table checked as select record, line, {masks}, {', '.join(kept)} from ("
        f"select *, {', '.join(values)} from (select *, {', '.join(texts)} from ({source.rows})))"
    )


def _mask(rules: Sequence[Rule], number: int) -> str:
    """A BIGINT with a bit per broken rule. A line that could not be split breaks only the rule that says so."""
    bits = []
    for bit, rule in enumerate(rules[number * _BITS : (number + 1) * _BITS]):
        broken = rule.broken if rule.name in _NAMES else f"error is null and {rule.broken}"
        # `error` is NULL for a line that was read well, and NULL is not true
        bits.append(f"(coalesce({broken}, false))::bigint << {bit}")
    return " | ".join(f"({one})" for one in bits)


_NAMES = frozenset(rule.name for rule in _FILE_RULES)


def _masks(rules: Sequence[Rule]) -> list[str]:
    return [f"mask_{number}" for number in range((len(rules) - 1) // _BITS + 1)]


def _check_unique(sql: Sql, columns: Sequence[str], *, first: int) -> None:
    """Set the bit of each unique column in the rows that repeat a value; the first row of a value stays good."""
    for number, name in enumerate(columns):
        position = first + number
        mask = f"mask_{position // _BITS}"
        if position % _BITS == 0:
            sql.execute(f"alter table checked add column {mask} bigint default 0")
        sql.execute(
            f"update checked set {mask} = {mask} | (1::bigint << {position % _BITS}) from ("
            f"select record from checked where {quote(name)} is not null "
            f"qualify row_number() over (partition by {quote(name)} order by line) > 1) again "
            "where again.record = checked.record"
        )


def _bad_rows(source: Source, rules: Sequence[Rule], bad: str) -> str:
    entries = []
    for position, rule in enumerate(rules):
        struct = (
            f"struct_pack(\"column\" := {text(rule.column) if rule.column else 'null::varchar'}, "
            f"\"rule\" := {text(rule.name)}, message := {text(rule.message)})"
        )
        entries.append(f"case when {_bit(position)} then {struct} end")
    listed = f"[{', '.join(entries)}]"
    return (
        f"select c.line, r.raw, list_filter({listed}, lambda one: one is not null) as reasons "
        f"from (select * from checked where {bad}) c join ({source.raw}) r using (record)"
    )


def _bit(position: int) -> str:
    return f"(mask_{position // _BITS} >> {position % _BITS}) & 1 = 1"


def _reasons(sql: Sql, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    counts = ", ".join(
        f"count(*) filter ({_bit(position)}), (list(line order by line) filter ({_bit(position)}))[1:{_FIRST_LINES}]"
        for position in range(len(rules))
    )
    [row] = sql.rows(f"select {counts} from checked")
    return [
        {"column": rule.column, "rule": rule.name, "message": rule.message, "rows": row[2 * position],
         "first_lines": row[2 * position + 1]}
        for position, rule in enumerate(rules)
        if row[2 * position]
    ]
