"""Five small files that cost a reader much, and how long another tenant's file waits for its report meanwhile."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.kit.broken import nothing
from tests.stack.lake import Lake
from tests.stack.stack import ROOT, Stack

SAMPLE = ROOT / "events/sample.csv"
HEADER, ROW, *_ = SAMPLE.read_text().splitlines()
NAMES = HEADER.split(",")
HOSTILE, OTHER = "hostile_01", "waiting_01"
TEXT = 1_000_000_000  # bytes; a file may unzip to so many


def many_columns() -> bytes:
    """60 KB with 30,000 columns in the header."""
    more = "," * (30_000 - len(NAMES))
    return f"{HEADER}{more}\n{ROW}{more}\n".encode()


def bad_quotes() -> bytes:
    """1 MB with a quote that opens and never closes on each line."""
    line = f'"{ROW}\n'
    return (HEADER + "\n" + line * (1_000_000 // len(line))).encode()


def bomb() -> bytes:
    """200 MB of zeros in 200 KB."""
    return gzip.compress(bytes(10_000_000)) * 20


def long_text() -> bytes:
    """More text than a file may have, in a thirtieth of its bytes, as in an honest file."""
    rows = "".join(f"S{number:07}{ROW[8:]}\n" for number in range(250_000)).encode()
    return gzip.compress(f"{HEADER}\n".encode()) + gzip.compress(rows) * (TEXT // len(rows) + 1)


def files() -> Iterator[tuple[str, bytes, str]]:
    """(file, body, what its report says) of each hostile file. Nothing is said of a file that is read row by row."""
    yield "columns.csv", many_columns(), "the budget of columns is"
    yield "rows.parquet", nothing(10_000_000, NAMES), "the budget of rows is"
    yield "text.csv.gz", long_text(), "the budget of bytes is"
    yield "bomb.csv.gz", bomb(), "times its size"
    yield "quotes.csv", bad_quotes(), ""


def reports(lake: Lake, tenant: str) -> dict[str, dict[str, Any]]:
    """The reports of a tenant's files, by the file's folder and name."""
    told = map(lake.json, lake.keys(f"validation/sales/tenant_id={tenant}/"))
    return {one["key"].partition(f"/tenant_id={tenant}/")[2]: one for one in told}


@contextmanager
def held_back(stack: Stack) -> Iterator[None]:
    """Inside this block no file is validated: all that land wait in the queue."""
    function = stack.names()["ValidateUpload"]
    [mapping] = stack.functions.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    stack.functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        yield
    finally:
        stack.functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def drop_and_wait(stack: Stack, lake: Lake, seconds: float) -> float:
    """Let hostile files of one tenant queue, then a small file of another: after how many seconds it has its report.

    Each hostile file is there twice, so that they outnumber the files that are validated at once, and five still wait.
    Raises StackError where the small file has no report after `seconds`.
    """
    bucket, bodies = stack.outputs["LandingBucket"], {name: body for name, body, _ in files()}
    with held_back(stack):
        before = stack.waiting("UploadQueue")
        keys = [(f"{folder}/{name}", body) for folder in ("first", "again") for name, body in bodies.items()]
        for key, body in keys:
            stack.s3.put_object(Bucket=bucket, Key=f"sales/tenant_id={HOSTILE}/{key}", Body=body)
        queued = before + len(keys)
        stack.wait(lambda: stack.waiting("UploadQueue") == queued, 60, "the hostile files in the queue")
        stack.s3.put_object(Bucket=bucket, Key=f"sales/tenant_id={OTHER}/small.csv", Body=SAMPLE.read_bytes())
        stack.wait(lambda: stack.waiting("UploadQueue") == queued + 1, 60, "the small file in the queue")
    began = time.monotonic()
    stack.wait(lambda: bool(reports(lake, OTHER)), seconds, f"a report of the file of {OTHER}")
    return time.monotonic() - began
