"""The gates that hold the challenger against the champion: on the newest validation fold, and on the golden set."""

from __future__ import annotations

import numpy as np

from propensity.evaluation.case import Case
from propensity.evaluation.champions import Champion
from propensity.evaluation.domain.gates import Gate
from propensity.evaluation.domain.paired import overlap, paired, paired_gates, unpaired
from propensity.evaluation.golden_set import golden_rows
from propensity.lake.domain.run_records import TrainingPlan
from propensity.ports import Ports
from propensity.registry.versions import load_version
from propensity.stats.figures import Estimate
from propensity.stats.sampling import rarer

_ROLLING, _GOLDEN = "champion", "golden"


def champion_gates(ports: Ports, plan: TrainingPlan, case: Case) -> list[Gate]:
    """Return the gates of both comparisons. Without a champion, return one gate that passes and says so."""
    limits, seed, champion = case.definition.model.gates, case.definition.model.training.seed, case.champion
    if champion is None:
        return [Gate("champion_auc", None, -limits.champion_tolerance, True, "there is no champion to be held against")]
    # the champion has the easier task on rows that it was fitted on; a sound challenger need not beat the champion
    # there
    seen = overlap(str(case.data.as_of[case.rows][0]), champion.dates, case.definition.model)
    why_not = "it was fitted on outcomes of their days" if seen else champion.why_not
    if case.champion_scores is None or why_not:
        theirs = load_version(ports.lake, plan.model, champion.version).json(ports.lake, "metrics.json")
        # a version from before figures within tenants has only the pooled one
        figure = "auc_within" if case.metrics["auc_within"] and theirs.get("auc_within") else "auc"
        said = "AUC within tenants" if figure == "auc_within" else "AUC, pooled over tenants,"
        mine, its = Estimate(**case.metrics[figure]), Estimate(**theirs[figure])
        made = [unpaired(mine, its, why_not or "", limits, said)]
        return [*made, *_golden(ports, case, champion)]
    said = f"against champion version {champion.version} on the newest validation fold"
    found = paired(case.fold.labels, case.fold.scores, case.champion_scores, seed, case.tenants)
    made = paired_gates(_ROLLING, found, said, limits)
    return [*made, *_golden(ports, case, champion)]


def _golden(ports: Ports, case: Case, champion: Champion) -> list[Gate]:
    """Compare the two models on the frozen rows whose outcomes neither model was fitted on.

    With too few such rows the gate only reports. Rows that the champion was fitted on are left out for a measured
    reason: on such rows of a champion of trees, a sound logistic regression was "proven" worse.
    """
    limits, seed = case.definition.model.gates, case.definition.model.training.seed
    golden = golden_rows(ports, case.definition)

    def not_judged(why: str, rows: int) -> list[Gate]:
        return [Gate("golden_auc", None, -limits.champion_tolerance, True, why, rows)]

    if golden is None:
        return not_judged("there is no golden set yet: a training whose gates all pass freezes it", 0)
    if golden.missing:
        missing = ", ".join(golden.missing)
        message = (
            f"the golden set has no {missing} of today's meaning: freeze it anew to be held against it "
            "(docs/reference/evaluation.md)"
        )
        return not_judged(message, len(golden.labels))
    theirs = champion.score(golden.matrix, golden.tenants)
    if theirs is None:
        return not_judged(f"champion version {champion.version}: {champion.why_not}", len(golden.labels))
    mine = case.calibration.apply(case.model.predict(golden.matrix))
    spec, fitted_on = case.definition.model, {str(day) for day in case.data.dates} | set(champion.dates)
    unseen = {day: not overlap(day, fitted_on, spec) for day in set(golden.days)}
    fair = np.array([unseen[day] for day in golden.days])
    who = f"against champion version {champion.version} on the golden set"
    if rarer(golden.labels[fair]) >= limits.min_positives:
        said = f"{who} ({fair.sum():,} of {len(fair):,} rows, of days whose outcomes neither was fitted on)"
        found = paired(golden.labels[fair], mine[fair], theirs[fair], seed, golden.tenants[fair])
        return paired_gates(_GOLDEN, found, said, limits)
    gap, few = paired(golden.labels, mine, theirs, seed).log_loss, rarer(golden.labels[fair])
    said = (
        f"{who}: log loss is higher by {gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}), which is not judged: only "
        f"{few:,} of the rarer outcome in {fair.sum():,} of {len(fair):,} rows are of days whose "
        f"outcomes neither was fitted on, expected {limits.min_positives:,}"
    )
    tolerance = limits.champion_tolerance
    return [Gate(f"{_GOLDEN}_log_loss", gap.value, tolerance, True, said, gap.n, (gap.low, gap.high))]
