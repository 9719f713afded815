"""The challenger against the present champion: on the newest validation fold, and on the model's golden set."""

from __future__ import annotations

import numpy as np

from propensity.evaluation.case import Case
from propensity.evaluation.champions import Champion
from propensity.evaluation.domain.gates import Gate
from propensity.evaluation.domain.paired import gates, overlap, paired, unpaired
from propensity.evaluation.golden_set import golden_rows
from propensity.lake.domain.run_records import TrainingPlan
from propensity.ports import Ports
from propensity.registry.versions import load_version
from propensity.stats.figures import Estimate
from propensity.stats.sampling import rarer

_ROLLING, _GOLDEN = "champion", "golden"


def compare(ports: Ports, plan: TrainingPlan, case: Case) -> list[Gate]:
    limits, seed, champion = case.definition.model.gates, case.definition.model.training.seed, case.champion
    if champion is None:
        return [Gate("champion_auc", None, -limits.champion_tolerance, True, "there is no champion to be held against")]
    # rows that the champion was fitted on are easier for it: no sound challenger should have to beat that
    seen = overlap(str(case.data.as_of[case.rows][0]), champion.dates, case.definition.model)
    why_not = "it was fitted on outcomes of their days" if seen else champion.why_not
    if case.champion_scores is None or why_not:
        theirs = load_version(ports.lake, plan.model, champion.version).json(ports.lake, "metrics.json")
        made = [unpaired(Estimate(**case.metrics["auc"]), Estimate(**theirs["auc"]), why_not or "", limits)]
        return [*made, *_golden(ports, case, champion)]
    said = f"against champion version {champion.version} on the newest validation fold"
    made = gates(_ROLLING, paired(case.held.labels, case.held.scores, case.champion_scores, seed), said, limits)
    return [*made, *_golden(ports, case, champion)]


def _golden(ports: Ports, case: Case, champion: Champion) -> list[Gate]:
    """Judged on the frozen rows whose outcomes neither model was fitted on; with too few of these only reported.

    Measured: a sound logistic regression was "proven" worse than a champion of trees that was fitted on the rows.
    """
    limits, seed = case.definition.model.gates, case.definition.model.training.seed
    found = golden_rows(ports, case.definition)

    def not_judged(why: str, rows: int) -> list[Gate]:
        return [Gate("golden_auc", None, -limits.champion_tolerance, True, why, rows)]

    if found is None:
        return not_judged("there is no golden set yet: a training whose gates all pass freezes it", 0)
    if found.missing:
        named = ", ".join(found.missing)
        said = (
            f"the golden set has no {named} of today's meaning: freeze it anew to be held against it "
            "(docs/reference/evaluation.md)"
        )
        return not_judged(said, len(found.labels))
    theirs = champion.score(found.matrix, found.tenants)
    if theirs is None:
        return not_judged(f"champion version {champion.version}: {champion.why_not}", len(found.labels))
    mine = case.calibration.apply(case.model.predict(found.matrix))
    spec, fitted_on = case.definition.model, {str(day) for day in case.data.dates} | set(champion.dates)
    sound = {day: not overlap(day, fitted_on, spec) for day in set(found.days)}
    fair = np.array([sound[day] for day in found.days])
    who = f"against champion version {champion.version} on the golden set"
    if rarer(found.labels[fair]) >= limits.min_positives:
        said = f"{who} ({fair.sum():,} of {len(fair):,} rows, of days whose outcomes neither was fitted on)"
        return gates(_GOLDEN, paired(found.labels[fair], mine[fair], theirs[fair], seed), said, limits)
    gap = paired(found.labels, mine, theirs, seed).log_loss
    said = (
        f"{who}: log loss is higher by {gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}), which is not judged: only "
        f"{rarer(found.labels[fair]):,} of the rarer outcome in {fair.sum():,} of {len(fair):,} rows are of days whose "
        f"outcomes neither was fitted on, expected {limits.min_positives:,}"
    )
    tolerance = limits.champion_tolerance
    return [Gate(f"{_GOLDEN}_log_loss", gap.value, tolerance, True, said, gap.n, (gap.low, gap.high))]
