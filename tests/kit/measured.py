"""A file validated in another process than pytest's: its report, and what it took."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from tests.kit.drops import ORDERS, PACK, Drops


def measured(body: bytes, name: str, changed: tuple[str, str] | None) -> dict[str, Any]:
    """The report of a file, with the rows that its zones really hold, and what it took."""
    drops = Drops({"pack.yaml": PACK, "contracts/orders.yaml": ORDERS.replace(*changed) if changed else ORDERS})
    # Linux sets the process's peak back. What an earlier file left in memory is counted again, so this is a bound
    Path("/proc/self/clear_refs").write_text("5")
    began = time.monotonic()
    try:
        report = drops.drop(body, name)
    except Exception as error:  # noqa: BLE001 - the test shows which files failed, and how
        return {"failed": f"{type(error).__name__}: {error}"[:300]}
    seconds = time.monotonic() - began
    peak = int(re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)[0]) * 1024
    held = {
        zone: drops.rows(report[f"{zone}_key"], "count(*)")[0][0] if report[zone] else 0
        for zone in ("bronze", "quarantine")
    }
    kept = report["quarantine_key"] and drops.lake.head(report["quarantine_key"]).size
    return {**report, "held": held, "kept": kept, "seconds": seconds, "peak": peak}
