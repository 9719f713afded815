"""report.json of a training run: why each candidate was chosen or not, and what the chosen one gains.

Gains are measured on the newest validation fold. Neither the model nor the calibrator that score the fold's rows have
seen these rows. Each tenant has three lists, by the model, by the manual filter and by the champion. All three have the
size of the filter's list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from pydantic import Field

from propensity.evaluation.case import Case
from propensity.evaluation.champions import Champion
from propensity.evaluation.domain.gains import gain_over, gain_to_json, list_sizes, list_to_json, listed, top_of_lists
from propensity.evaluation.domain.paired import overlap
from propensity.kernel.spec import Record
from propensity.lake.domain.run_records import BuildResult
from propensity.pack.domain.model_spec import ModelSpec
from propensity.stats.figures import log_loss_gain
from propensity.training.data import as_date
from propensity.training.domain.selection import Entrant, placings


class CandidateReport(Record):
    """The result of one candidate. `folds` has its log loss per fold; `log_loss` is their mean, in nats.

    `standard_error` is the standard error of that mean. `behind_best` says how far the mean is above the best
    candidate's, with the standard error of this difference. These three are None for a candidate that was refused.
    `dates` says on how many of the newest as-of dates the candidate was fitted; it is None for an older fit. `tried`
    and `untried` say how many settings were tried, and were not.
    """

    family: str
    parameters: dict[str, Any]
    dates: int | None
    folds: dict[str, float]
    log_loss: float
    standard_error: float | None
    behind_best: float | None
    behind_best_standard_error: float | None
    tried: int
    untried: int
    chosen: bool
    why: str


class Gains(Record):
    """The gains that lists on the newest fold would have brought.

    Only `fold` and `lists` are there where no list has anybody. `model`, `filter` and `champion` are the figures of the
    lists by each, None where there is no such list (evaluation/domain/gains.py).
    """

    fold: str
    lists: int
    rows: int = 0
    positives: int = 0
    list_of: str = ""
    value: dict[str, Any] | None = None
    model: dict[str, Any] = Field(default_factory=dict)
    filter: dict[str, Any] | None = None
    champion: dict[str, Any] | None = None
    gains: dict[str, dict[str, Any]] = Field(default_factory=dict)


class CandidateReports(Record):
    """The content of report.json, where the fields of `gains` stand beside the others."""

    hypothesis: str
    population: str
    target: str
    candidates: tuple[CandidateReport, ...]
    gains: Gains

    def to_json(self) -> dict[str, Any]:
        """Return the keys of report.json with their values, without what could not be measured."""
        return self.model_dump(exclude={"gains"}) | self.gains.model_dump(exclude_unset=True)


def report_columns(built: Sequence[BuildResult]) -> list[str]:
    """Return the columns of the training rows, besides features, that the report needs.

    The column `chosen` says which customers the manual filter chooses. Feature files that are older than this column
    lack it.
    """
    return ["tenant_id", "chosen"] if all(result.chosen for result in built) else ["tenant_id"]


def report_of(
    case: Case,
    candidates: Sequence[Mapping[str, Any]],
    sound: Sequence[Mapping[str, Any]],
    family: str,
) -> CandidateReports:
    """Return the report of a training run.

    `candidates` has what every fit said, `sound` the fits that could be chosen, and `family` the chosen family.
    """
    spec = case.definition.model
    return CandidateReports(
        hypothesis=spec.hypothesis,
        population=spec.population.description,
        target=spec.target.description,
        candidates=tuple(_candidates(spec, candidates, sound, family)),
        gains=_gains(case),
    )


def _candidates(
    spec: ModelSpec, candidates: Sequence[Mapping[str, Any]], sound: Sequence[Mapping[str, Any]], family: str
) -> list[CandidateReport]:
    entrants = [Entrant(fit["family"], tuple(fit["losses"])) for fit in sound]
    standings = {stands.family: stands for stands in placings(entrants, family, spec.selection.rule)}
    reports = []
    for fit in candidates:
        stands = standings.get(fit["family"])
        reports.append(
            CandidateReport(
                family=fit["family"],
                parameters=fit["parameters"],
                dates=fit.get("dates"),
                folds=dict(zip(fit["folds"], fit["losses"], strict=True)),
                log_loss=float(np.mean(fit["losses"])),
                standard_error=stands.error if stands else None,
                behind_best=stands.gap if stands else None,
                behind_best_standard_error=stands.gap_error if stands else None,
                tried=len(fit.get("tried", ())),
                untried=fit.get("untried", 0),
                chosen=fit["family"] == family,
                why=stands.why if stands else "refused: its ONNX disagrees with scikit-learn; see its parity",
            )
        )
    return reports


def _gains(case: Case) -> Gains:
    spec, data, fold, rows = case.definition.model, case.data, case.fold, case.rows
    day = as_date(data.as_of[rows][0]).isoformat()
    tenants = data.columns["tenant_id"][rows]
    filtered = data.columns["chosen"][rows] == 1 if spec.filter and "chosen" in data.columns else None
    sizes = list_sizes(tenants, filtered)
    lists = max(1, sum(size > 0 for size in sizes.values()))
    model = top_of_lists(fold.scores, tenants, sizes)
    if not model.any():
        return Gains(fold=day, lists=0)
    value, gains = spec.value, {}
    by_filter = by_champion = None
    if filtered is not None:
        by_filter = list_to_json(listed(filtered, fold.labels, fold.scores), value, lists)
        gains["over_filter"] = gain_to_json(gain_over(model, filtered, fold.labels), value, lists)
    if case.champion is not None:
        by_champion = _champion(case.champion, day, spec)
        if case.champion_scores is not None:
            theirs = top_of_lists(case.champion_scores, tenants, sizes)
            by_champion |= list_to_json(listed(theirs, fold.labels, case.champion_scores), value, lists)
            gains["over_champion"] = gain_to_json(gain_over(model, theirs, fold.labels), value, lists)
            ones = np.ones(len(rows), dtype=int)
            pairs = zip(
                case.champion_scores.tolist(), fold.scores.tolist(), ones.tolist(), fold.labels.tolist(), strict=True
            )
            gains["over_champion_log_loss"] = asdict(log_loss_gain(pairs))
    return Gains(
        fold=day,
        rows=len(rows),
        positives=int(fold.labels.sum()),
        lists=lists,
        list_of="as many of each tenant as the filter chooses" if filtered is not None else "a tenth of each tenant",
        value=value.model_dump() if value else None,
        model=list_to_json(listed(model, fold.labels, fold.scores), value, lists),
        filter=by_filter,
        champion=by_champion,
        gains=gains,
    )


def _champion(champion: Champion, fold: str, spec: ModelSpec) -> dict[str, Any]:
    return {
        "version": champion.version,
        "calibration": champion.calibration,
        "why_not": champion.why_not,
        "has_seen_the_rows": overlap(fold, champion.dates, spec),
    }
