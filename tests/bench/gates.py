"""Outcomes of the gates of quality and level on 200 small validation folds of each kind.

python -m tests.bench.gates: how often a sound, a weak, a useless and a wrong model passes, fails, or has not enough
evidence.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.kit.tenant_worlds import judged

WORLDS = 200
KINDS: dict[str, dict[str, Any]] = {
    "good, AUC 0.75": {"auc": 0.75},
    "sound, AUC 0.66": {"auc": 0.66},
    "weak, AUC 0.58": {"auc": 0.58},
    "knows the tenants' rates only": {"auc": 0.5},
    "sound, at half the odds": {"auc": 0.66, "odds": 0.5},
}


def main() -> None:
    for rows in (65, 400):
        for kind, given in KINDS.items():
            worlds = [judged(seed, rows=rows, **given) for seed in range(WORLDS)]
            print(f"{kind}; {WORLDS} worlds of 8 tenants x {rows} rows")
            for name in worlds[0]:
                counts = Counter(gates[name].outcome for gates in worlds)
                print(f"  {name}: {', '.join(f'{outcome} {count}' for outcome, count in sorted(counts.items()))}")


if __name__ == "__main__":
    main()
