"""How far the reasons are from their definition: Shapley values by enumeration, and sums that add up to the score."""

from __future__ import annotations

import json
from itertools import product
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np

from propensity.adapters.onnx_scorer import OnnxReasons
from propensity.registry.domain.reasons import typical_values
from tests.bench.measure import Claim
from tests.bench.scoring.apart import apart
from tests.bench.scoring.models import BARS, LINEAR, TREES_8
from tests.bench.scoring.prepare import Side, definition, fitted, matrix_of

ROWS, ENUMERATED = 50_000, 500
BAR = 1e-5


def claims(work: Path, runs: int, rows: int = ROWS) -> list[Claim]:
    """The greatest differences; each has one run, for the same rows give the same figures."""
    found = []
    for side, _ in BARS:
        if side is not LINEAR:
            name = f"reasons of {side.name}, greatest difference of their sum from the score, {rows:,} rows"
            found.append(Claim.of(name, apart(additive, side, rows).result, None, BAR, 1))
    by_definition = apart(enumerated, TREES_8, ENUMERATED).result
    name = f"reasons of {TREES_8.name}, greatest difference from enumeration, {ENUMERATED} rows"
    return [*found, Claim.of(name, by_definition, None, BAR, 1)]


def additive(side: Side, rows: int) -> float:
    """The greatest distance of a row's contributions, added up, from its raw score less the typical customer's."""
    model, graph, typical = _explained(side)
    matrix = matrix_of(rows, 11)
    estimator = model._estimator
    raw = estimator.decision_function if graph.unit == "logit" else lambda part: estimator.predict_proba(part)[:, 1]
    distance = raw(matrix) - raw(typical[np.newaxis])
    found = OnnxReasons(graph.onnx).contributions(matrix).sum(axis=1)
    return float(np.abs(found - distance).max())


def enumerated(side: Side, rows: int) -> float:
    """The greatest difference of a contribution from the Shapley value by its definition, tree by tree.

    A tree's value is what scikit-learn gives for it, for every mixture of a row and the typical customer in the
    features that the tree asks for.
    """
    model, graph, typical = _explained(side)
    matrix = matrix_of(rows, 12)
    expected = np.zeros(matrix.shape)
    no_categories = np.zeros((0, 8), dtype=np.uint32), np.zeros(matrix.shape[1], dtype=np.uint32)
    for [tree] in model._estimator._predictors:
        asked = sorted(set(tree.nodes["feature_idx"][tree.nodes["is_leaf"] == 0].tolist()))
        size = len(asked)
        value = {}
        for taken in product((False, True), repeat=size):
            mixture = np.repeat(typical[np.newaxis].astype(np.float64), rows, axis=0)
            places = [place for place, take in zip(asked, taken, strict=True) if take]
            mixture[:, places] = matrix[:, places]
            value[taken] = tree.predict(mixture, *no_categories, 1)
        for nth, place in enumerate(asked):
            for taken in value:
                if not taken[nth]:
                    before = sum(taken)
                    share = factorial(before) * factorial(size - before - 1) / factorial(size)
                    expected[:, place] += share * (value[(*taken[:nth], True, *taken[nth + 1 :])] - value[taken])
    return float(np.abs(OnnxReasons(graph.onnx).contributions(matrix) - expected).max())


def _explained(side: Side) -> tuple[Any, Any, Any]:
    """The side's model, the graph of its reasons, and the typical customer."""
    model, matrix = fitted(side)
    recorded = json.loads(json.dumps(typical_values(definition().features, matrix)))
    typical = np.array([np.nan if value is None else value for value in recorded], dtype=np.float32)
    graph = model.reasons(recorded)
    assert graph.method == side.method
    return model, graph, typical
