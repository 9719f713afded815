"""Generated dealers: what their systems would export, as dirty as real feeds are, and the truth behind it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from tests.stack.automotive.files import Generated, write_files
from tests.stack.automotive.simulate import AS_OF, simulate

GAP_DAY = date(2025, 7, 15)
KNOWN_BY = date(2025, 10, 6)  # a week after the window's end: an outcome that was recorded late, but by then, counts

__all__ = ["AS_OF", "GAP_DAY", "KNOWN_BY", "Generated", "generate"]


def generate(
    out: Path,
    *,
    seed: int = 20250701,
    dealers: int = 25,
    customers: int = 40_000,
    no_effect: bool = False,
    alike: bool = False,
    differing: bool = False,
) -> Generated:
    """Write the drop files of all phases below `out`, with the manifest of planted faults and the truth.

    Equal arguments give equal bytes. Dealers' rates differ by a factor of five. From three dealers on, the last has
    too few customers for a list, one dealer's visits come late, and one exports again with other values. `alike` makes
    dealers without any of this. With `differing` three of those are not like the others (simulate.py). With
    `no_effect` no outcome depends on anything.
    """
    world = simulate(
        seed=seed, dealers=dealers, customers=customers, no_effect=no_effect, alike=alike, differing=differing
    )
    return write_files(world, out, seed=seed, gap_day=GAP_DAY)
