"""Broken files beyond those of test_broken_files and test_validate_upload_refuses, by kind: text, gzip, JSON, Parquet.

Each says how many rows it has that are good and how many that are bad; a file that is refused whole says neither.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq

from tests.kit.drops import HEADER, csv_file, good

WHEN = datetime(2026, 3, 1, 10)  # noqa: DTZ001 - a file of a dealer says no zone
NAMES = HEADER.split(",")
BAD_QUOTE = '"A1,17850,thanks,2026-03-01 10:00:00,2,9.50,web\n'


@dataclass(frozen=True)
class Broken:
    """A file, made when it is asked for. Without good or bad rows it is refused whole."""

    make: Callable[[], bytes]
    name: str = "a.csv"
    good: int = 0
    bad: int = 0


def row(number: int = 2, **changed: str) -> str:
    return ",".join((dict(zip(NAMES, good(number).split(","), strict=True)) | changed).values())


def among(*odd: bytes | str) -> bytes:
    """A good row, the odd lines, another good row."""
    lines = b"".join((one.encode() if isinstance(one, str) else one) + b"\n" for one in odd)
    return csv_file(good(1)) + lines + good(9).encode() + b"\n"


def text(make: bytes, good: int = 0, bad: int = 0, name: str = "a.csv") -> Broken:
    return Broken(lambda: make, name, good, bad)


def zipped() -> bytes:
    with io.BytesIO() as out:
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("a.csv", csv_file(good(1)))
        return out.getvalue()


def tarred() -> bytes:
    with io.BytesIO() as out:
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            member = tarfile.TarInfo("a.csv")
            member.size = len(csv_file(good(1)))
            archive.addfile(member, io.BytesIO(csv_file(good(1))))
        return out.getvalue()


TWO = csv_file(good(1), good(2))
GZIP = gzip.compress(TWO, mtime=0)
TEXTS: dict[str, Broken] = {
    "UTF-16 of the other byte order, cut within a character": text(b"\xfe\xff" + TWO.decode().encode("utf-16-be")[:-1]),
    "UTF-16 without a mark": text(TWO.decode().encode("utf-16-le")),
    "UTF-32": text(TWO.decode().encode("utf-32")),
    "EBCDIC": text(TWO.decode().encode("cp500")),
    "two byte order marks": text(b"\xef\xbb\xbf" * 2 + TWO, 2),
    "a byte order mark before a row": text(among(b"\xef\xbb\xbf" + good(2).encode()), 3),
    "smart quotes of cp1252": text(among(row(note="\x93ok\x94").encode("latin-1")), 2, 1),
    "an overlong NUL": text(among(row(note="N").encode().replace(b"N", b"\xc0\x80")), 2, 1),
    "half a surrogate pair as bytes": text(among(row(note="N").encode().replace(b"N", b"\xed\xa0\x80")), 2, 1),
    "Shift-JIS": text(among(row(note="ソ能").encode("shift_jis")), 2, 1),
    "bytes that no encoding has": text(among(row(note="N").encode().replace(b"N", b"\xff\xfe")), 2, 1),
    "NUL bytes only": text(bytes(4096)),
    "NUL bytes behind the last row": text(TWO + bytes(4096), 2, 1),
    "a NUL in the header": text(TWO.replace(b"note", b"no\0te")),
    "the end mark of DOS": text(TWO + b"\x1a", 2, 1),
    "line ends CR CR LF": text(TWO.replace(b"\n", b"\r\r\n"), 0, 2),
    "line ends LF CR": text(TWO.replace(b"\n", b"\n\r"), 0, 2),
    "a header that ends in LF over rows that end in CR": text(
        csv_file() + TWO.split(b"\n", 1)[1].replace(b"\n", b"\r"), 0, 1
    ),
    "a line separator of Unicode in a value": text(among(row(note="a\u2028b\u0085c")), 3),
    "a form feed between pages": text(among("\f"), 2, 1),
    "blanks outside the quotes": text(among(row(note=' "a" ')), 3),
    "three quotes": text(among(row(note='"""')), 2, 1),
    "a quote that opens at the end of the file": text(TWO + b'"', 2, 1),
    "one quote in line 2 of 1,000": text(csv_file('"' + good(0), *map(good, range(1, 1000))), 999, 1),
    "a bad quote on each of 20,000 lines": text(csv_file() + BAD_QUOTE.encode() * 20_000, 0, 20_000),
    "a line break in the header": text(TWO.replace(b"note", b'"no\nte"')),
    "a header of separators": text(b",,,,,,\n" + good(1).encode() + b"\n"),
    "a header that names a column twice, once with a blank": text(csv_file(good(1) + ",x", header=HEADER + ",note ")),
    "a header of numbers": text(csv_file(good(1), header="1,2,3,4,5,6,7")),
    "a header of 2,001 columns": text(csv_file(good(1), header=HEADER + "," * 1_994)),
    "a header of 30,000 columns": text(csv_file(good(1), header=HEADER + "," * 29_993)),
    "a header longer than a line may be": text(csv_file(good(1), header=HEADER + "," + "x" * 140_000), 0, 1),
    "title lines before the header": text(b"Orders of May\n\n" + TWO, 2),
    "a comment before the header": text(b"# exported by hand\n" + TWO, 2),
    "an error page": text(b"<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n"),
    "marks of a merge": text(among("<<<<<<< HEAD", "=======", ">>>>>>> main"), 2, 3),
    "100,000 empty lines": text(among(*[""] * 100_000), 2),
    "20,000 lines of one value": text(among(*["x"] * 20_000), 2, 20_000),
    "a line one byte too long": text(among(row(note="x" * 131_073)), 2, 1),
    "a number of 5,000 digits": text(among(row(pieces="9" * 5_000), row(3, amount="9" * 5_000)), 2, 2),
    "numbers that are none elsewhere": text(
        among(row(pieces="0x10"), row(3, pieces="٣"), row(4, amount="1e400"), row(5, amount="1_000")), 2, 4
    ),
    "days that no calendar has": text(
        among(
            *(
                row(number, ordered_at=day)
                for number, day in enumerate(("0000-00-00", "10000-01-01", "2026-13-01", "2026-03-01 25:00:00"), 2)
            )
        ),
        2,
        4,
    ),
    "a formula": text(among(row(note="=cmd|' /C calc'!A0")), 3),
    "a ZIP called CSV": Broken(zipped),
    "a PDF called CSV": text(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n"),
    "a picture called CSV": text(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8),
    "JSON called CSV": text(b'[{"order_id": "A1"}]\n'),
}
GZIPS: dict[str, Broken] = {
    "a gzip in a gzip": text(gzip.compress(GZIP), name="a.csv.gz"),
    "a gzip with something behind it": text(GZIP + b"garbage", name="a.csv.gz"),
    "a gzip padded with zeros": text(GZIP + bytes(512), 2, name="a.csv.gz"),
    "a gzip with a wrong checksum": text(GZIP[:-8] + b"\0\0\0\0" + GZIP[-4:], name="a.csv.gz"),
    "a gzip with a wrong length": text(GZIP[:-4] + b"\xff\xff\xff\xff", name="a.csv.gz"),
    "half the head of a gzip": text(GZIP[:6], name="a.csv.gz"),
    "a gzip of an unknown method": text(GZIP[:2] + b"\x07" + GZIP[3:], name="a.csv.gz"),
    "deflate without gzip": text(zlib.compress(TWO), name="a.csv.gz"),
    "bzip2 called gzip": text(bz2.compress(TWO), name="a.csv.gz"),
    "xz called gzip": text(lzma.compress(TWO), name="a.csv.gz"),
    "a tar of a CSV": Broken(tarred, "a.csv.gz"),
    "a bomb of empty lines": Broken(lambda: gzip.compress(b"\n" * 10_000_000) * 8, "a.csv.gz"),
    "a bomb in many parts": Broken(lambda: gzip.compress(TWO) + gzip.compress(bytes(10_000_000)) * 8, "a.csv.gz"),
    "an empty part before the text": text(gzip.compress(b"") + GZIP, 2, name="a.csv.gz"),
}


