"""make bench AREA=train: how good the models are, what they cost to fit, and how fast a version is restored."""

from __future__ import annotations

from pathlib import Path

from tests.bench import automotive, retail
from tests.bench.measure import Claim

PARTS = (retail, automotive)


def claims(work: Path, runs: int) -> list[Claim]:
    return [claim for part in PARTS for claim in part.claims(work / part.__name__.rsplit(".", 1)[1], runs)]
