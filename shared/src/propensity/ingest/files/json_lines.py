"""Reads JSON lines as a relation of texts. Each line is one object, and each member of the object is a column."""

from __future__ import annotations

from pathlib import Path

from propensity.ingest.domain.landing_keys import Landed
from propensity.ingest.files.landed_text import BOM, LandedText, unpack, whole_lines
from propensity.ingest.files.sources import Source, field, match_columns, raw_lines, read_lines
from propensity.ingest.files.staging import FIELD, SKIPPED, oddity
from propensity.kernel.errors import BadInputError
from propensity.kernel.sql_text import quote, text
from propensity.pack.domain.contract import Contract, TextForm
from propensity.ports import Sql

_MAX_MEMBERS = 2_000  # distinct member names in a file; a real export has tens of names


def json_source(sql: Sql, local: Path, landed: Landed, contract: Contract) -> Source:
    """The source for a file of JSON lines. Lines are numbered from 1.

    A member that one line lacks is NULL in that line. A member that no line has is a column that the file lacks. A
    nested value becomes JSON text.
    Raises BadInputError for a file that cannot be read, or that lacks a column.
    """
    key = landed.key
    path = unpack(local, sql.scratch / "unpacked", TextForm(), key=key, gzipped=landed.suffix.endswith(".gz"))
    staged = sql.scratch / "staged"
    lines, blank = _stage(path, staged, key)
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
        f"order by member limit {_MAX_MEMBERS + 1}"
    )
    if len(members) > _MAX_MEMBERS:
        raise BadInputError(f"{key}: file: more than {_MAX_MEMBERS} member names, expected a contract's; send records")
    header = tuple(str(member) for (member,) in members)
    names, warnings = match_columns(header, contract, f"{key}: file")
    # each line is parsed once for all members
    paths = ", ".join(text(f"$.{quote(name)}") for name in names.values())
    taken = f"json_extract_string(_json, [{paths}]) as _v" if names else "null::varchar[] as _v"
    places = {column: field(number) for number, column in enumerate(names, start=1)}
    texts = ", ".join(f"_v[{number}] as {place}" for number, place in enumerate(places.values(), start=1))
    if blank:
        warnings = (*warnings, f"{blank} empty lines were left out")
    surveyed = LandedText(path, (), 0, False, False, "\n", lines, False)
    return Source(
        rows=f"select _error, {texts or 'null::varchar as _t1'} from (select _error, {taken} from documents)",
        names=places,
        first_line=1,
        lines=lines,
        records=lines - blank,
        blank=blank,
        warnings=warnings,
        raw=lambda bad: raw_lines(sql, surveyed, bad, key),
    )


def _stage(path: Path, target: Path, key: str) -> tuple[int, int]:
    """Write one staged line per line of the file: the line itself, or US and the rule that the line breaks.

    Returns the number of lines, and the number of these lines that are empty.
    """
    lines = blank = 0
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
                wrong = oddity(row)
                out.write(f"{FIELD}{wrong}\n".encode() if wrong else row + b"\n")
            lines += len(rows)
    return lines, blank
