"""What a row costs, and how much memory a worker takes, from a hundred thousand customers to five million."""

from __future__ import annotations

from pathlib import Path

from tests.bench.measure import Claim
from tests.bench.scoring.apart import Cost, apart, middle_cpu, most_memory
from tests.bench.scoring.models import TREES_8, made
from tests.bench.scoring.prepare import write_features
from tests.bench.scoring.steps import label, score

SIZES = (100_000, 1_000_000, 5_000_000)
_BESIDE = 1_000_000
_MEMORY = 450


def claims(work: Path, runs: int, rows: int = SIZES[-1]) -> list[Claim]:
    """Scoring and labelling of boosted trees as one work item of each size, by turns."""
    folders = {}
    for size in [size for size in SIZES if size <= rows]:
        features = work / f"features-{size}.parquet"
        if not features.exists():
            apart(write_features, features, size)
        folders[size] = made(work, TREES_8, features)
    costs: dict[int, tuple[list[Cost], list[Cost]]] = {size: ([], []) for size in folders}
    for _ in range(runs):
        for size, folder in folders.items():
            for step, found in zip((score, label), costs[size], strict=True):
                found.append(apart(step, folder))
    per_row = {size: sum(map(middle_cpu, found)) / size for size, found in costs.items()}
    off = max(abs(cost / per_row[min(rows, _BESIDE)] - 1) for cost in per_row.values())
    told = ", ".join(f"{cost * 1e6:.2f} µs of {size:,}" for size, cost in per_row.items())
    peak = most_memory([cost for found in costs[rows] for cost in found])
    name = f"{TREES_8.name}: CPU of a row, greatest difference from that of {_BESIDE:,} rows"
    return [
        Claim.of(name, off, None, 0.2, runs, told),
        Claim.of(f"{rows:,} rows, {TREES_8.name}: peak memory in MB", peak, None, _MEMORY, runs),
    ]
