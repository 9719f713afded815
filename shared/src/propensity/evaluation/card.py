"""The model card of a run: its facts, measured on the newest as-of date, and the two files of the version's folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from propensity.evaluation.domain.effects import direction, trend
from propensity.evaluation.domain.model_card import Told, model_card
from propensity.kernel.pages import to_html, to_markdown
from propensity.kernel.tenant import TENANT
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_records import TrainingPlan
from propensity.lake.run_files import read_plan
from propensity.pack.domain.definition import Definition
from propensity.ports import Model, Ports
from propensity.registry.domain.ledger import CARDS
from propensity.registry.domain.reasons import Explained, explain
from propensity.stats.curves import gains, reliability
from propensity.stats.figures import Scored
from propensity.stats.sampling import spread
from propensity.training.data import TrainingData

_ROWS = 1_000  # of the newest date, spread evenly: importances
_TREND_ROWS = 300
_TOP = 5


def card_files(run: str) -> dict[str, str]:
    """Names in the version's folder to keys."""
    return {name: f"{run}/{name}" for name in CARDS.values()}


def card_facts(
    definition: Definition, data: TrainingData, model: Model, explanation: Mapping[str, Any], held: Scored
) -> dict[str, Any]:
    """What a card shows beyond metrics and gates, as JSON.

    reliability and gains of the held-out scores; per feature its effect and importance; the most important features of
    segments of the newest date's customers.
    """
    newest = np.flatnonzero(data.validated & (data.as_of == data.dates[-1]))
    rows = newest[spread(len(newest), _ROWS)]
    matrix = np.ascontiguousarray(data.matrix[rows])
    explained = explain(explanation, model.predict, matrix)
    facts: dict[str, Any] = {
        "reliability": [asdict(one) for one in reliability(held)],
        "gains": [asdict(one) for one in gains(held)],
        "rows": len(rows),
        "method": explained.method,
    }
    if explained.method is None:
        return facts
    moved = np.abs(explained.contributions)
    names = definition.feature_names
    effects: list[str]
    if explained.method == "exact":
        per_deviation = np.asarray(explanation["coefficients"], dtype=np.float64)
        effects = [direction(np.array([0.0, one])) for one in per_deviation]
        importance = np.abs(per_deviation)
    else:
        some = matrix[spread(len(matrix), _TREND_ROWS)]
        effects = [
            "by category" if feature.dtype == "category" else trend(model.predict, some, place)
            for place, feature in enumerate(definition.features)
        ]
        importance = moved.mean(axis=0)
    facts["features"] = [
        {"name": name, "effect": effect, "importance": float(one)}
        for name, effect, one in zip(names, effects, importance, strict=True)
    ]
    if TENANT in data.columns:
        tenants = data.columns[TENANT]
        facts["segments"] = list(_segments(tenants[newest], tenants[rows], names, explained))
    return facts


def write_card(ports: Ports, run: str, evaluation: Mapping[str, Any]) -> None:
    """Put card.html and card.md below the run, from its plan, its definition and its evaluation as they stand."""
    plan = read_plan(ports.lake, run, TrainingPlan)
    definition = read_definition(ports.lake, f"{run}/definition", plan.model)
    told = Told(
        definition,
        {**plan.to_json(), "run": run, "seed": definition.model.training.seed},
        evaluation,
        slices=_read(ports, evaluation, "slices.json", []),
        training=_read(ports, evaluation, "training.json", {}),
    )
    page = model_card(told)
    ports.lake.put_new(f"{run}/{CARDS['html']}", to_html(page).encode())
    ports.lake.put_new(f"{run}/{CARDS['md']}", to_markdown(page).encode())


def _read[T](ports: Ports, evaluation: Mapping[str, Any], name: str, default: T) -> T:
    key = evaluation["files"].get(name)
    found: T = json.loads(ports.lake.get(key)) if key else default
    return found


def _segments(everyone: Any, mine: Any, names: tuple[str, ...], explained: Explained) -> Iterator[dict[str, Any]]:
    """Customers of larger and of smaller tenants: the larger ones are those that hold half of everyone.

    `everyone`: tenants of the newest date's rows, `mine`: those of the rows that are explained, object (n,) each.
    """
    tenants, counts = np.unique(everyone, return_counts=True)
    if len(tenants) < 2:
        return
    order = np.argsort(-counts, kind="stable")
    # a tenant is among the larger while those before it hold less than half
    before = np.concatenate([[0], np.cumsum(counts[order])[:-1]])
    larger = set(tenants[order[before < len(everyone) / 2]].tolist())
    among = np.array([tenant in larger for tenant in mine])
    for segment, mask in (
        (f"largest tenants ({len(larger)})", among),
        (f"other tenants ({len(tenants) - len(larger)})", ~among),
    ):
        if mask.any():
            means = np.abs(explained.contributions[mask]).mean(axis=0)
            best = np.argsort(-means, kind="stable")[:_TOP]
            top = [[names[place], float(means[place])] for place in best]
            yield {"segment": segment, "n": int(mask.sum()), "top": top}
