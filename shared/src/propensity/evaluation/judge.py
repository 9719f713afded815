"""The measurements of the chosen candidate for its gates.

The rules of the gates stand in evaluation/domain/gates.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.evaluation.calibrate import lists_of
from propensity.evaluation.case import Case
from propensity.evaluation.champion_gates import champion_gates
from propensity.evaluation.changed_features import as_served, changed_features
from propensity.evaluation.domain import gates
from propensity.evaluation.domain.gates import Gate
from propensity.evaluation.domain.slices import slice_gates
from propensity.evaluation.slicing import parts_of
from propensity.kernel.tenant import CUSTOMER, TENANT
from propensity.lake.domain.run_records import TrainingPlan
from propensity.ports import Ports
from propensity.stats.figures import Estimate
from propensity.stats.foresight import History, area_error, earlier_rows, foresight_of, rank_area
from propensity.stats.leak_signs import Shuffled, doubtful, foreseen, reversing
from propensity.stats.sampling import spread
from propensity.stats.sentinels import sentinels
from propensity.training.data import as_date, folds

_THREADS = 4
_CALLS = 100  # scores per thread and round
_ROUNDS = 3
_LOOKED = 50_000  # at most this many rows show what a model owes to a feature
_SHUFFLES = 3
_FOLLOWED = 200_000  # about so many rows show how values move


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement of a case.

    `gates` has all gates but the parity gates, in the order in which a reader wants them. `slices` has the lines of
    slices.json.
    """

    gates: list[Gate]
    slices: list[dict[str, Any]]


def judge_case(ports: Ports, plan: TrainingPlan, case: Case) -> Judgement:
    """Measure and return every gate but the parity gates.

    Parity is measured for each candidate before one is chosen.
    """
    data, definition, limits = case.data, case.definition, case.definition.model.gates
    coded = {feature.name for feature in definition.features if feature.dtype == "category"}
    alone = sentinels(definition.feature_names, data.matrix, data.labels, coded)
    measured = {name: case.metrics[name] for name in gates.MEASURED}
    metrics = {name: Estimate(**figure) if figure else None for name, figure in measured.items()}
    pooled = {name: Estimate(**figure) for name in gates.OVER_FOLDS if (figure := case.metrics[name])}
    _, counts = np.unique(case.scores, return_counts=True)
    parts, whole = parts_of(case.fold, case.rows, data, definition)
    judged = [
        *gates.evidence(_count(data.labels[data.fitted]), _count(case.fold.labels), limits),
        gates.constant(float(counts.max() / counts.sum()), len(case.scores), limits),
        *gates.quality(metrics, limits, pooled),
        gates.level(lists_of(case.fold, case.tenants), limits),
        *gates.leaks(alone, len(data.labels), limits),
        _leak_model(case),
        _known_features(case),
        changed_features(ports, plan, case),
        as_served(ports, plan, case),
        *slice_gates(parts, whole, limits),
        *champion_gates(ports, plan, case),
        _latency(ports, case),
    ]
    return Judgement(judged, [part.to_json(limits.min_positives) for part in [whole, *parts]])


def _count(labels: Any) -> tuple[int, int]:
    """Return (positives, rows)."""
    return int(labels.sum()), len(labels)


def _leak_model(case: Case) -> Gate:
    """Return the gate on features that seem to know the future.

    Values move over the dates of a training set, so the customers of a sample are looked at on all their dates. What
    the model owes to a feature is measured on the newest fold, with values of the same rows, so that every value is one
    that the model has seen.
    """
    data, limits = case.data, case.definition.model.gates
    who = np.stack([np.unique(data.columns[name].astype(str), return_inverse=True)[1] for name in (TENANT, CUSTOMER)])
    entity = np.unique(who, axis=1, return_inverse=True)[1].reshape(-1)
    fold = np.zeros(len(data.labels), dtype=bool)
    fold[case.rows] = True
    taken = np.flatnonzero(entity % (1 + len(entity) // _FOLLOWED) == 0)
    entity, as_of, labels = entity[taken], data.as_of[taken], data.labels[taken].astype(np.int64)
    before = earlier_rows(entity, as_of, case.definition.model.reach_days)
    rows = History(entity, as_of, labels, before, fold[taken])
    found = foresight_of(case.definition.feature_names, data.matrix[taken], rows)
    reasons = foreseen(found, strong=limits.leak_constant_auc, certain=limits.leak_auc)
    by_name = {feature.name: feature for feature in found}
    for name in doubtful(found):
        if name not in reasons and (reason := reversing(by_name[name], _shuffled(case, [name]), limits.leak_drop)):
            reasons[name] = reason
    drop = _shuffled(case, list(reasons)).drop if reasons else 0.0
    return gates.leak_model(reasons, drop, len(case.rows), found, case.loaded_at_once, limits)


def _shuffled(case: Case, names: Sequence[str]) -> Shuffled:
    """Return what the model makes of the newest fold where the values of these features are shuffled together."""
    data = case.data
    places = [number for number, name in enumerate(case.definition.feature_names) if name in names]
    looked = case.rows[spread(len(case.rows), _LOOKED)]
    matrix, labels, chance = data.matrix[looked], data.labels[looked], np.random.default_rng(7)
    areas = []
    for _ in range(_SHUFFLES):
        shuffled = matrix.copy()
        shuffled[:, places] = matrix[chance.permutation(len(matrix))][:, places]
        areas.append(rank_area(case.model.predict(shuffled), labels))
    area = float(np.mean(areas))
    return Shuffled(area, area_error(area, labels), rank_area(case.model.predict(matrix), labels))


def _known_features(case: Case) -> Gate:
    data, names = case.data, case.definition.feature_names

    def unknown(rows: Any) -> list[str]:
        known = np.isfinite(data.matrix[rows]).any(axis=0)
        return [name for name, there in zip(names, known, strict=True) if not there]

    by_fold = {as_date(fold.day).isoformat(): unknown(fold.train) for fold in folds(data, case.definition.model)}
    return gates.known_features(unknown(data.fitted), by_fold, int(data.fitted.sum()))


def _latency(ports: Ports, case: Case) -> Gate:
    """Return the gate on the time of a score, the 99th percentile of the best of three rounds.

    The best round counts, because a busy neighbour on the machine is not the model's fault.
    """
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
            took = [seconds for thread in pool.map(ask, range(_THREADS)) for seconds in thread]
            best = min(best, float(np.quantile(took, 0.99)) * 1000)
            if best <= gates.latency_steps(limits)[0]:
                break
    ports.metrics.count("ScoringLatencyP99Ms", best, model=case.definition.model.name)
    return gates.latency(best, _THREADS * _CALLS, _THREADS, limits)