def member(number: int = 1, **changed: Any) -> dict[str, Any]:
    values = dict(zip(NAMES, good(number).split(","), strict=True))
    return {**values, "pieces": 2, "amount": 9.5, **changed}


def objects(*odd: bytes | str) -> bytes:
    """A good object, the odd lines, another good object."""
    lines = b"".join((one.encode() if isinstance(one, str) else one) + b"\n" for one in odd)
    return json.dumps(member()).encode() + b"\n" + lines + json.dumps(member(9)).encode() + b"\n"


def lines(make: bytes, good: int = 0, bad: int = 0) -> Broken:
    return text(make, good, bad, "a.jsonl")


def put(value: str, name: str = "note") -> str:
    """An object with a member whose value is this JSON text."""
    return json.dumps(member(2, **{name: "@"})).replace('"@"', value)


JSONS: dict[str, Broken] = {
    "an array of objects": lines(json.dumps([member(1), member(2)], indent=1).encode(), 0, 20),
    "an object over several lines": lines(objects(*json.dumps(member(2), indent=1).split("\n")), 2, 9),
    "a byte order mark in JSON": lines(b"\xef\xbb\xbf" + objects(), 2),
    "plain values for objects": lines(objects("1", '"x"', "null", "true", "[]"), 2, 5),
    "empty objects": lines(objects("{}", "{}"), 2, 2),
    "two objects in a line": lines(objects(json.dumps(member(2)) * 2), 2, 1),
    "the first half of an object": lines(objects()[:-30], 1, 1),
    "a comment in JSON": lines(objects("// exported by hand"), 2, 1),
    "JSON in UTF-16, cut within a character": lines(objects().decode().encode("utf-16")[:-1]),
    "JSON in Latin-1": lines(objects(put('"ü"').encode("latin-1")), 2, 1),
    "a raw control character in a text": lines(objects(put('"a\x01b"')), 2, 1),
    "an escaped NUL": lines(objects(put('"a\\u0000b"')), 2, 1),
    "half a surrogate pair, escaped": lines(objects(put('"\\ud800"')), 2, 1),
    "an unknown escape": lines(objects(put('"\\x41"')), 2, 1),
    "an object for a text": lines(objects(put('{"a": [1, {"b": null}]}')), 3),
    "a list for a number": lines(objects(put("[1]", "pieces")), 2, 1),
    "true for a number": lines(objects(put("true", "pieces")), 2, 1),
    "a number beyond any": lines(objects(put("1e999", "amount"), put("9" * 4_000, "pieces")), 2, 2),
    "brackets 50,000 deep": lines(objects(put("[" * 50_000 + "]" * 50_000)), 2, 1),
    "brackets 50,000 deep that never close": lines(objects("[" * 50_000, '{"a":' * 20_000), 2, 2),
    "a member in two cases": lines(objects(put('"x", "NOTE": "y"'))),
    "a member without a name": lines(objects(put('"x", "": "y"')), 3),
    "an object of 2,001 members": lines(json.dumps({**member(), **{f"c{n}": n for n in range(2_000)}}).encode()),
    "objects that end in CR": lines(objects().replace(b"\n", b"\r"), 0, 1),
    "a line of 200 KB": lines(objects(put(f'"{"x" * 200_000}"')), 2, 1),
    "CSV called JSON lines": lines(TWO),
    "JSON lines cut short in their gzip": text(gzip.compress(objects())[:-9], name="a.jsonl.gz"),
}


