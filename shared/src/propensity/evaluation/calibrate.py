"""The calibration of the chosen candidate, and its metrics on the newest validation fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from propensity.evaluation.parity import read_frame
from propensity.kernel.errors import ConflictError, EvidenceError
from propensity.kernel.tenant import CUSTOMER, TENANT
from propensity.pack.domain.model_spec import ModelSpec
from propensity.ports import Ports
from propensity.stats.calibration import FITS, Calibration, choose, identity
from propensity.stats.figures import (
    Scored,
    auc,
    average_precision,
    brier,
    brier_skill,
    calibration,
    ece,
    lift,
    log_loss,
    scored,
)
from propensity.stats.over_folds import Lists, auc_over_folds, lift_over_folds
from propensity.stats.within_tenant import (
    Tenant,
    auc_within,
    by_tenant,
    lift_of_lists,
    observed_over_expected,
    share_of_pairs_within,
)
from propensity.training.data import TrainingData, folds, known_by


def calibrate(
    ports: Ports, chosen: Mapping[str, Any], spec: ModelSpec
) -> tuple[Calibration, NewestFold, dict[str, Any]]:
    """Return the chosen candidate's calibration, the newest fold with its scores, and the metrics on that fold.

    The newest fold is scored by models and a calibrator that were fitted on older folds. `chosen` is what the chosen
    candidate's fit said.

    The method is chosen on the newest fold, after a fit on the folds whose outcomes were known by its day. The
    calibration itself is then fitted on all folds. Where no outcome was known by that day, the raw scores are measured,
    and the sigmoid, which has two parameters, is fitted.

    Family, grid and method were chosen with the newest fold among others, so the metrics are a little too good.
    Matchback measures later how good the scores are.
    """
    frame = read_frame(ports, f"{chosen['out']}/oof.parquet")
    fold, label, raw = frame["fold"], frame["label"], frame["raw"]
    weight = frame.get("weight", np.ones(len(label)))  # a fit from before rows had weights records no weights
    newest, offset = fold == fold.max(), chosen.get("offset", 0.0)
    days = np.array(chosen["folds"], dtype="datetime64[D]")
    older = known_by(days, days[-1], spec)[fold]
    asked = spec.calibration.method
    if asked == "none" or not older.any():
        scores, method = identity(offset=offset).apply(raw[newest]), "none" if asked == "none" else "sigmoid"
        losses: dict[str, float] = {}
    else:
        methods = tuple(FITS) if asked == "auto" else (asked,)
        method, scores, losses = choose(raw, label, weight, older, newest, methods)
    plain = identity(len(label), int(label.sum()), offset)
    calibrated = plain if method == "none" else FITS[method](raw, label, weight)
    measured = NewestFold(label[newest], scores)
    return calibrated, measured, newest_fold_metrics(measured) | {"calibration": method, "calibration_losses": losses}


def newest_fold_metrics(fold: NewestFold) -> dict[str, Any]:
    """Return the metrics of a fold pooled over tenants, as JSON. Raises EvidenceError where one class is empty."""
    try:
        data = group(fold.scores, fold.labels)
    except EvidenceError as error:
        raise EvidenceError(f"newest validation fold: {error}") from error
    slope, intercept = calibration(data)
    figures = {
        "auc": auc(data),
        "average_precision": average_precision(data),
        "brier": brier(data),
        "brier_skill": brier_skill(data),
        "log_loss": log_loss(data),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "ece": ece(data),
        "lift_top_decile": lift(data, data.rows / 10),
    }
    return {name: asdict(figure) for name, figure in figures.items()}


def tenant_metrics(fold: NewestFold, tenants: Any) -> dict[str, Any]:
    """Return the metrics within tenants, as JSON. `tenants` has the tenant of each row of the fold, (n,).

    `auc_within` is None where no tenant has both outcomes. A pooled AUC is the mean of `auc_within` and `auc_between`,
    the AUC of pairs of two tenants, by the share `pairs_within` of all pairs.
    """
    lists = lists_of(fold, tenants)
    within = auc_within(lists) if any(one.positives and one.negatives for one in lists.values()) else None
    share = share_of_pairs_within(lists.values())
    pooled = auc(group(fold.scores, fold.labels)).value
    between = (pooled - share * (within.value if within else 0.0)) / (1 - share) if share < 1 else None
    return {
        "auc_within": asdict(within) if within else None,
        "auc_between": between,
        "pairs_within": share,
        "lift_of_lists": asdict(lift_of_lists(lists)),
        "observed_over_expected": asdict(observed_over_expected(lists.values())),
    }


def fold_metrics(ports: Ports, chosen: Mapping[str, Any], data: TrainingData, spec: ModelSpec) -> dict[str, Any]:
    """Return the figures over all folds, as JSON: `auc_over_folds`, `lift_over_folds`, and the number of `folds`.

    Each row is scored by the model of its fold, which was fitted on older dates. The raw scores rank as the calibrated
    ones do. `auc_over_folds` is None where no list has both outcomes. Raises ConflictError where the folds have other
    labels than the fit kept.
    """
    frame, made = read_frame(ports, f"{chosen['out']}/oof.parquet"), folds(data, spec)
    rows = np.concatenate([np.flatnonzero(fold.valid) for fold in made])
    if not np.array_equal(data.labels[rows], frame["label"]):
        raise ConflictError(
            f"model {spec.name}: the validation folds have other labels than the fit kept; the run's feature files "
            "were changed after the fit: start a new run"
        )
    tenant = np.unique(data.columns[TENANT][rows].astype(str), return_inverse=True)[1]
    name = np.unique(data.columns[CUSTOMER][rows].astype(str), return_inverse=True)[1]
    customer = tenant * (int(name.max()) + 1) + name
    lists = Lists(tenant, customer, frame["fold"], frame["raw"], frame["label"])
    ranked = any(0 < lists.label[there].sum() < len(there) for there in lists.each())
    return {
        "auc_over_folds": asdict(auc_over_folds(lists)) if ranked else None,
        "lift_over_folds": asdict(lift_over_folds(lists)),
        "folds": len(made),
    }


def lists_of(fold: NewestFold, tenants: Any) -> dict[str, Tenant]:
    """Return the rows of each tenant of the fold. `tenants` has the tenant of each row, (n,)."""
    rows = zip(tenants.astype(str).tolist(), fold.scores.tolist(), fold.labels.tolist(), strict=True)
    return by_tenant((tenant, score, 1, int(label)) for tenant, score, label in rows)


@dataclass(frozen=True, slots=True)
class NewestFold:
    """The newest validation fold: its labels, and its scores, (n,) each.

    The model and the calibrator that give the scores were fitted on older dates.
    """

    labels: Any
    scores: Any

    def rows(self, data: TrainingData, spec: ModelSpec) -> Any:
        """Return where the fold's rows stand in the training set, int64 (n,).

        Raises ConflictError where the labels there differ from the fold's labels.
        """
        rows = np.flatnonzero(folds(data, spec)[-1].valid)
        if not np.array_equal(data.labels[rows], self.labels):
            raise ConflictError(
                f"model {spec.name}: the newest validation fold has other labels than the fit kept; the run's feature "
                "files were changed after the fit: start a new run"
            )
        return rows


def group(scores: Any, labels: Any) -> Scored:
    """Return scores and labels, (n,) each, with equal scores merged. Raises EvidenceError where one class is empty."""
    values, inverse = np.unique(scores, return_inverse=True)
    rows = np.bincount(inverse, minlength=len(values))
    positives = np.bincount(inverse, weights=labels, minlength=len(values)).astype(int)
    return scored(zip(values.tolist(), rows.tolist(), positives.tolist(), strict=True))
