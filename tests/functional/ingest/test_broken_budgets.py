"""Every broken file ends in a report, loses no row, and stays within the budgets of seconds and memory.

The files are validated in other processes than this one, which holds all of them. The peak of memory is the process's,
because tracemalloc does not see the engine's own memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from propensity.ingest.domain.budgets import MAX_MEMORY, MAX_SECONDS
from tests.functional.ingest.test_broken_files import BROKEN
from tests.functional.ingest.test_validate_upload_refuses import REFUSED
from tests.kit.broken import FLIPS, KINDS
from tests.kit.measured import measured
from tests.kit.processes import pool

PROCESSES = 2


def fault(told: Mapping[str, Any], size: int, rows: tuple[int, int] | None) -> str | None:
    """What is wrong with a file's report; `rows` are the good and bad ones, where something is said of them."""
    if "failed" in told:
        return str(told["failed"])
    if told["seconds"] > MAX_SECONDS or told["peak"] > MAX_MEMORY:
        return f"{told['seconds']:.0f} s, {told['peak']:,} bytes"
    found = (told["bronze"], told["quarantine"])
    if rows is not None and found != rows:
        return f"{found} good and bad rows, expected {rows}: {told.get('why') or told['reasons']}"
    if told["status"] == "rejected":
        return None if told["why"].startswith(told["key"]) and told["kept"] == size and found == (0, 0) else "not kept"
    held = (told["held"]["bronze"], told["held"]["quarantine"])
    return None if sum(found) == told["rows_in"] > 0 and found == held else f"says {found}, holds {held}"


def test_every_broken_file_ends_in_a_report_within_the_budgets() -> None:
    files: dict[str, tuple[bytes, str, tuple[str, str] | None, tuple[int, int] | None]] = {}
    for what, (body, name, _) in REFUSED.items():
        files[f"refused: {what}"] = (body, name, None, (0, 0))
    for what, one in BROKEN.items():
        files[f"read in part: {what}"] = (one.body, one.name, one.contract, (one.good, len(one.bad)))
    for what, made in KINDS.items():
        files[what] = (made.make(), made.name, None, (made.good, made.bad))
    for what, made in FLIPS.items():
        files[what] = (made.make(), made.name, None, None)
    assert len({(body, name) for body, name, *_ in files.values()}) == len(files) >= 80
    with pool(PROCESSES) as validators:
        running = {
            what: validators.submit(measured, body, name, changed) for what, (body, name, changed, _) in files.items()
        }
        told = {what: future.result() for what, future in running.items()}
    faults = {what: fault(told[what], len(body), rows) for what, (body, _, _, rows) in files.items()}
    assert {what: why for what, why in faults.items() if why} == {}
    slowest, largest = (max(told, key=lambda what: told[what][measure]) for measure in ("seconds", "peak"))
    print(f"{len(files)} broken files")
    print(f"most seconds: {told[slowest]['seconds']:.1f} s, {slowest}")
    print(f"most memory: {told[largest]['peak'] / 1e6:.0f} MB, {largest}")
