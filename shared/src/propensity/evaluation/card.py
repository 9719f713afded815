"""The model card of a training run: figures that only the card shows, and the card's two files, HTML and Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from propensity.evaluation.domain.model_card import CardSource, model_card
from propensity.kernel.pages import to_html, to_markdown
from propensity.kernel.spec import Record
from propensity.kernel.tenant import TENANT
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_records import TrainingPlan
from propensity.lake.run_files import read_plan
from propensity.pack.domain.definition import Definition
from propensity.ports import Model, Ports, ReasonModel
from propensity.registry.domain.ledger import CARDS
from propensity.registry.domain.reasons import Explained, Predict, explain
from propensity.stats.calibration import logit
from propensity.stats.curves import Bin, Tenth, gains, reliability
from propensity.stats.figures import Scored
from propensity.stats.sampling import spread
from propensity.stats.within_tenant import Tenant
from propensity.training.data import TrainingData

_ROWS = 1_000  # importances are measured on this many rows of the newest date, spread evenly
_TREND_ROWS = 300  # effects are measured on this many of the rows for importances
_TOP = 5  # the number of features that are named per segment

Effect = Literal["rises", "falls", "mixed", "none"]
_POINTS = 9  # the number of values of a feature that are tried, at the feature's quantiles
_LEAST = 1e-3  # logits; a feature that moves the mean score by less has no effect
_CLEAR = 0.9  # the share of all movement that must go one way, or the effect is `mixed`


class FeatureFacts(Record):
    """A feature's effect on the score (`Effect`, or `by category`), and its importance in logits."""

    name: str
    effect: str
    importance: float


class SegmentFacts(Record):
    """A segment of n customers, and its most important features: name, and mean size of the contribution in logits."""

    segment: str
    n: int
    top: tuple[tuple[str, float], ...]