def table(**changed: Any) -> pa.Table:
    """Two good rows; a changed column is an array of two, or None to leave it out."""
    columns: dict[str, Any] = {
        "order_id": ["A1", "A2"],
        "customer": ["17850", "17850"],
        "note": ["thanks", "thanks"],
        "ordered_at": [WHEN, WHEN],
        "pieces": [2, 2],
        "amount": [9.5, 9.5],
        "channel": ["web", "web"],
    }
    return pa.table({name: values for name, values in (columns | changed).items() if values is not None})


def parquet(made: pa.Table, **options: Any) -> bytes:
    with io.BytesIO() as out:
        pq.write_table(made, out, **options)
        return out.getvalue()


def columns(good: int = 0, bad: int = 0, **changed: object) -> Broken:
    return Broken(lambda: parquet(table(**changed)), "a.parquet", good, bad)


def footed(length: int) -> bytes:
    whole = parquet(table())
    return whole[:-8] + struct.pack("<I", length) + b"PAR1"


def flipped(place: float) -> bytes:
    """A whole file with one byte of its footer changed."""
    whole = bytearray(parquet(table()))
    [length] = struct.unpack("<I", whole[-8:-4])
    whole[-8 - length + int(length * place)] ^= 0x5A
    return bytes(whole)


def no_row_groups() -> bytes:
    with io.BytesIO() as out:
        pq.ParquetWriter(out, table().schema).close()
        return out.getvalue()


