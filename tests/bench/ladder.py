"""The tenant ladder on generated dealers: mean log loss and AUC per dealer on later outcomes, with and without.

`python -m tests.bench.ladder --dealers 25 --customers 20000` prints a line per kind of simulation; nothing of the
outcomes was known when the ladder was chosen.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from propensity.evaluation.calibrate import group
from propensity.kernel.errors import EvidenceError
from propensity.ladder.domain.evidence import clustered_gain as gain
from propensity.registry.artifact import load_artifact
from propensity.registry.versions import load_version
from propensity.stats.calibration import row_losses
from propensity.stats.figures import auc
from tests.kit.world import World
from tests.stack.automotive import AS_OF, generate

MODEL = "service"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dealers", type=int, default=25)
    parser.add_argument("--customers", type=int, default=20_000)
    options = parser.parse_args()
    for differing in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder), options.dealers, options.customers, differing=differing)
        print(json.dumps({"differing": differing, **found}, indent=1), flush=True)


def measure(work: Path, dealers: int, customers: int, *, differing: bool) -> dict[str, Any]:
    made = generate(work / "data", dealers=dealers, customers=customers, alike=True, differing=differing)
    world = World("automotive", work / "lake")
    world.load(made.phases["history"])
    world.train(MODEL, AS_OF.isoformat())
    scored = world.score(MODEL, AS_OF.isoformat())
    artifact = load_artifact(world, load_version(world.lake, MODEL, 1))
    items = [json.loads(world.lake.get(item)) for item in world.items(scored["items"])]
    features = pa.concat_tables([pq.read_table(world.folder / item["out"]) for item in items])
    truth = pq.read_table(made.truth).filter(pa.compute.equal(pq.read_table(made.truth)["model"], MODEL))
    rows = features.join(truth, ["tenant_id", "customer_id"], join_type="inner")
    columns = [rows[name].to_numpy() for name in artifact.definition.feature_names]
    matrix = np.column_stack(columns).astype(np.float32)
    tenants, label = rows["tenant_id"].to_numpy(zero_copy_only=False), rows["outcome"].to_numpy().astype(int)
    _, with_ladder = artifact.score(matrix, tenants)
    _, without = replace(artifact, ladder=None).score(matrix, tenants)
    found = {name: _of(name, tenants, label, with_ladder, without) for name in np.unique(tenants.astype(str))}
    ladder = load_version(world.lake, MODEL, 1).json(world.lake, "ladder.json")
    everyone = gain(
        row_losses(without, label), row_losses(with_ladder, label), np.ones(len(label)), np.arange(len(label))
    )
    return {
        "rows": len(label),
        "positives": int(label.sum()),
        "dealers": len(found),
        "rungs": dict(Counter(one["rung"] for one in ladder["tenants"].values())),
        "variance_between_tenants": ladder["variance_between_tenants"],
        "gain_log_loss_per_row": asdict(everyone),
        "mean_per_dealer": {
            key: float(np.mean([one[key] for one in found.values()]))
            for key in ("loss_with", "loss_without", "auc_with", "auc_without")
        },
        "moved": {
            name: {"rung": ladder["tenants"][name]["rung"], **one}
            for name, one in found.items()
            if ladder["tenants"][name]["rung"] != "global"
        },
    }


def _of(name: str, tenants: Any, label: Any, with_ladder: Any, without: Any) -> dict[str, float]:
    rows = tenants == name
    said: dict[str, float] = {"n": int(rows.sum()), "positives": int(label[rows].sum())}
    for kind, scores in (("with", with_ladder), ("without", without)):
        said[f"loss_{kind}"] = float(row_losses(scores[rows], label[rows]).mean())
        try:
            said[f"auc_{kind}"] = auc(group(scores[rows], label[rows])).value
        except EvidenceError:
            said[f"auc_{kind}"] = 0.5
    return said


if __name__ == "__main__":
    main()
