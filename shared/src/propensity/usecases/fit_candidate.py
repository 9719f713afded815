"""fit_candidate: one family, its settings tried forward in time, the best fitted on its dates and exported."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from propensity.domain.model_spec import Candidate
from propensity.domain.pack import Definition
from propensity.domain.reasons import typical_values
from propensity.ports import FittedModel, ObjectStore, Ports
from propensity.usecases.parity import probe_columns
from propensity.usecases.run_files import dumps, read_definition, read_json, write_result
from propensity.usecases.searching import Search
from propensity.usecases.training_data import TrainingData, as_date, read_training

PARITY_ROWS = 10_000


def fit_candidate(ports: Ports, *, item: str) -> dict[str, Any]:
    """Write below `item.out`: model.onnx, explanation.json, oof.parquet, reference.parquet, probes.parquet, fit.json.

    oof.parquet: fold, label, raw probability and weight of the validation rows, none of which its model was fitted on.
    reference.parquet: row number in the training set and scikit-learn's own probability, for parity.
    probes.parquet: made-up rows and scikit-learn's own probability, for parity too.
    Raises EvidenceError where there is too little history to validate on.
    """
    work = read_json(ports.lake, item)
    spec = read_definition(ports.lake, work["definition"], work["model"])
    data = read_training(ports, work["training_keys"], spec)
    search = Search(ports, spec.model, work["family"], data, spec.directions)
    # an item that was planned before there were spaces has none
    candidate = Candidate.model_validate({name: work[name] for name in Candidate.model_fields if name in work})
    found = search.run(candidate)
    fitted = search.fit(found.setting, found.rows)
    out = work["out"]
    with tempfile.TemporaryDirectory() as folder:
        upload(ports, folder, f"{out}/oof.parquet", found.best.columns())
        upload(ports, folder, f"{out}/reference.parquet", _reference(fitted, data))
        upload(ports, folder, f"{out}/probes.parquet", probe_columns(fitted, data, spec))
    ports.lake.put_new(f"{out}/model.onnx", fitted.onnx())
    ports.lake.put_new(
        f"{out}/explanation.json",
        dumps(explanation_of(fitted, data.matrix[data.validated & (data.as_of == data.dates[-1])], spec)),
    )
    setting = found.setting
    summary = {
        "family": work["family"],
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
    write_result(ports.lake, work["run"], "fit_candidate", work["index"], summary)
    return {}


def explanation_of(fitted: FittedModel, newest: Any, spec: Definition) -> dict[str, Any]:
    """The model's own; where it has none, what a customer usually has, to hold others against: of those of the newest
    date, the rows of the matrix `newest`."""
    said = dict(fitted.explanation())
    if said["kind"] == "opaque":
        said["typical"] = typical_values(spec.features, newest)
    return said


def _reference(fitted: FittedModel, data: TrainingData) -> dict[str, Any]:
    """Rows spread evenly over the training set, so that every date and tenant is among them."""
    count = min(PARITY_ROWS, len(data.labels))
    rows = np.unique(np.linspace(0, len(data.labels) - 1, count).astype(np.int64))
    return {"row": rows, "probability": fitted.predict(data.matrix[rows])}


def upload(ports: Ports, folder: str, key: str, columns: Mapping[str, Any]) -> None:
    """Columns as a Parquet file in the lake, by way of a local folder."""
    path = Path(folder) / key.rsplit("/", 1)[1]
    ports.frames.write(path, columns)
    store: ObjectStore = ports.lake
    store.upload_new(key, path)
