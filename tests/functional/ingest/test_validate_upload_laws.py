"""Laws of reading files, checked by what the test knows of each file: nothing is lost, and lines are right."""

from __future__ import annotations

import csv
import io
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from propensity.ingest.files import landed_text, reading
from propensity.ingest.files.sources import csv_source
from propensity.ingest.files.staging import FIELD, SKIPPED, stage
from propensity.pack.domain.contract import TextForm
from tests.kit.drops import HEADER, Drops, good

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY = settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

NOTES = st.text(alphabet='ab ,"\n;é\t', max_size=12)


@st.composite
def records(draw: st.DrawFn) -> tuple[str, str | None, str]:
    """A record's text, the rule it breaks (None: good), and whether it is `row` or `blank`."""
    kind = draw(st.sampled_from(["plain", "plain", "quoted", "all quoted", "bad value", "short", "long", "blank"]))
    note = draw(NOTES)
    row = ["ID", "17850.0", note, "2026-03-01 10:00:00", "2", "9.5", "web"]
    if kind == "blank":
        return draw(st.sampled_from(["", " ", "\t"])), None, "blank"
    if kind == "plain":
        return ",".join([*row[:2], "".join(one for one in note if one not in ',"\n'), *row[3:]]), None, "row"
    if kind == "short":
        return "ID,17850", "columns", "row"
    if kind == "long":
        return "ID" + ",x" * draw(st.integers(7, 12)), "columns", "row"
    if kind == "bad value":
        row[4] = "many"
    out = io.StringIO()
    quoting: Any = csv.QUOTE_ALL if kind == "all quoted" else csv.QUOTE_MINIMAL
    csv.writer(out, lineterminator="", quoting=quoting).writerow(row)
    return out.getvalue(), "type" if kind == "bad value" else None, "row"


def ambiguous(text: str, delimiter: str = ",", width: int = HEADER.count(",") + 1) -> bool:
    """Whether the reader takes a record for an unclosed quote, because each line has as many separators as a record.

    Two lines are a closed note all the same where the second opens no quote.
    """
    lines = text.split("\n")
    if len(lines) == 1 or any(line.count(delimiter) != width - 1 for line in lines):
        return False
    try:
        [_] = csv.reader([lines[1]], delimiter=delimiter, strict=True)
    except csv.Error:
        return True
    return len(lines) > 2


@FEW
@given(
    made=st.lists(records().filter(lambda one: not ambiguous(one[0])), min_size=1, max_size=12),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.booleans(),
    last_end=st.booleans(),
    block=st.sampled_from([128, 200, 1 << 20]),
)
def test_every_record_is_good_or_in_quarantine_at_its_line_with_its_text(
    monkeypatch: pytest.MonkeyPatch,
    made: list[tuple[str, str | None, str]],
    end: str,
    mark: bool,
    last_end: bool,
    block: int,
) -> None:
    line, good_lines, bad_rows, texts = 2, [], [], []
    for number, (text, rule, kind) in enumerate(made):
        text = text.replace("ID", f"N{number}", 1)
        texts.append(text)
        if kind == "row" and rule is None:
            good_lines.append((f"N{number}", line))
        elif kind == "row":
            bad_rows.append((line, text, rule))
        line += text.count("\n") + 1
    body = end.join([HEADER, *(text.replace("\n", end) for text in texts)]) + (end if last_end else "")
    monkeypatch.setattr(landed_text, "BLOCK", block)
    drops = Drops()

    report = drops.drop((b"\xef\xbb\xbf" if mark else b"") + body.encode())

    rows = len(good_lines) + len(bad_rows)
    if rows == 0:
        assert report["status"] == "rejected"
        return
    assert report["rows_in"] == report["bronze"] + report["quarantine"] == rows
    assert drops.bronze(report, "order_id, _line") == good_lines
    assert [(at, raw, rules[0][1]) for at, raw, rules in drops.quarantine(report)] == bad_rows
    before = {key: drops.lake.get(key) for key in drops.lake.keys("")}
    assert drops.announce("orders/tenant_id=t1/a.csv") == report
    assert {key: drops.lake.get(key) for key in drops.lake.keys("")} == before


def span_of(lines: list[str], at: int) -> int:
    reader = csv.reader(io.StringIO("".join(f"{line}\n" for line in lines[at:]), newline="\n"), strict=True)
    next(reader)
    return reader.line_num


