"""make bench-peers AREA=score: scoring beside MLflow's pyfunc, features as of a date beside Feast's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

import propensity
from propensity.evaluation.domain.mlflow_model import mlflow_files
from propensity.registry.domain.ledger import version_folder
from tests.bench.measure import Claim
from tests.bench.peers import peer
from tests.bench.scoring.apart import apart, middle_cpu, most_memory
from tests.bench.scoring.features import build, lake_of, plan_item
from tests.bench.scoring.models import ROWS, TREES_8, made
from tests.bench.scoring.prepare import DAY, MODEL, RUN, definition, write_features
from tests.bench.scoring.steps import score

MLFLOW = ("mlflow==3.17.2", "onnxruntime==1.31.1", "numpy==2.5.5", "pyarrow", "pandas")
FEAST = ("feast==0.67.0", "pyarrow", "pandas", "dask[dataframe]")
FEAST_ROWS = 20_000
_CLOSE = 1e-6


def claims(work: Path, runs: int, part: str | None = None) -> list[Claim]:
    """Both peers, or the one that `part` names."""
    parts = {"mlflow": beside_mlflow, "feast": beside_feast}
    return [claim for name in ([part] if part else parts) for claim in parts[name](work, runs)]


def beside_mlflow(work: Path, runs: int, rows: int = ROWS) -> list[Claim]:
    """Scores without reasons out of the same file, by turns. The ratio is that of the turn in which ours does worst."""
    features = work / f"features-{rows}.parquet"
    if not features.exists():
        apart(write_features, features, rows)
    folder = made(work, TREES_8, features)
    version = folder / version_folder(MODEL, 1)
    loader = (Path(propensity.__file__).parent / "pyfunc_loader.py").read_text()
    files = mlflow_files(
        definition(), run="bench", as_of=DAY, ranking="none", loader=loader, python="3.13", packages={}
    )
    for name, text in files.items():
        (version / name).parent.mkdir(parents=True, exist_ok=True)
        (version / name).write_text(text)
    ours, theirs = [], []
    for _ in range(runs):
        ours.append(apart(score, folder))
        theirs.append(peer("mlflow_rows.py", MLFLOW, str(version), str(features), str(work / "mlflow.parquet")))
        assert theirs[-1]["rows"] == rows
    same = pq.read_table(folder / RUN / "scored/0001.parquet", partitioning=None).column("score")
    other = pq.read_table(work / "mlflow.parquet").column("score")
    apart_by = pc.max(pc.abs(pc.subtract(same, other))).as_py()
    assert apart_by < _CLOSE, f"MLflow's scores differ by up to {apart_by}"
    name = f"{rows:,} rows scored without reasons, beside MLflow's pyfunc"
    worst = max(range(runs), key=lambda turn: ours[turn].seconds / theirs[turn]["seconds"])
    dearest = max(range(runs), key=lambda turn: ours[turn].cpu / theirs[turn]["cpu"])
    memory = max(turn["memory_mb"] for turn in theirs)
    return [
        Claim.of(f"{name}: seconds, worst turn", ours[worst].seconds, theirs[worst]["seconds"], 1.0, runs),
        Claim.of(f"{name}: CPU, worst turn", ours[dearest].cpu, theirs[dearest]["cpu"], 1.0, runs),
        Claim.of(f"{name}: peak memory in MB", most_memory(ours), memory, None, runs),
    ]


def beside_feast(work: Path, runs: int, customers: int = FEAST_ROWS) -> list[Claim]:
    """Features as of a day. Ours are the pack's, which add events up; Feast's are two values of the last visit."""
    folder = lake_of(work, customers)
    apart(plan_item, folder)
    events = work / "visits.parquet"
    visits = ds.dataset(folder / "silver/service_records", format="parquet", exclude_invalid_files=True).to_table(
        columns=["tenant_id", "customer_id", "visited_at", "amount", "declined_amount"]
    )
    key = pc.binary_join_element_wise(visits["tenant_id"], visits["customer_id"], "/")
    pq.write_table(visits.append_column("customer", key).drop_columns(["tenant_id", "customer_id"]), events)
    ours, theirs = [], []
    for turn in range(runs):
        ours.append(apart(build, folder))
        store = work / f"feast-{turn}"
        shutil.rmtree(store, ignore_errors=True)
        store.mkdir()
        theirs.append(peer("feast_rows.py", FEAST, str(events), str(store), DAY))
    name = f"features of {customers:,} customers as of a day, beside Feast's file store"
    cpu = sorted(turn["cpu"] for turn in theirs)[runs // 2]
    told = f"{len(definition().features)} features from five datasets; Feast's: 2 of the last visit"
    return [Claim.of(f"{name}: CPU", middle_cpu(ours), cpu, None, runs, told)]
