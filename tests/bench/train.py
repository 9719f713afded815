"""make bench AREA=train: how good the models are, what they cost to fit, and how fast a version is restored."""

from __future__ import annotations

from pathlib import Path

from tests.bench import automotive, fit_cost, leads, retail, rollback
from tests.bench.measure import Claim, write

ROOT = Path(__file__).resolve().parents[2]
PARTS = (rollback, retail, automotive, leads, fit_cost)


def claims(work: Path, runs: int) -> list[Claim]:
    """Run part after part. Each part's figures are written at once, for the last one takes an hour."""
    found = []
    for part in PARTS:
        made = part.claims(work / part.__name__.rsplit(".", 1)[1], runs)
        write("train", made, ROOT)
        found += made
    return found
