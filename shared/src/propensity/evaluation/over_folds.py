"""The ranking and the lift of the chosen candidate over all validation folds, as the floors judge them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from propensity.evaluation.parity import read_frame
from propensity.kernel.errors import ConflictError
from propensity.kernel.tenant import CUSTOMER, TENANT
from propensity.pack.domain.model_spec import ModelSpec
from propensity.ports import Ports
from propensity.stats.over_folds import Lists, auc_over_folds, lift_over_folds
from propensity.training.data import TrainingData, folds


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
