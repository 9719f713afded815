"""The gates of the chosen candidate: each figure measured where it stands, and judged by evaluation/domain/gates.py."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.evaluation.case import Case
from propensity.evaluation.champion_gates import compare
from propensity.evaluation.changed_features import changed_features
from propensity.evaluation.domain import gates, slices
from propensity.evaluation.domain.gates import Gate
from propensity.evaluation.domain.leakage import sentinels
from propensity.evaluation.slicing import parts_of
from propensity.lake.domain.run_records import TrainingPlan
from propensity.ports import Ports
from propensity.stats.figures import Estimate

_THREADS = 4
_CALLS = 100  # per thread and round
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """Every gate but parity's, in the order in which a reader wants them, and all slices with their figures."""

    gates: list[Gate]
    slices: list[dict[str, Any]]


def judge(ports: Ports, plan: TrainingPlan, case: Case) -> Verdict:
    data, definition, limits = case.data, case.definition, case.definition.model.gates
    coded = {feature.name for feature in definition.features if feature.dtype == "category"}
    found = sentinels(definition.feature_names, data.matrix, data.labels, coded)
    metrics = {name: Estimate(**case.metrics[name]) for name in gates.MEASURED}
    _, counts = np.unique(case.scores, return_counts=True)
    parts, whole = parts_of(case.held, case.rows, data, definition)
    judged = [
        *gates.evidence(_count(data.labels[data.fitted]), _count(case.held.labels), limits),
        gates.constant(float(counts.max() / counts.sum()), len(case.scores), limits),
        *gates.quality(metrics, limits),
        *gates.leaks(found, len(data.labels), limits),
        changed_features(ports, plan, case),
        *slices.judge(parts, whole, limits),
        *compare(ports, plan, case),
        _latency(ports, case),
    ]
    return Verdict(judged, [part.to_json(limits.min_positives) for part in [whole, *parts]])


def _count(labels: Any) -> tuple[int, int]:
    return int(labels.sum()), len(labels)


def _latency(ports: Ports, case: Case) -> Gate:
    """The best of three rounds: what a busy neighbour on the machine costs is not the model's fault."""
    limits, matrix = case.definition.model.gates, case.data.matrix
    rows = np.linspace(0, len(matrix) - 1, _CALLS).astype(np.int64)

    def ask(shift: int) -> list[float]:
        took = []
        for row in np.roll(rows, shift):
            start = ports.stopwatch()
            case.model.predict(matrix[row : row + 1])
            took.append(ports.stopwatch() - start)
        return took

    best = math.inf
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in range(_ROUNDS):
            took = [one for part in pool.map(ask, range(_THREADS)) for one in part]
            best = min(best, float(np.quantile(took, 0.99)) * 1000)
            if best <= gates.latency_steps(limits)[0]:
                break
    ports.metrics.count("ScoringLatencyP99Ms", best, model=case.definition.model.name)
    return gates.latency(best, _THREADS * _CALLS, _THREADS, limits)
