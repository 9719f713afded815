"""fit_candidate: try a family's settings forward in time, fit the best setting on its dates, and export the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_records import FitItem, StepResult
from propensity.lake.json_objects import dumps, read_record
from propensity.lake.run_files import record_result
from propensity.ports import Ports
from propensity.training.data import as_date, read_training
from propensity.training.domain.search import Trial
from propensity.training.fitted_files import write_fitted
from propensity.training.search_run import Search


class FitResult(StepResult):
    """The content of fit.json of a fitted candidate, which is also the result of the step.

    `tried` has every trial of a setting. `untried` says how many settings the budget, or their dates, left out.
    `losses` has the log loss per fold, in the order of `folds`. `offset` is what balanced classes put on the logit.
    `probes` is the key of probes.parquet.
    """

    step: ClassVar[str] = "fit_candidate"
    family: str
    parameters: Mapping[str, Any]
    dates: int
    folds: Sequence[str]
    tried: Sequence[Trial]
    untried: int
    estimated_cpu_seconds: float
    imbalance: str
    offset: float
    losses: Sequence[float]
    rows: int
    positives: int
    packages: Mapping[str, str]
    out: str
    probes: str


def fit_candidate(ports: Ports, *, item: str) -> dict[str, Any]:
    """Write the candidate's files below `item.out` and return the content of fit.json.

    The files are model.onnx, explanation.json, oof.parquet, reference.parquet, probes.parquet and fit.json. oof.parquet
    (out of fold) has fold, label, raw probability and weight of the validation rows. The model that gave a row's
    probability was not fitted on that row.

    reference.parquet has row numbers of the training set, with scikit-learn's own probabilities. probes.parquet has
    made-up rows, with scikit-learn's own probabilities. The exported model is checked against both files. Raises
    EvidenceError where there is too little history to validate on.
    """
    work = read_record(ports.lake, item, FitItem)
    spec = read_definition(ports.lake, work.definition, work.model)
    data = read_training(ports, work.training_keys, spec)
    search = Search(ports, spec.model, work.family, data, spec.directions)
    found = search.run(work.candidate)
    fitted = search.fit(found.setting, found.rows)
    out, everyone = work.out, np.arange(len(data.labels))
    newest = data.validated & (data.as_of == data.dates[-1])
    write_fitted(ports, out, fitted, data, spec, out_of_fold=found.best.columns(), rows=everyone, newest=newest)
    setting = found.setting
    result = FitResult(
        family=work.family,
        parameters=setting.parameters,
        dates=setting.dates,
        folds=[as_date(fold.day).isoformat() for fold in search.folds],
        tried=found.trials,
        untried=found.untried,
        estimated_cpu_seconds=round(found.cpu_seconds, 1),
        imbalance=spec.model.imbalance,
        offset=search.balance.offset,
        losses=found.best.losses,
        rows=int(found.rows.sum()),
        positives=int(data.labels[found.rows].sum()),
        packages=ports.trainer.packages(),
        out=out,
        probes=f"{out}/probes.parquet",
    )
    ports.lake.put_new(f"{out}/fit.json", dumps(result))
    record_result(ports.lake, work, result)
    return {}