def renamed(*names: str) -> bytes:
    return parquet(table().rename_columns(list(names)))


def in_format(write: Callable[[pa.Table, Any], None]) -> bytes:
    with io.BytesIO() as out:
        write(table(), out)
        return out.getvalue()


def not_utf8() -> bytes:
    return parquet(table(note=["thanks", "NOTUTF"]), use_dictionary=False).replace(
        b"NOTUTF", b"\xff\xfe\xc0\x80\xed\xa0"
    )


def many(rows: int, **texts: str) -> bytes:
    """Many rows that are alike: a file of a few KB."""
    alike = {name: pa.repeat(values[0], rows) for name, values in zip(NAMES, table().columns, strict=True)}
    index = pa.repeat(pa.scalar(0, pa.int32()), rows)
    alike |= {name: pa.DictionaryArray.from_arrays(index, pa.array([text])) for name, text in texts.items()}
    return parquet(pa.table(alike), compression="zstd")


def nothing(rows: int, names: Sequence[str]) -> bytes:
    """Many rows without a value."""
    return parquet(pa.table({name: pa.nulls(rows, pa.string()) for name in names}))


BYTES = pa.array([b"\0\xff", b"x"], pa.binary())
PARQUETS: dict[str, Broken] = {
    "a Parquet column of structs": columns(note=[{"a": 1}, {"a": 2}]),
    "a Parquet column of maps": columns(note=pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64()))),
    "a Parquet column of lists in lists": columns(note=[[["a"]], []]),
    "a Parquet column of bytes": columns(note=BYTES),
    "a Parquet column of bytes of one length": columns(note=pa.array([b"ab", b"cd"], pa.binary(2))),
    "a Parquet column of times": columns(ordered_at=pa.array([1, 2], pa.time64("us")), bad=2),
    "a Parquet column of durations": columns(pieces=pa.array([1, 2], pa.duration("us")), good=2),
    "a Parquet column of nothing": columns(pieces=pa.nulls(2), bad=2),
    "a Parquet column of half floats": columns(amount=pa.array([1.5, 2.5], pa.float16()), good=2),
    "a Parquet column of decimals beyond 38 digits": columns(
        amount=pa.array([Decimal("1.5"), Decimal("9" * 60)], pa.decimal256(76, 2)), good=2
    ),
    "a Parquet column of booleans for numbers": columns(pieces=[True, False], bad=2),
    "a Parquet column of texts for numbers": columns(pieces=["2", "two"], good=1, bad=1),
    "a Parquet column of numbers for days": columns(ordered_at=[46082, 46083], bad=2),
    "Parquet floats that are no numbers": columns(amount=[float("nan"), float("-inf")], good=1, bad=1),
    "a Parquet integer beyond the rule": columns(pieces=[2, 2**62], good=1, bad=1),
    "Parquet days of the year 292,277": columns(ordered_at=pa.array([2**62, 0], pa.timestamp("us")), good=1, bad=1),
    "Parquet texts with control characters": columns(note=["a\0b", "a\x1fb\r\n"], bad=2),
    "Parquet texts that are not UTF-8": Broken(not_utf8, "a.parquet"),
    "a Parquet column with two names alike": Broken(lambda: renamed(*NAMES[:-2], "note", "channel"), "a.parquet"),
    "a Parquet column twice": Broken(
        lambda: parquet(pa.Table.from_arrays([*table().columns, table()["note"]], [*NAMES, "note"])), "a.parquet"
    ),
    "a Parquet column twice but for its case": Broken(
        lambda: parquet(pa.Table.from_arrays([*table().columns, table()["note"]], [*NAMES, "NOTE"])), "a.parquet"
    ),
    "a Parquet column without a name": Broken(
        lambda: parquet(pa.Table.from_arrays([*table().columns, table()["note"]], [*NAMES, ""])), "a.parquet", 2
    ),
    "a Parquet column left out": columns(pieces=None),
    "Parquet without row groups": Broken(no_row_groups, "a.parquet"),
    "Parquet without columns": Broken(lambda: parquet(pa.table({})), "a.parquet"),
    "Parquet of 2,001 columns": Broken(
        lambda: parquet(table(**{f"c{number}": [1, 2] for number in range(1_994)})), "a.parquet"
    ),
    "a Parquet file without its beginning": Broken(lambda: parquet(table())[100:], "a.parquet"),
    "a Parquet file without its middle": Broken(lambda: parquet(table())[:60] + parquet(table())[-1_500:], "a.parquet"),
    "the marks of Parquet and nothing between": text(b"PAR1PAR1", name="a.parquet"),
    "an encrypted Parquet footer": Broken(lambda: b"PARE" + parquet(table())[4:-4] + b"PARE", "a.parquet"),
    "a Parquet footer longer than the file": Broken(lambda: footed(2**31 - 1), "a.parquet"),
    "a Parquet footer of a length below zero": Broken(lambda: footed(2**32 - 1), "a.parquet"),
    "a Parquet footer of no length": Broken(lambda: footed(0), "a.parquet"),
    "a Parquet footer cut at its head": Broken(lambda: footed(40), "a.parquet"),
    "a Parquet file twice": Broken(lambda: parquet(table()) * 2, "a.parquet", 2),
    "something behind a Parquet file": Broken(lambda: parquet(table()) + b"\n", "a.parquet"),
    "Arrow called Parquet": Broken(lambda: in_format(pyarrow.feather.write_feather), "a.parquet"),
    "ORC called Parquet": Broken(lambda: in_format(pyarrow.orc.write_table), "a.parquet"),
    "a gzip called Parquet": text(GZIP, name="a.parquet"),
    "a Parquet text of 50 MB": Broken(lambda: parquet(table(note=["x" * 50_000_000, "ok"])), "a.parquet"),
    "Parquet bytes of 50 MB": Broken(lambda: parquet(table(extra=[b"x" * 50_000_000, b""])), "a.parquet"),
    "20,000 Parquet rows of one text of 100 KB": Broken(lambda: many(20_000, note="x" * 100_000), "a.parquet"),
    "20,000 Parquet rows of one text of 10 KB": Broken(lambda: many(20_000, note="x" * 10_000), "a.parquet", 0, 20_000),
    "10,000,000 Parquet rows": Broken(lambda: nothing(10_000_000, NAMES), "a.parquet"),
}
KINDS = TEXTS | GZIPS | JSONS | PARQUETS
# some of these can still be read, so nothing is said of their rows
FLIPS = {
    f"a Parquet footer with byte {number} of 20 changed": Broken(partial(flipped, number / 20), "a.parquet")
    for number in range(20)
}
