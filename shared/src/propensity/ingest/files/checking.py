"""Checks every rule on every row in one pass, and uniqueness after the pass.

The pass writes a Parquet file to disk: each row with its types, and a bit per rule that the row breaks, in the file's
order. So memory does not grow with the file, and a row's place in the Parquet file gives its line number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from propensity.ingest.domain.file_report import BrokenRule
from propensity.ingest.domain.landing_keys import Landed
from propensity.ingest.domain.normalisation import cleaned, trimmed
from propensity.ingest.domain.rules import Rule, cast, rules_of, typed, unique_rules
from propensity.ingest.files.sources import Source
from propensity.ingest.files.staging import SKIPPED
from propensity.kernel.errors import BadInputError, ContractError, SqlError
from propensity.kernel.sql_text import quote, text
from propensity.kernel.tenant import TENANT
from propensity.pack.domain.contract import Contract
from propensity.ports import Sql

_BITS = 60  # rules per mask column, because a BIGINT has 63 bits
_SKIP = 1 << 62  # this bit marks a line that begins no record, which is neither good nor bad
FIRST_LINES = 5
# dictionaries are off, because they cost a hash per value. With the newer encodings, a file then costs a quarter less
# to write and has a third of the size
PARQUET_OPTIONS = "parquet_version v2, dictionary_size_limit 1"

_LINE_RULES = (
    Rule(None, "columns", "as many values as the header has columns", "columns"),
    Rule(None, "quote", "quotes that close at the end of a value", "quote"),
    Rule(None, "encoding", "UTF-8 text", "encoding"),
    Rule(None, "control", "no control characters, a carriage return inside the line included", "control"),
    Rule(None, "length", "a line of at most 131,072 bytes", "length"),
    Rule(None, "json", "one JSON object", "json"),
    Rule(None, "member", "each member once in an object", "member"),
    Rule(None, "finite", "finite numbers where the contract has text", "finite"),
)


@dataclass(frozen=True, slots=True)
class Checked:
    """The rows of a file, split into good and bad.

    `good_rows` is a SELECT of _line and the typed columns. `bad_rows` is a SELECT of line, raw and reasons. Both are in
    line order. `reasons` has the broken rules. `warnings` has the rules that only warn, and the expectations that the
    file misses.
    """

    good_rows: str
    bad_rows: str
    lines: int
    good: int
    bad: int
    reasons: tuple[BrokenRule, ...]
    warnings: list[str]


def check_rows(sql: Sql, source: Source, landed: Landed, contract: Contract, *, earlier: str | None = None) -> Checked:
    """Check all rows of a source.

    `earlier` names a relation of the lines that are in Bronze already. Where several rows have one value in a unique
    column, the row of `earlier` stays good.
    Raises SqlError where the engine cannot read the source, BadInputError where a rule or an expectation with severity
    reject_file is broken.
    """
    whole_line, row = list(_LINE_RULES), [*_tenant_rule(source, landed), *source.rules, *rules_of(contract)]
    unique = unique_rules(contract)
    rules = [*whole_line, *row, *unique]
    path = sql.scratch / "checked.parquet"
    sql.execute(
        f"copy ({_checked(source, contract, landed, rules, len(whole_line), len(unique))}) "
        f"to {text(str(path))} (format parquet, compression lz4, {PARQUET_OPTIONS})"
    )
    columns = ", ".join(quote(column.name) for column in contract.checked_columns)
    masks, span = _masks(rules), "_span" if source.spans else "null::bigint as _span"
    sql.execute(
        f"create or replace view checked as select file_row_number + {source.first_line} as _line, {span}, _raw, "
        f"{', '.join(masks)}, {columns} from read_parquet({text(str(path))}, file_row_number = true)"
    )
    view = "checked"
    good = _none_of(rules, masks)
    first = f"_line in (select _line from {earlier}) desc, ({good}) desc" if earlier else f"({good}) desc"
    if _mark_repeats(sql, [rule.column for rule in unique if rule.column], len(rules) - len(unique), masks, first):
        merged = ", ".join(f"c.{mask} | coalesce(r.{mask}, 0) as {mask}" for mask in masks)
        joined = "checked c left join repeats r using (_line)"
        sql.execute(f"create or replace view marked as select c.* replace ({merged}) from {joined}")
        view = "marked"
    bad = f"not ({good}) and _mask_0 <> {_SKIP}"
    [(lines, good_count, bad_count)] = sql.rows(
        f"select count(*), count(*) filter ({good}), count(*) filter ({bad}) from {view}"
    )
    bad_rows = ""
    path = sql.scratch / "bad.parquet"
    bad_file = f"read_parquet({text(str(path))})"
    if bad_count:
        kept = "_line, _span, _raw, " + ", ".join(masks)
        sql.execute(
            f"copy (select {kept} from {view} where {bad} order by _line) to {text(str(path))} (format parquet)"
        )
        bad_rows = _bad_rows(sql, rules, bad_file, source)
    warned = _reasons(sql, rules, view, "warn") if any(rule.severity == "warn" for rule in rules) else ()
    reasons = _reasons(sql, rules, bad_file, "reject_row", "reject_file") if bad_count else ()
    refused = [broken for broken in reasons if broken.severity == "reject_file"]
    missed = _missed(sql, contract, landed, f"(select * from {view} where {good})", good_count + bad_count)
    messages = [*(f"{landed.key}: {_lines(broken)}" for broken in refused), *missed["reject_file"]]
    if messages:
        raise BadInputError(f"{'; '.join(messages)}; the contract refuses the whole file for this, mend and resend it")
    return Checked(
        good_rows=_good_rows(sql, contract, f"select * from {view} where {good}", ordered=view == "checked"),
        bad_rows=bad_rows,
        lines=int(lines),
        good=int(good_count),
        bad=int(bad_count),
        reasons=reasons,
        warnings=[*map(_lines, warned), *missed["warn"]],
    )


def _lines(broken: BrokenRule) -> str:
    """The words for the lines that break a rule: `lines 2, 3, 5, 8, 13 and 4 more: price: expected at least 0`."""
    more = f" and {broken.rows - len(broken.first_lines)} more" if broken.rows > FIRST_LINES else ""
    return f"lines {', '.join(map(str, broken.first_lines))}{more}: {broken.message}"


def _missed(sql: Sql, contract: Contract, landed: Landed, good: str, rows: int) -> dict[str, list[str]]:
    """The messages of the expectations that the file as a whole misses, by severity.

    `rows` is the number of all rows, good and bad. All other measures are taken of the good rows.
    """
    missed: dict[str, list[str]] = {"reject_file": [], "warn": []}
    for expected in contract.expectations:
        value: float | None = rows
        if expected.measure != "rows":
            column = quote(str(expected.column))
            measure = f"100.0 * count(*) filter ({column} is null) / count(*)"
            if expected.measure == "age_days":
                arrived = f"{text(landed.arrived)}::timestamptz"
                measure = f"date_diff('second', max({column})::timestamptz, {arrived}) / 86400.0"
            [(value,)] = sql.rows(f"select {measure} from {good}")
        if value is not None and not expected.holds(float(value)):
            missed[expected.severity].append(f"{expected.message}, got {round(float(value), 2):g}")
    return missed


def check_contract(sql: Sql, landed: Landed, contract: Contract) -> None:
    """Raises ContractError where the engine refuses the contract's rules, whatever the file.

    Mostly a pattern is refused.
    """
    names = {column.name: f"_t{number}" for number, column in enumerate(contract.file_columns)}
    texts = ", ".join(f"null::varchar as {name}" for name in names.values())
    nothing = Source(f"select null::varchar as _error, {texts} where false", names)
    try:
        sql.execute(_checked(nothing, contract, landed, rules_of(contract), 0, 0))
    except SqlError as error:
        message = f"contract {contract.dataset} {contract.version}: a rule cannot be run: {error.text}"
        raise ContractError(message) from error


def _tenant_rule(source: Source, landed: Landed) -> list[Rule]:
    if TENANT not in source.names:
        return []
    claimed = trimmed(source.names[TENANT], only_spaces=source.only_spaces)
    return [
        Rule(
            TENANT,
            "tenant",
            "the tenant of the file's key, or nothing",
            f"{claimed} not in ('', {text(landed.tenant_id)})",
        )
    ]


def _checked(
    source: Source, contract: Contract, landed: Landed, rules: Sequence[Rule], whole_line: int, unique: int
) -> str:
    """SELECT of the masks, _span and the typed columns. Texts are cleaned, then cast, then checked, step by step.

    `whole_line` is the number of rules for whole lines, which stand first. `unique` is the number of unique rules,
    which stand last.
    """
    texts, casts, values, kept, derived, shown = [], [], [], [], [], []
    for column in contract.file_columns:
        raw = source.names.get(column.name)
        value = cleaned(column, raw, only_spaces=source.only_spaces) if raw else "null::varchar"
        if column.name == TENANT:
            # a row that names no tenant belongs to the tenant of the key
            value = f"coalesce({value}, {text(landed.tenant_id)})"
        texts.append(f"{value} as {quote(column.name + '$')}")
        first = cast(column, landed.arrived)
        if first:
            casts.append(f"{first} as {quote(column.name + '^')}")
        values.append(f"{typed(column)} as {quote(column.name)}")
        kept.append(quote(column.name))
    for column in contract.derived_columns:
        derived.append(f"try_cast(({column.logic}) as {column.duckdb_type}) as {quote(column.name)}")
        shown.append(f"{quote(column.name)}::varchar as {quote(column.name + '$')}")
        kept.append(quote(column.name))
    masks = _masks(rules)
    # a line that could not be split breaks only the rule for whole lines that says why
    errors = "".join(f" when {text(rule.broken)} then {1 << bit}" for bit, rule in enumerate(rules[:whole_line]))
    selected = []
    checked = [*rules[:whole_line], *rules[whole_line : len(rules) - unique]]
    for number, mask in enumerate(masks):
        here = enumerate(checked[number * _BITS : (number + 1) * _BITS])
        looked_at = {rule: 1 << bit for bit, rule in here if number * _BITS + bit >= whole_line}
        bits = [f"(case when {rule.broken} then {bit} else 0 end)" for rule, bit in looked_at.items()]
        wrong = f"case _error when {text(SKIPPED)} then {_SKIP}{errors} end" if number == 0 else "0"
        # most rows break nothing, and to ask whether a row does costs half of what naming the rules costs
        any_broken = " or ".join(f"({rule.broken})" for rule in looked_at) or "false"
        selected.append(
            f"(case when _error is not null then {wrong} when {any_broken} then {' | '.join(bits) or '0'} else 0 end)"
            f"::bigint as {mask}"
        )
    query = source.rows
    for step in (texts, casts, values, derived, shown, selected):
        query = f"select {', '.join(['*', *step])} from ({query})"
    wrong = " or ".join(f"{mask} <> 0" for mask in masks)
    raw = f"case when {wrong} then {source.raw_here} end as _raw"
    return f"select {', '.join(masks)}, {'_span, ' if source.spans else ''}{raw}, {', '.join(kept)} from ({query})"


def _masks(rules: Sequence[Rule]) -> list[str]:
    return [f"_mask_{number}" for number in range((len(rules) - 1) // _BITS + 1)]


def _none_of(rules: Sequence[Rule], masks: Sequence[str]) -> str:
    """SQL that is true where the row breaks no rule, or only rules that warn."""
    conditions = []
    for number, mask in enumerate(masks):
        here = rules[number * _BITS : (number + 1) * _BITS]
        warning = sum(1 << bit for bit, rule in enumerate(here) if rule.severity == "warn")
        conditions.append(f"{mask} & {~warning & ((1 << 63) - 1)} = 0" if warning else f"{mask} = 0")
    return " and ".join(conditions)


def _mark_repeats(sql: Sql, columns: Sequence[str], first: int, masks: Sequence[str], order: str) -> bool:
    """Write table `repeats` of the lines whose value in a unique column stands in another row, with their mask bits.

    `first` is the bit of the first unique column. Among rows with one value, the first by `order`, then by line, is not
    marked. Returns False where nothing repeats.
    """
    found = []
    for number, name in enumerate(columns):
        value = quote(name)
        # a line that could not be split has no values
        has = f"{value} is not null and _mask_0 & {_SKIP | ((1 << len(_LINE_RULES)) - 1)} = 0"
        # most files have no repeats, which hashes show fast; where hashes are equal, the values decide
        twice = f"select hash({value}) as _h from checked where {has} group by _h having count(*) > 1"
        sql.execute(f"create or replace temp table twice_{number} as {twice}")
        if not sql.rows(f"select 1 from twice_{number} limit 1"):
            continue
        position = first + number
        bits = ", ".join(
            f"{1 << (position % _BITS) if index == position // _BITS else 0}::bigint as {mask}"
            for index, mask in enumerate(masks)
        )
        found.append(
            f"select _line, {bits} from checked where hash({value}) in (select _h from twice_{number}) "
            f"and {has} "
            f"qualify row_number() over (partition by {value} order by {order}, _line) > 1"
        )
    if found:
        joined = ", ".join(f"bit_or({mask}) as {mask}" for mask in masks)
        everything = " union all ".join(found)
        sql.execute(
            f"create or replace temp table repeats as select _line, {joined} from ({everything}) group by _line"
        )
    return bool(found)


def _good_rows(sql: Sql, contract: Contract, good: str, *, ordered: bool) -> str:
    """SELECT of the good rows in the file's order.

    Where the contract has an occurrence column, equal rows are numbered from 1 in that column. Their other columns
    decide the order of numbering first, and their line last. So two files with the same lines in another order get the
    same numbers.
    """
    if contract.occurrence is None:
        return good if ordered else f"{good} order by _line"
    number = quote(contract.occurrence.column)
    within = ", ".join(quote(name) for name in contract.occurrence.within)
    hashes = f"select hash({within}) as _h from ({good}) group by _h having count(*) > 1"
    sql.execute(f"create or replace temp table equals as {hashes}")
    if not sql.rows("select 1 from equals limit 1"):
        return f"select *, 1::bigint as {number} from ({good})" + ("" if ordered else " order by _line")
    rest = [column.name for column in contract.checked_columns if column.name not in contract.occurrence.within]
    order = ", ".join([*(f"{quote(name)} nulls first" for name in rest), "_line"])
    sql.execute(
        f"create or replace temp table numbered as select _line, "
        f"row_number() over (partition by {within} order by {order}) as {number} "
        f"from ({good}) where hash({within}) in (select _h from equals)"
    )
    return (
        f"select g.*, coalesce(n.{number}, 1)::bigint as {number} from ({good}) g "
        "left join numbered n using (_line) order by _line"
    )


def _bad_rows(sql: Sql, rules: Sequence[Rule], bad: str, source: Source) -> str:
    """SELECT of line, raw and reasons. A raw line that the pass did not keep is read from the file again."""
    entries = []
    for position, rule in enumerate(rules):
        struct = (
            f'struct_pack("column" := {text(rule.column) if rule.column else "null::varchar"}, '
            f'"rule" := {text(rule.name)}, message := {text(rule.message)})'
        )
        entries.append(f"case when {_bit(position)} then {struct} end")
    listed = f"[{', '.join(entries)}]"
    reasons = f"list_filter({listed}, lambda one: one is not null) as reasons"
    if not sql.rows(f"select 1 from {bad} where _raw is null limit 1"):
        return f"select _line as line, _raw as raw, {reasons} from {bad} order by line"
    raw = source.raw(f"select _line, _span from {bad} where _raw is null order by _line")
    return (
        f"select b._line as line, coalesce(b._raw, r.raw) as raw, {reasons} "
        f"from {bad} b left join ({raw}) r using (_line) order by line"
    )


def _bit(position: int) -> str:
    return f"(_mask_{position // _BITS} >> {position % _BITS}) & 1 = 1"


def _reasons(sql: Sql, rules: Sequence[Rule], rows: str, *severities: str) -> tuple[BrokenRule, ...]:
    """The rules of these severities that rows break, in the order of `rules`."""
    # one row per broken bit: one aggregate per rule would take ten times as long, even for few rows
    broken = []
    for number, mask in enumerate(_masks(rules)):
        here = rules[number * _BITS : (number + 1) * _BITS]
        wanted = sum(1 << bit for bit, rule in enumerate(here) if rule.severity in severities)
        broken.append(
            f"select _line, {number * _BITS} + bit as position "
            f"from (select _line, {mask} & {wanted} as broken from {rows} where {mask} & {wanted} <> 0), "
            f"range({len(here)}) as bits(bit) where (broken >> bit) & 1 = 1"
        )
    counted = sql.rows(
        f"select position, count(*), min(_line, {FIRST_LINES}) from ({' union all '.join(broken)}) "
        "group by position order by position"
    )
    return tuple(
        BrokenRule(
            column=rules[position].column,
            rule=rules[position].name,
            message=rules[position].message,
            severity=rules[position].severity,
            rows=count,
            first_lines=first_lines,
        )
        for position, count, first_lines in counted
    )
