"""Ratios of ours to a floor. Both run by turns, and medians count; each side's memory is that of its own process."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Claim:
    """`ratio` is ours / against, or ours alone where there is nothing to compare it with.

    `claim` is the same in every run; `told` is what this run adds to it, such as an interval.
    """

    claim: str
    ours: float
    against: float | None
    ratio: float
    bar: float | None
    holds: bool | None
    runs: int
    told: str = ""

    @staticmethod
    def of(claim: str, ours: float, against: float | None, bar: float | None, runs: int, told: str = "") -> Claim:
        ratio = ours if against is None else ours / against
        return Claim(claim, ours, against, ratio, bar, None if bar is None else ratio <= bar, runs, told)

    def row(self) -> dict[str, Any]:
        """The row as it is written: `told` stands behind the claim in brackets."""
        row = asdict(self)
        told = row.pop("told")
        return {**row, "claim": f"{self.claim} ({told})" if told else self.claim}

    def is_of(self, row: dict[str, Any]) -> bool:
        """Whether a written row is this claim, whatever run wrote it."""
        written: str = row["claim"]
        return written == self.claim or written.startswith(f"{self.claim} (")


def timed(work: Callable[..., object], *arguments: Any) -> tuple[float, float]:
    """(seconds, peak memory in MB) of one call in a fresh process."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, arguments))


def _measured(work: Callable[..., object], arguments: tuple[Any, ...]) -> tuple[float, float]:
    start = time.perf_counter()
    work(*arguments)
    seconds = time.perf_counter() - start
    return seconds, peak_mb()


def peak_mb() -> float:
    """Peak memory of this process in MB. Not ru_maxrss, which in a child begins with its parent's."""
    [line] = [row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def by_turns(ours: Callable[[], float], floor: Callable[[], float], runs: int) -> tuple[float, float]:
    """Medians of seconds, after one turn of each that does not count."""
    ours(), floor()
    taken = [(ours(), floor()) for _ in range(runs)]
    return median(one for one, _ in taken), median(one for _, one in taken)


def write(area: str, claims: list[Claim], root: Path) -> int:
    """Write claims to `build/bench/<area>.json`, where others stay, and print them; how many do not hold."""
    path = root / f"build/bench/{area}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text()) if path.exists() else []
    kept = [row for row in before if not any(one.is_of(row) for one in claims)]
    path.write_text(json.dumps([*kept, *(one.row() for one in claims)], indent=1) + "\n")
    for one in claims:
        verdict = {True: "ok   ", False: "SHORT", None: "     "}[one.holds]
        against = f" against {one.against:.3f}" if one.against is not None else ""
        bar = f" (bar {one.bar:g})" if one.bar is not None else ""
        print(f"{verdict} {one.row()['claim']}: {one.ours:.3f}{against}, ratio {one.ratio:.3f}{bar}, n = {one.runs}")
    short = sum(one.holds is False for one in claims)
    print(f"{short} fall short", file=sys.stderr)
    return short
