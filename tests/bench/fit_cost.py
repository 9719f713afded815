"""make bench AREA=train: what a whole search costs on 1,000,000 rows of 40 features, in a process of its own.

It counts CPU-seconds, not wall time. Six vCPUs of Lambda give 5,400 of them in 15 minutes, of which 3,800 may be used.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from propensity.adapters.sklearn_trainer import SklearnTrainer
from propensity.pack.domain.model_spec import ModelSpec
from propensity.ports import Ports
from propensity.training.data import TrainingData
from propensity.training.search_run import Search
from tests.bench.measure import Claim, peak_mb
from tests.kit.specs import model_spec

ROWS, COLUMNS, DATES = 1_000_000, 40, 8
CPU_SECONDS, PEAK_MB = 3_800.0, 8 * 1024.0
BUDGET = 2_000.0  # training.cpu_seconds, an estimate for a good hour; in a slow one a search took 1.6 times as much
# as in the packs
CANDIDATES: tuple[dict[str, Any], ...] = (
    {
        "family": "logistic_regression",
        "grid": [{"C": 0.01}, {"C": 1.0}],
        "space": {"C": {"low": 0.0001, "high": 1, "log": True}, "l1_ratio": [0, 0, 0.5]},
        "draws": 25,
    },
    {
        "family": "hist_gradient_boosting",
        "grid": [{"learning_rate": 0.05, "max_iter": 200, "max_leaf_nodes": 8, "min_samples_leaf": 200}],
        "space": {
            "learning_rate": {"low": 0.02, "high": 0.1, "log": True},
            "max_iter": [200],
            "max_leaf_nodes": [3, 4, 6, 8, 12],
            "min_samples_leaf": [50, 100, 200, 400],
            "l2_regularization": {"low": 1, "high": 100, "log": True},
        },
        "draws": 14,
    },
    {
        "family": "random_forest",
        "grid": [{}],
        "space": {"max_depth": [6, 8, 10], "min_samples_leaf": [50, 100, 200], "max_features": ["sqrt", 0.3]},
        "draws": 5,
    },
)


@dataclass(frozen=True)
class Cost:
    """CPU-seconds of all threads and children, peak memory in MB, how many settings were tried and how many not."""

    cpu_seconds: float
    estimated: float
    peak_mb: float
    tried: int
    untried: int


def claims(work: Path, runs: int, rows: int = ROWS, cpu_seconds: float = BUDGET) -> list[Claim]:
    """`runs` is not used: a search is long enough to be its own average."""
    found = []
    for candidate in CANDIDATES:
        cost = measured(candidate, rows, cpu_seconds)
        name = f"{candidate['family']}, search and fit on {rows:,} x {COLUMNS}"
        told = f"{cost.tried} settings, {cost.untried} left untried"
        print(f"{name}: {cost}")
        found += [
            Claim.of(f"{name}: CPU-seconds", cost.cpu_seconds, None, CPU_SECONDS, 1, told),
            Claim.of(f"{name}: peak MB", cost.peak_mb, None, PEAK_MB, 1, told),
        ]
    return found


def measured(candidate: dict[str, Any], rows: int, cpu_seconds: float) -> Cost:
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_search, (candidate, rows, cpu_seconds))


def _search(candidate: dict[str, Any], rows: int, cpu_seconds: float) -> Cost:
    data, spec = table(rows), _spec(candidate, cpu_seconds)
    before = _cpu()
    search = Search(cast("Ports", SimpleNamespace(trainer=SklearnTrainer())), spec, spec.candidates[0].family, data)
    found = search.run(spec.candidates[0])
    search.fit(found.setting, found.rows).onnx()
    settings = {repr(trial.setting) for trial in found.trials}
    return Cost(_cpu() - before, found.cpu_seconds, peak_mb(), len(settings), found.untried)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def table(rows: int) -> TrainingData:
    """Counts, amounts, flags and missing values as features have them; one row in ten converts.

    Only some columns matter, through thresholds and an interaction, and there is much noise.
    """
    random = np.random.default_rng(7)
    matrix = random.standard_normal((rows, COLUMNS), dtype=np.float32)
    matrix[:, :10] = np.floor(np.exp(matrix[:, :10]))  # counts, heavy on the right
    matrix[:, 10:15] = matrix[:, 10:15] > 1
    logit = 0.5 * np.log1p(matrix[:, 0]) - 0.7 * np.abs(matrix[:, 20]) + 0.6 * matrix[:, 21] * (matrix[:, 22] > 0)
    logit += 0.8 * matrix[:, 10] + 0.15 * matrix[:, 23:30].sum(axis=1) - 2.6
    labels = (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    matrix[random.random((rows, COLUMNS), dtype=np.float32) < 0.05] = np.nan
    days = np.arange(DATES) * 90 + np.datetime64("2024-01-01", "D")
    return TrainingData(matrix, labels, days[np.arange(rows) * DATES // rows])


def _spec(candidate: dict[str, Any], cpu_seconds: float) -> ModelSpec:
    training = {"as_of_count": DATES, "every_days": 90, "newest": [4, 8], "cpu_seconds": cpu_seconds}
    return model_spec(horizon_days=90, training=training, candidates=[candidate])
