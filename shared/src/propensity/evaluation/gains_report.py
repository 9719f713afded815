"""The report of a training run: every candidate and why it was not chosen, and what the chosen one gains.

Gains are on the newest validation fold, whose rows neither the model nor the calibrator that score them have seen:
lists per tenant of the manual filter's size, by the model, the filter, and the champion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from propensity.evaluation.case import Case
from propensity.evaluation.champions import Champion
from propensity.evaluation.domain.gains import Listed, Only, gain_to_json, gained, list_to_json
from propensity.evaluation.domain.paired import overlap
from propensity.lake.domain.run_records import Built
from propensity.pack.domain.model_spec import ModelSpec
from propensity.stats.figures import gain
from propensity.training.data import as_date
from propensity.training.domain.selection import Entrant, placings

_SHARE = 0.1  # of each tenant's customers, where the model has no filter


def report_columns(built: Sequence[Built]) -> list[str]:
    """What the report needs of the training rows besides features; files from before there was `chosen` have none."""
    return ["tenant_id", "chosen"] if all(one.chosen for one in built) else ["tenant_id"]


def report_of(
    case: Case,
    judged: Sequence[Mapping[str, Any]],
    sound: Sequence[Mapping[str, Any]],
    family: str,
) -> dict[str, Any]:
    """`judged`: every candidate's fit; `sound`: those that were to choose from; `family`: the chosen one's."""
    spec = case.definition.model
    return {
        "hypothesis": spec.hypothesis,
        "population": spec.population.description,
        "target": spec.target.description,
        "candidates": _candidates(spec, judged, sound, family),
        **_gains(case),
    }


def _candidates(
    spec: ModelSpec, judged: Sequence[Mapping[str, Any]], sound: Sequence[Mapping[str, Any]], family: str
) -> list[dict[str, Any]]:
    entrants = [Entrant(one["family"], tuple(one["losses"])) for one in sound]
    said = {one.family: one for one in placings(entrants, family, spec.selection.rule)}
    out = []
    for fit in judged:
        stands = said.get(fit["family"])
        out.append(
            {
                "family": fit["family"],
                "parameters": fit["parameters"],
                "dates": fit.get("dates"),
                "folds": dict(zip(fit["folds"], fit["losses"], strict=True)),
                "log_loss": float(np.mean(fit["losses"])),
                "standard_error": stands.error if stands else None,
                "behind_best": stands.gap if stands else None,
                "behind_best_standard_error": stands.gap_error if stands else None,
                "tried": len(fit.get("tried", ())),
                "untried": fit.get("untried", 0),
                "chosen": fit["family"] == family,
                "why": stands.why if stands else "refused: its ONNX disagrees with scikit-learn; see its parity",
            }
        )
    return out


def _gains(case: Case) -> dict[str, Any]:
    spec, data, held, rows = case.definition.model, case.data, case.held, case.rows
    day = as_date(data.as_of[rows][0]).isoformat()
    tenants = data.columns["tenant_id"][rows]
    filtered = data.columns["chosen"][rows] == 1 if spec.filter and "chosen" in data.columns else None
    sizes = _sizes(tenants, filtered)
    lists = max(1, sum(size > 0 for size in sizes.values()))
    model = _top(held.scores, tenants, sizes)
    if not model.any():
        return {"fold": day, "lists": 0}
    value = spec.value
    said: dict[str, Any] = {
        "fold": day,
        "rows": len(rows),
        "positives": int(held.labels.sum()),
        "lists": lists,
        "list_of": "as many of each tenant as the filter chooses" if filtered is not None else "a tenth of each tenant",
        "value": value.model_dump() if value else None,
        "model": list_to_json(_listed(model, held.labels, held.scores), value, lists),
        "filter": None,
        "champion": None,
        "gains": {},
    }
    if filtered is not None:
        said["filter"] = list_to_json(_listed(filtered, held.labels, held.scores), value, lists)
        said["gains"]["over_filter"] = _gain(model, filtered, held.labels, value, lists)
    if case.champion is not None:
        said["champion"] = _champion(case.champion, day, spec)
        if case.champion_scores is not None:
            theirs = _top(case.champion_scores, tenants, sizes)
            said["champion"] |= list_to_json(_listed(theirs, held.labels, case.champion_scores), value, lists)
            said["gains"]["over_champion"] = _gain(model, theirs, held.labels, value, lists)
            ones = np.ones(len(rows), dtype=int)
            pairs = zip(
                case.champion_scores.tolist(), held.scores.tolist(), ones.tolist(), held.labels.tolist(), strict=True
            )
            said["gains"]["over_champion_log_loss"] = asdict(gain(pairs))
    return said


def _champion(champion: Champion, fold: str, spec: ModelSpec) -> dict[str, Any]:
    return {
        "version": champion.version,
        "calibration": champion.calibration,
        "why_not": champion.why_not,
        "has_seen_the_rows": overlap(fold, champion.dates, spec),
    }


def _sizes(tenants: Any, filtered: Any | None) -> dict[str, int]:
    names, place, counts = np.unique(tenants.astype(str), return_inverse=True, return_counts=True)
    if filtered is None:
        found = np.maximum(1, np.round(_SHARE * counts))
    else:
        found = np.bincount(place, weights=filtered, minlength=len(names))
    return {str(name): int(size) for name, size in zip(names, found, strict=True)}


def _top(scores: Any, tenants: Any, sizes: Mapping[str, int]) -> Any:
    """A mask of each tenant's highest scores, as many as its size; equal scores in the order of the rows."""
    mask = np.zeros(len(scores), dtype=bool)
    for tenant, size in sizes.items():
        there = np.flatnonzero(tenants == tenant)
        mask[there[np.argsort(-scores[there], kind="stable")[:size]]] = True
    return mask


def _listed(mask: Any, labels: Any, scores: Any) -> Listed:
    return Listed(int(mask.sum()), float(scores[mask].sum()), int(labels[mask].sum()))


def _gain(mine: Any, other: Any, labels: Any, value: Any, lists: int) -> dict[str, Any]:
    only = [Only(int(mask.sum()), int(labels[mask].sum())) for mask in (mine & ~other, other & ~mine)]
    return gain_to_json(gained(*only), value, lists)