@FEW
@given(
    body=st.lists(
        st.one_of(
            st.text(alphabet='a,"\n \t\réÿ\x00\x1f', max_size=30).map(str.encode),
            st.binary(max_size=12),
            st.sampled_from([good(1).encode(), b'A2,1,"x,2026-03-01,1,1,web', b'A3,x",1,"2026-03-01",1,1,web']),
        ),
        max_size=12,
    ),
    block=st.sampled_from([128, 1 << 20]),
)
def test_whatever_the_bytes_every_line_is_in_exactly_one_row(
    monkeypatch: pytest.MonkeyPatch, body: list[bytes], block: int
) -> None:
    monkeypatch.setattr(landed_text, "BLOCK", block)
    drops = Drops()
    data = HEADER.encode() + b"\n" + b"\n".join(body)

    report = drops.drop(data)

    if report["status"] == "rejected":
        assert not b"".join(body).strip() or b"a header and no rows" in report["why"].encode()
        return
    # without the reader: split at LF, and find a row's last line by the csv module from the line that the row names
    lines = [line.removesuffix(b"\r").decode(errors="replace") for line in data.split(b"\n")]
    covered: list[int] = []
    for _, at in drops.bronze(report, "order_id, _line"):
        covered += range(at, at + span_of(lines, at - 1))
    for at, raw, _ in drops.quarantine(report):
        covered += range(at, at + raw.count("\n") + 1)
    assert report["rows_in"] == report["bronze"] + report["quarantine"]
    assert len(covered) == len(set(covered))
    empty = {
        number for number, line in enumerate(data.split(b"\n"), start=1) if not line.decode(errors="replace").strip()
    }
    assert set(range(2, len(lines) + 1)) - set(covered) <= empty


PLAIN = st.text(alphabet=st.sampled_from("ab1 .-é\t"), max_size=8)


@FEW
@given(
    rows=st.lists(st.lists(PLAIN, min_size=5, max_size=9), min_size=1, max_size=10), end=st.sampled_from(["\n", "\r\n"])
)
def test_the_fast_and_the_careful_reading_agree(
    monkeypatch: pytest.MonkeyPatch, rows: list[list[str]], end: str
) -> None:
    body = end.join([HEADER, good(1), *(",".join(row) for row in rows)]).encode()

    def read(careful: bool) -> tuple[Any, ...]:
        drops = Drops()
        with monkeypatch.context() as patch:
            patch.setattr(reading, "csv_source", partial(csv_source, careful=careful))
            report = drops.drop(body)
        values = drops.bronze(report, "order_id, customer, note, epoch(ordered_at), pieces, amount, channel, _line")
        return report, values, drops.quarantine(report)

    assert read(careful=False) == read(careful=True)


CELLS = st.text(alphabet='ab,"\n é', max_size=5)


@MANY
@given(
    rows=st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=8)
    ),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    delimiter=st.sampled_from([",", ";"]),
    block=st.sampled_from([16, 64, 1 << 20]),
)
def test_what_the_csv_module_wrote_is_read_back_value_by_value(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[list[str]],
    quoting: Any,
    delimiter: str,
    block: int,
) -> None:
    width = len(rows[0])
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=quoting, delimiter=delimiter)
    writer.writerow("abcd"[:width])
    writer.writerows(rows)
    path: Path = tmp_path_factory.mktemp("staged") / "a.csv"
    path.write_bytes(out.getvalue().encode())
    monkeypatch.setattr(landed_text, "BLOCK", block)
    text = landed_text.survey(path, TextForm(delimiter=delimiter), key="a.csv")

    staged = stage(text, path.with_suffix(".staged"), key="a.csv", delimiter=delimiter)

    found, at = [], 0
    lines = staged.path.read_bytes().decode().split("\n")[:-1]
    assert len(lines) == staged.lines == out.getvalue().count("\n") - 1
    for row in rows:
        record = io.StringIO()
        csv.writer(record, lineterminator="\n", quoting=quoting, delimiter=delimiter).writerow(row)
        span = record.getvalue().count("\n")
        if not record.getvalue().strip():
            assert lines[at].endswith(SKIPPED)
        elif width > 1 and ambiguous(record.getvalue()[:-1], delimiter, width):
            return  # the reader takes it for a quote that never closes
        else:
            found.append(lines[at].split(FIELD)[:width])
            assert [value.replace("\x1d", "\n") for value in found[-1]] == row
            assert all(line.endswith(SKIPPED) for line in lines[at + 1 : at + span])
        at += span
