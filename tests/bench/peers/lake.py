"""make bench-peers AREA=lake: the validation of one file beside pandera's and Great Expectations'."""

from __future__ import annotations

from pathlib import Path

from tests.bench.lake import MILLION, make_rows, validate
from tests.bench.measure import Claim, by_turns, timed
from tests.bench.peers import peer

BAD = MILLION // 200
PEERS = (
    ("pandera over polars", "pandera_rows.py", ("pandera[polars]==0.35.0", "polars==2.1.0"), 2.0),
    (
        "Great Expectations over pandas",
        "great_expectations_rows.py",
        ("great-expectations==1.24.1", "pandas==3.1.1"),
        1.0,
    ),
)


def claims(work: Path, runs: int) -> list[Claim]:
    """Compare. Ours also writes Bronze and quarantine and numbers the lines; the two others do not."""
    path = work / "1m.csv"
    # both stop at a line with a value too many, so this file has none
    make_rows(path, MILLION, ragged=False)
    found = []
    for name, script, packages, bar in PEERS:

        def theirs(script: str = script, packages: tuple[str, ...] = packages) -> float:
            told = peer(script, packages, str(path))
            assert told["failures"] == BAD, told
            return told["seconds"]

        ours, against = by_turns(lambda: timed(validate, path, "service_records/tenant_id=t1/a.csv")[0], theirs, runs)
        found.append(Claim.of(f"1,000,000 rows validated, 8 rules, against {name}", ours, against, bar, runs))
    return found
