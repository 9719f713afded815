"""fit_candidate: one family, its settings tried forward in time, the best fitted on its dates and exported."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_records import FitItem
from propensity.lake.json_objects import dumps, read_record
from propensity.lake.run_files import write_result
from propensity.ports import Ports
from propensity.training.data import as_date, read_training
from propensity.training.fitted_files import write_fitted
from propensity.training.search_run import Search


def fit_candidate(ports: Ports, *, item: str) -> dict[str, Any]:
    """Write below `item.out`: model.onnx, explanation.json, oof.parquet, reference.parquet, probes.parquet, fit.json.

    oof.parquet: fold, label, raw probability and weight of the validation rows, none of which its model was fitted on.
    reference.parquet: row number in the training set and scikit-learn's own probability, for parity.
    probes.parquet: made-up rows and scikit-learn's own probability, for parity too.
    Raises EvidenceError where there is too little history to validate on.
    """
    work = read_record(ports.lake, item, FitItem)
    spec = read_definition(ports.lake, work.definition, work.model)
    data = read_training(ports, work.training_keys, spec)
    search = Search(ports, spec.model, work.family, data, spec.directions)
    found = search.run(work.candidate)
    fitted = search.fit(found.setting, found.rows)
    out, everyone = work.out, np.arange(len(data.labels))
    newest = data.validated & (data.as_of == data.dates[-1])
    write_fitted(ports, out, fitted, data, spec, held=found.best.columns(), rows=everyone, newest=newest)
    setting = found.setting
    summary = {
        "family": work.family,
        "parameters": setting.parameters,
        "dates": setting.dates,
        "folds": [as_date(fold.day).isoformat() for fold in search.folds],
        "tried": [asdict(trial) for trial in found.trials],
        "untried": found.untried,
        "estimated_cpu_seconds": round(found.cpu_seconds, 1),
        "imbalance": spec.model.imbalance,
        "offset": search.balance.offset,
        "losses": found.best.losses,
        "rows": int(found.rows.sum()),
        "positives": int(data.labels[found.rows].sum()),
        "packages": dict(ports.trainer.packages()),
        "out": out,
        "probes": f"{out}/probes.parquet",
    }
    ports.lake.put_new(f"{out}/fit.json", dumps(summary))
    write_result(ports.lake, work.run, "fit_candidate", work.index, summary)
    return {}
