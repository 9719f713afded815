"""Part of AREA=train: models of a real shop, trained at seven dates on what was known, beside a simple model.

The figure is 1 - AUC: how often a customer who did not buy is ranked above one who did. Less is better.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import track
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from tests.bench.measure import Claim
from tests.kit.registries import crown
from tests.kit.world import World
from tests.stack import scenarios
from tests.stack.stack import ROOT

DATA = ROOT.parent / "shared/data/online_retail_ii"
MODEL = "purchase_90d"
ORIGINS = tuple(date(2011, month, 1) for month in range(3, 10))
RFV = ("log_days_since_last", "log_purchases", "log_spend")
BOUGHT = """
    select tenant_id, customer_id, 1 as bought from lines
    where customer_id is not null and invoice not like 'C%' and quantity > 0 and unit_price > 0
        and invoiced_at >= timestamptz '{day} 00:00:00+00'
        and invoiced_at < timestamptz '{day} 00:00:00+00' + interval 90 day
    group by all"""


def claims(work: Path, runs: int) -> list[Claim]:
    """`runs` is not used: the dates are the repetitions."""
    world = load(work)
    ours, simple = [], []
    for origin in track(ORIGINS, "trained and scored"):
        day = origin.isoformat()
        trained = world.train(MODEL, day)
        of_that_date(world, trained)
        scored = world.score(MODEL, day)
        ours.append(1 - auc_of_scores(world, day))
        simple.append(
            1 - _auc_of_simple(world, day, features_of(world, trained["run"]), features_of(world, scored["run"]))
        )
    name = f"Online Retail II, {MODEL}, 1 - AUC"
    newest = Claim.of(f"{name}, as of {ORIGINS[-1]}", ours[-1], None, 1 - 0.805, 1)
    return [paired(f"{name}, mean of 7 dates, against logistic regression on RFV", ours, simple), newest]


def of_that_date(world: World, trained: dict[str, Any]) -> None:
    """Let each date's model score, even where its gates failed: the figure is how well it ranks."""
    if not trained["promoted"]:
        print(f"{trained['as_of']}: held back by {', '.join(trained['failed_gates'])}")
        crown(world.lake, MODEL, trained["version"])


def load(work: Path) -> World:
    """A world with both years in Silver."""
    if not (DATA / "year_2009_2010.parquet").exists():
        raise SystemExit(f"make bench AREA=train needs Online Retail II in {DATA}; see README.md")
    world = World("retail", work / "lake")
    world.load(scenarios.retail(DATA, work / "files").history)
    return world


def paired(claim: str, ours: list[float], against: list[float]) -> Claim:
    """The ratio of two means over the same dates, with the 95 % interval of their difference (Student's t)."""
    gaps = [mine - its for mine, its in zip(ours, against, strict=True)]
    half = float(student.ppf(0.975, len(gaps) - 1)) * stdev(gaps) / len(gaps) ** 0.5
    told = f"difference {fmean(gaps) - half:+.4f} to {fmean(gaps) + half:+.4f}"
    return Claim.of(claim, fmean(ours), fmean(against), 1.0, len(gaps), told)


def auc_of_scores(world: World, day: str) -> float:
    """AUC of the champion's batch, against what was bought then."""
    rows = world.query(
        f"select s.score, coalesce(b.bought, 0) from scores s left join ({BOUGHT.format(day=day)}) b "
        f"using (tenant_id, customer_id) where s.as_of = date '{day}'",
        scores="gold/scores",
        lines="silver/invoice_lines",
    )
    scores, labels = zip(*rows, strict=True)
    return float(roc_auc_score(labels, scores))


def _auc_of_simple(world: World, day: str, train: pa.Table, test: pa.Table) -> float:
    """AUC of a model of three features, with the same training rows and the same customers."""
    bought = bought_after(world, day)
    people = zip(test["tenant_id"].to_pylist(), test["customer_id"].to_pylist(), strict=True)
    scaler = StandardScaler().fit(_matrix(train))
    fitted = LogisticRegression(max_iter=2000).fit(scaler.transform(_matrix(train)), train["label"].to_numpy())
    scores = fitted.predict_proba(scaler.transform(_matrix(test)))[:, 1]
    return float(roc_auc_score([one in bought for one in people], scores))


def bought_after(world: World, day: str) -> set[tuple[str, str]]:
    """(tenant, customer) of each customer who bought within 90 days."""
    return {row[:2] for row in world.query(BOUGHT.format(day=day), lines="silver/invoice_lines")}


def _matrix(table: pa.Table) -> Any:
    return np.column_stack([table[name].to_numpy() for name in RFV])


def features_of(world: World, run: str) -> pa.Table:
    keys = [json.loads(world.lake.get(item))["out"] for item in world.items(f"{run}/items.json")]
    return pa.concat_tables([pq.read_table(world.folder / key) for key in keys])
