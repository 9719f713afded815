"""Reads JSON lines as a relation of texts. Each line is one object, and each member of the object is a column."""

from __future__ import annotations

import json
import re
from pathlib import Path

from propensity.ingest.domain.budgets import MAX_COLUMNS, check_size, over_budget
from propensity.ingest.domain.landing_keys import Landed
from propensity.ingest.files.landed_text import BOM, LandedText, unpack, whole_lines
from propensity.ingest.files.sources import Source, field, match_columns, raw_lines, read_lines
from propensity.ingest.files.staging import FIELD, SKIPPED, oddity
from propensity.kernel.errors import BadInputError
from propensity.kernel.sql_text import quote, text
from propensity.pack.domain.contract import Contract
from propensity.ports import Sql


def json_source(sql: Sql, local: Path, landed: Landed, contract: Contract) -> Source:
    """The source for a file of JSON lines. Lines are numbered from 1.

    A member that one line lacks is NULL in that line. A member that no line has is a column that the file lacks, unless
    every line that opens an object is bad. A nested value becomes JSON text.
    Raises BadInputError for a file that cannot be read, or that lacks a column.
    """
    key = landed.key
    unpacked = unpack(local, sql.scratch / "unpacked", None, key=key, gzipped=landed.suffix.endswith(".gz"))
    staged = sql.scratch / "staged"
    lines, blank, opened = _stage(unpacked.path, staged, key)
    if lines - blank == 0:
        raise BadInputError(
            f"{key}: line 1: the file holds no object, expected one JSON object per line; send it again"
        )
    line, mark = field(1), field(2)
    # the engine evaluates both sides of an AND, and json_type fails on text that is no JSON; hence the nested CASE
    valid = f"coalesce(json_type(case when json_valid({line}) then {line} end) = 'OBJECT', false)"
    sql.execute(
        "create or replace view documents as select "
        f"coalesce({mark}, case when not ({valid}) then 'json' end) as _error, "
        f"case when {mark} is null and {valid} then {line} end as _json from {read_lines(staged)}"
    )
    members = sql.rows(
        "select distinct unnest(json_keys(_json)) as member from documents where _json is not null "
        f"order by member limit {MAX_COLUMNS + 1}"
    )
    if len(members) > MAX_COLUMNS:
        raise over_budget(f"{key}: file", "columns", f"more than {MAX_COLUMNS:,} member names")
    check_size(f"{key}: file", lines, len(members))
    header = tuple(str(member) for (member,) in members)
    names, warnings = match_columns(header, contract, f"{key}: file") if header or not opened else ({}, ())
    # each line is parsed once for all members
    paths = ", ".join(text(f"$.{quote(name)}") for name in names.values())
    taken = f"json_extract_string(_json, [{paths}]) as _v" if names else "null::varchar[] as _v"
    places = {column: field(number) for number, column in enumerate(names, start=1)}
    texts = ", ".join(f"_v[{number}] as {place}" for number, place in enumerate(places.values(), start=1))
    if blank:
        warnings = (*warnings, f"{blank} empty lines were left out")
    surveyed = LandedText(unpacked.path, (), 0, False, False, "\n", lines, False)
    return Source(
        rows=f"select _error, {texts or 'null::varchar as _t1'} from (select _error, {taken} from documents)",
        names=places,
        first_line=1,
        lines=lines,
        records=lines - blank,
        blank=blank,
        assumed=unpacked.assumed,
        warnings=warnings,
        raw=lambda bad: raw_lines(sql, surveyed, bad, key),
    )


def _json_fault(line: bytes) -> str | None:
    """The rule that a line breaks as JSON.

    The rule is `json` where the line is no strict JSON (RFC 8259), `member` for a member twice, and `control` for an
    escaped control character. The engine's own reader takes NaN, Infinity and trailing commas, and takes the first of
    two members of one name.
    """
    try:
        _STRICT.decode(line.decode())
    except _TwiceError:
        return "member"
    except (ValueError, RecursionError):
        return "json"
    return "control" if b"\\" in line and _CONTROL.search(line) else None


# an escape after an even number of backslashes: \b, \f, or \u0000 to \u001f without the tab and the line ends
_CONTROL = re.compile(rb"(?<!\\)(?:\\\\)*\\(?:[bf]|u00(?:0[0-8bcefBCEF]|1[0-9a-fA-F]))")


class _TwiceError(Exception):
    """A member's name stands twice in one object."""


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _TwiceError
    return members


def _no_constant(name: str) -> None:
    raise ValueError(name)


# numbers stay texts, because Python refuses to read an integer of more than 4,300 digits
_STRICT = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_constant, parse_int=str, parse_float=str)


def _stage(path: Path, target: Path, key: str) -> tuple[int, int, int]:
    """Write one staged line per line of the file: the line itself, or US and the rule that the line breaks.

    Returns the number of lines, the number of empty lines among them, and of lines that open an object.
    """
    lines = blank = opened = 0
    first = True
    with target.open("wb") as out:
        for block in whole_lines(LandedText(path, (), 0, False, False, "\n", 0, False), key=key):
            rows = block.split(b"\n")[:-1]
            if first:
                rows[0] = rows[0].removeprefix(BOM)
                first = False
            for row in rows:
                if not row.strip():
                    blank += 1
                    out.write(f"{FIELD}{SKIPPED}\n".encode())
                    continue
                opened += row.lstrip().startswith(b"{")
                wrong = oddity(row) or _json_fault(row)
                out.write(f"{FIELD}{wrong}\n".encode() if wrong else row + b"\n")
            lines += len(rows)
            check_size(f"{key}: file", lines, 1)
    return lines, blank, opened
