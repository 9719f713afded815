"""Broken files that can still be read: what is readable is read, the rest stands in quarantine with its line.

Together with test_validate_upload_refuses.REFUSED, whose files are refused whole, these are the kinds of broken file
that dealers send. None ends in a crash, a hang or a silent loss.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.functional.ingest.test_validate_upload_refuses import REFUSED
from tests.kit.drops import HEADER, ORDERS, PACK, Drops, csv_file, good


@dataclass(frozen=True)
class Broken:
    """A kind of broken file. `bad` has (line, broken rules) of each row in quarantine; `warns` is part of a warning."""

    body: bytes
    good: int
    bad: Sequence[tuple[int, tuple[str, ...]]] = ()
    name: str = "a.csv"
    warns: str = ""
    contract: tuple[str, str] | None = None


def row(**changed: str) -> str:
    values = dict(zip(HEADER.split(","), good(2).split(","), strict=True)) | changed
    return ",".join(values.values())


def lines(*odd: bytes | str) -> bytes:
    """A good row, the odd lines, another good row."""
    middle = b"".join((one.encode() if isinstance(one, str) else one) + b"\n" for one in odd)
    return csv_file(good(1)) + middle + good(9).encode() + b"\n"


FORMATS = "customProperties: [{property: formats, value: [yyyy-MM-dd, dd.MM.yyyy, MM/dd/yyyy]}]"
DATES = ("logicalType: timestamp, required: true}", f"logicalType: date, required: true, {FORMATS}}}")
JSON = (
    '{"order_id": "A1", "customer": "1", "note": "", "ordered_at": "2026-03-01", "pieces": 1, "amount": 2, '
    '"channel": "web"}\n{"order_id": \n'
)
BROKEN = {
    "a byte order mark": Broken(b"\xef\xbb\xbf" + csv_file(good(1)), 1),
    "Windows line ends": Broken(csv_file(good(1), good(2)).replace(b"\n", b"\r\n"), 2),
    "line ends of old Macs": Broken(csv_file(good(1), good(2)).replace(b"\n", b"\r"), 2),
    "mixed line ends": Broken(csv_file(good(1)) + good(2).encode() + b"\r\n" + good(3).encode() + b"\n", 3),
    "a lone carriage return inside a line": Broken(lines(row(note="a\rb")), 2, [(3, ("control",))]),
    "no line end at the end": Broken(csv_file(good(1)) + good(2).encode(), 2),
    "empty lines between": Broken(lines("", "   "), 2, warns="2 empty lines were left out"),
    "empty lines before the header": Broken(b"\n\n" + csv_file(good(1)), 1),
    "NUL bytes": Broken(lines(row(note="a\0b")), 2, [(3, ("control",))]),
    "other control characters": Broken(lines(row(note="a\x1fb")), 2, [(3, ("control",))]),
    "Latin-1 in a UTF-8 file": Broken(lines(row(note="Größe").encode("latin-1")), 2, [(3, ("encoding",))]),
    "half a UTF-8 character": Broken(lines(row(note="x").encode().replace(b",x,", b",\xc3,")), 2, [(3, ("encoding",))]),
    "a quote that never closes": Broken(lines(row(note='"thanks')), 2, [(3, ("quote",))]),
    "a quote that never closes in the last line": Broken(csv_file(good(1), row(note='"thanks')), 1, [(3, ("quote",))]),
    "two halves of a quote": Broken(
        lines(row(note='"a'), good(3), row(order_id="A4", note='b"')), 4, [(3, ("quote",))]
    ),
    "a quote in the middle of a value": Broken(lines(row(note='12" rims')), 3),
    "text behind a closing quote": Broken(lines(row(note='"a" b')), 2, [(3, ("quote",))]),
    "backslash for a quote": Broken(lines(row(note='"a\\"b"')), 2, [(3, ("quote",))]),
    "line breaks inside quotes": Broken(lines(row(note='"a\n\nb, c"')), 3),
    "too few values": Broken(lines("A2,17850,x"), 2, [(3, ("columns",))]),
    "too many values": Broken(lines(good(2) + ",x"), 2, [(3, ("columns",))]),
    "a separator at every line's end": Broken(
        csv_file(good(1) + ",", good(2) + ",", header=HEADER + ","),
        2,
        warns="column 8, which has no name, is not in the contract",
    ),
    "a total at the end": Broken(lines("Total,,,,3,28.50,"), 2, [(3, ("required",))]),
    "the header again in the middle": Broken(lines(HEADER), 2, [(3, ("type", "type", "type", "allowed_values"))]),
    "thousands separators": Broken(lines(row(amount='"1,234.50"')), 2, [(3, ("type",))]),
    "a decimal comma": Broken(lines(row(amount='"9,50"')), 2, [(3, ("type",))]),
    "a decimal comma without quotes": Broken(lines(row(amount="9,50")), 2, [(3, ("columns",))]),
    "a currency sign": Broken(lines(row(amount="€9.50")), 2, [(3, ("type",))]),
    "numbers of a spreadsheet": Broken(lines(row(pieces="1e2", amount="#REF!")), 2, [(3, ("type", "type"))]),
    "infinity and no number": Broken(
        lines(row(amount="inf"), row(order_id="A3", amount="NaN")), 2, [(3, ("type",)), (4, ("type",))]
    ),
    "an integer beyond 64 bits": Broken(lines(row(pieces="99999999999999999999")), 2, [(3, ("type",))]),
    "half a piece": Broken(lines(row(pieces="1.5")), 2, [(3, ("type",))]),
    "dates in three formats, and a fourth": Broken(
        csv_file(
            row(order_id="A1", ordered_at="2026-03-01"),
            row(ordered_at="01.03.2026"),
            row(order_id="A3", ordered_at="03/01/2026"),
            row(order_id="A4", ordered_at="March 1"),
        ),
        3,
        [(5, ("type",))],
        contract=DATES,
    ),
    "a day that does not exist": Broken(lines(row(ordered_at="2026-02-30 10:00:00")), 2, [(3, ("type",))]),
    "a date of a spreadsheet": Broken(lines(row(ordered_at="46082")), 2, [(3, ("type",))]),
    "a date with an offset": Broken(lines(row(ordered_at="2026-03-01T10:00:00+01:00")), 3),
    "the same key twice": Broken(lines(row(order_id="A1")), 2, [(3, ("unique",))]),
    "a required value missing": Broken(lines(row(order_id="", pieces="  ")), 2, [(3, ("required", "required"))]),
    "a value of 200 kilobytes": Broken(lines(row(note="x" * 200_000)), 2, [(3, ("length",))]),
    "blanks of other alphabets around values": Broken(lines(row(order_id="\u00a0A2\u00a0", channel="\tweb ")), 3),
    "an extra column": Broken(
        csv_file(good(1) + ",x", header=HEADER + ",internal"), 1, warns="column 8 (sha256 of its name: "
    ),
    "columns in another order and case": Broken(
        csv_file(
            "web,9.50,2,2026-03-01 10:00:00,thanks,17850,A1",
            header="CHANNEL,Amount,pieces,ordered_at,note,customer,order_id",
        ),
        1,
    ),
    "another tenant's row": Broken(
        csv_file(good(1) + ",t1", good(2) + ",t2", header=HEADER + ",tenant_id"), 1, [(3, ("tenant",))]
    ),
    "a gzip in two parts": Broken(
        gzip.compress(csv_file(good(1))) + gzip.compress(good(2).encode() + b"\n"), 2, name="a.csv.gz"
    ),
    "JSON that is none": Broken(JSON.encode(), 1, [(2, ("json",))], name="a.jsonl"),
    "a key with a space, a plus, an equals sign, %20 and letters of other alphabets": Broken(
        csv_file(good(1), row(pieces="")), 1, [(3, ("required",))], name="März + a=b%20ü/1 +1 = 2.csv"
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_can_be_read_is_read_and_the_rest_is_kept_with_its_line(what: str) -> None:
    broken = BROKEN[what]
    contract = ORDERS.replace(*broken.contract) if broken.contract else ORDERS
    assert (contract != ORDERS) == (broken.contract is not None)
    drops = Drops({"pack.yaml": PACK, "contracts/orders.yaml": contract})

    report = drops.drop(broken.body, broken.name)

    assert report["status"] == "accepted", report
    assert (report["bronze"], report["quarantine"]) == (broken.good, len(broken.bad)), report["reasons"]
    assert report["rows_in"] == broken.good + len(broken.bad)
    assert len(drops.bronze(report, "_line")) == broken.good
    found = drops.quarantine(report)
    assert [(line, tuple(rule for _, rule in reasons)) for line, _, reasons in found] == list(broken.bad)
    assert all(raw for _, raw, _ in found)
    assert any(broken.warns in warning for warning in ["", *report["warnings"]])
    if broken.warns:
        assert any(broken.warns in warning for warning in report["warnings"]), report["warnings"]
    assert drops.announce(f"orders/tenant_id=t1/{broken.name}") == report


def test_there_are_forty_kinds_and_more() -> None:
    assert len(BROKEN) + len(REFUSED) >= 40
