"""make bench AREA=score: what scoring, features, lists and commits cost, beside the least that the same work needs.

The parts are in tests/bench/scoring. PART=<name> measures one of them. CPU seconds are those of fresh processes without
their imports, both sides by turns.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tests.bench.measure import Claim

# in this order: `gaps` scores the lake that `features` makes, and `lists` reads those scores
PARTS = ("models", "exactness", "before", "sizes", "features", "gaps", "lists", "commits")


def claims(work: Path, runs: int, part: str | None = None) -> list[Claim]:
    """The claims of all parts, or of one."""
    work.mkdir(parents=True, exist_ok=True)
    found: list[Claim] = []
    for name in [part] if part else PARTS:
        found += import_module(f"tests.bench.scoring.{name}").claims(work, runs)
    return found