class CardFacts(Record):
    """The content of `card` in evaluation.json: what a card shows beyond metrics and gates.

    `reliability` and `tenths` are of the newest fold's scores: `reliability` of all customers together, `tenths` of the
    tenants' lists. An evaluation of an early release has `gains` instead, of one list of all customers.
    `rows` says how many customers importances are measured on. `method` says how; it is None for a model that cannot be
    explained, which has no `features`. `segments` are there where the tenants of the customers are known.
    """

    reliability: tuple[Bin, ...]
    tenths: tuple[Tenth, ...]
    rows: int
    method: str | None
    features: tuple[FeatureFacts, ...] = ()
    segments: tuple[SegmentFacts, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON, without the facts that could not be measured."""
        return self.model_dump(exclude_unset=True)


def card_files(run: str) -> dict[str, str]:
    """Return the names of the card's files in the version's folder, with the keys of the run's files."""
    return {name: f"{run}/{name}" for name in CARDS.values()}


def card_facts(
    definition: Definition,
    data: TrainingData,
    model: Model,
    explanation: Mapping[str, Any],
    held_out: Scored,
    lists: Mapping[str, Tenant],
    reason_model: ReasonModel | None = None,
) -> CardFacts:
    """Measure the facts of the card.

    `held_out` has the scores of the newest validation fold, and `lists` has them by tenant. All other facts are
    measured on the newest date's rows. `reason_model` is the model's reasons.onnx, where it has one.
    """
    newest = np.flatnonzero(data.validated & (data.as_of == data.dates[-1]))
    rows = newest[spread(len(newest), _ROWS)]
    matrix = np.ascontiguousarray(data.matrix[rows])
    explained = explain(
        explanation, model.predict, matrix, None if reason_model is None else reason_model.contributions
    )
    facts = CardFacts(
        reliability=tuple(reliability(held_out)),
        tenths=tuple(gains(lists)),
        rows=len(rows),
        method=explained.method,
    )
    if explained.method is None:
        return facts
    sizes = np.abs(explained.contributions)
    names = definition.feature_names
    effects: list[str]
    if explained.method == "exact":
        per_deviation = np.asarray(explanation["coefficients"], dtype=np.float64)
        effects = [direction(np.array([0.0, effect])) for effect in per_deviation]
        importance = np.abs(per_deviation)
    else:
        some = matrix[spread(len(matrix), _TREND_ROWS)]
        effects = [
            "by category" if feature.dtype == "category" else trend(model.predict, some, place)
            for place, feature in enumerate(definition.features)
        ]
        importance = sizes.mean(axis=0)
    measured: dict[str, Any] = {
        "features": tuple(
            FeatureFacts(name=name, effect=effect, importance=float(value))
            for name, effect, value in zip(names, effects, importance, strict=True)
        )
    }
    if TENANT in data.columns:
        tenants = data.columns[TENANT]
        measured["segments"] = tuple(_segments(tenants[newest], tenants[rows], names, explained))
    return facts.model_copy(update=measured)


def write_card(ports: Ports, run: str, evaluation: Mapping[str, Any]) -> None:
    """Write card.html and card.md below the run, from the run's plan, its definition and this evaluation (as JSON)."""
    plan = read_plan(ports.lake, run, TrainingPlan)
    definition = read_definition(ports.lake, f"{run}/definition", plan.model)
    source = CardSource(
        definition,
        {**plan.to_json(), "run": run, "seed": definition.model.training.seed},
        evaluation,
        slices=_read(ports, evaluation, "slices.json", []),
        training=_read(ports, evaluation, "training.json", {}),
    )
    page = model_card(source)
    ports.lake.put_new(f"{run}/{CARDS['html']}", to_html(page).encode())
    ports.lake.put_new(f"{run}/{CARDS['md']}", to_markdown(page).encode())


def _read[T](ports: Ports, evaluation: Mapping[str, Any], name: str, default: T) -> T:
    key = evaluation["files"].get(name)
    found: T = json.loads(ports.lake.get(key)) if key else default
    return found


def _segments(everyone: Any, mine: Any, names: tuple[str, ...], explained: Explained) -> Iterator[SegmentFacts]:
    """Return the facts of two segments: customers of larger tenants and customers of smaller tenants.

    The larger tenants are the fewest tenants that have at least half of the customers. `everyone` is the tenant of each
    row of the newest date, and `mine` the tenant of each row that is explained; object (n,) each.
    """
    tenants, counts = np.unique(everyone, return_counts=True)
    if len(tenants) < 2:
        return
    order = np.argsort(-counts, kind="stable")
    # A tenant is among the larger tenants if all tenants that are larger than it have less than half of the rows.
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
            top = tuple((names[place], float(means[place])) for place in best)
            yield SegmentFacts(segment=segment, n=int(mask.sum()), top=top)


def trend(predict: Predict, matrix: Any, column: int) -> Effect:
    """Return how the mean logit of the rows, float32 (n, k), moves while one feature runs through its values in order.

    All other features stay as they are (partial dependence, Friedman 2001). The feature's missing values are not tried.
    """
    present = matrix[~np.isnan(matrix[:, column]), column]
    if len(present) == 0:
        return "none"
    values = np.unique(np.quantile(present, np.linspace(0.05, 0.95, _POINTS), method="inverted_cdf"))
    if len(values) == 1:  # where a feature nearly always has one value, its least and its greatest value are tried
        values = np.unique(present[[present.argmin(), present.argmax()]])
    copies = np.tile(matrix, (len(values), 1))
    copies[:, column] = np.repeat(values, len(matrix)).astype(np.float32)
    return direction(logit(predict(copies)).reshape(len(values), -1).mean(axis=1))


def direction(curve: Any) -> Effect:
    """Return the direction of a curve. `curve` has its values in order, shape (m,), in logits."""
    steps = np.diff(curve)
    up, down = float(steps[steps > 0].sum()), -float(steps[steps < 0].sum())
    if max(up, down) < _LEAST:
        return "none"
    if max(up, down) < _CLEAR * (up + down):
        return "mixed"
    return "rises" if up > down else "falls"
