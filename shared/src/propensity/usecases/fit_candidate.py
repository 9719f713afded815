"""fit_candidate: one family, its grid tried forward in time, the best fitted on everything and exported."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from propensity.domain.pack import ModelSpec
from propensity.ports import FittedModel, ObjectStore, Ports
from propensity.usecases.run_files import dumps, read_definition, read_json, write_result
from propensity.usecases.training_data import Fold, TrainingData, as_date, folds, read_training

PARITY_ROWS = 10_000
_CLIP = 1e-7


def fit_candidate(ports: Ports, *, item: str) -> dict[str, Any]:
    """Write below `item.out`: model.onnx, explanation.json, oof.parquet, reference.parquet, fit.json.

    oof.parquet: fold, label, raw probability of the validation rows, none of which its model was fitted on.
    reference.parquet: row number in the training set and scikit-learn's own probability, for parity.
    Raises EvidenceError where there is too little history to validate on.
    """
    work = read_json(ports.lake, item)
    spec = read_definition(ports.lake, work["definition"], work["model"])
    data = read_training(ports, work["training_keys"], spec)
    tried = [_validate(ports, spec.model, work["family"], grid, data) for grid in work["grid"]]
    best = min(range(len(tried)), key=lambda number: (float(np.mean(tried[number].losses)), number))
    fitted = ports.trainer.fit(
        work["family"], work["grid"][best], data.matrix, data.labels, seed=spec.model.training.seed
    )
    out = work["out"]
    with tempfile.TemporaryDirectory() as folder:
        chosen = tried[best]
        _upload(ports, folder, f"{out}/oof.parquet", {"fold": chosen.fold, "label": chosen.label, "raw": chosen.raw})
        _upload(ports, folder, f"{out}/reference.parquet", _reference(fitted, data))
    ports.lake.put_new(f"{out}/model.onnx", fitted.onnx())
    ports.lake.put_new(f"{out}/explanation.json", dumps(fitted.explanation()))
    summary = {
        "family": work["family"],
        "parameters": work["grid"][best],
        "folds": [as_date(fold.day).isoformat() for fold in folds(data, spec.model)],
        "tried": [{"parameters": grid, "losses": one.losses} for grid, one in zip(work["grid"], tried, strict=True)],
        "losses": chosen.losses,
        "rows": len(data.labels),
        "positives": int(data.labels.sum()),
        "packages": dict(ports.trainer.packages()),
        "out": out,
    }
    ports.lake.put_new(f"{out}/fit.json", dumps(summary))
    write_result(ports.lake, work["run"], "fit_candidate", work["index"], summary)
    return {}


class _Tried:
    """Out-of-fold predictions of one setting: fold, label, raw, and the log loss per fold."""

    def __init__(self, parts: Sequence[tuple[Any, Any]]) -> None:
        self.losses = [_log_loss(label, raw) for label, raw in parts]
        self.fold = np.concatenate([np.full(len(label), number, np.int32) for number, (label, _) in enumerate(parts)])
        self.label = np.concatenate([label for label, _ in parts]).astype(np.int32)
        self.raw = np.concatenate([raw for _, raw in parts])


def _validate(ports: Ports, spec: ModelSpec, family: str, parameters: Mapping[str, Any], data: TrainingData) -> _Tried:
    def predict(fold: Fold) -> tuple[Any, Any]:
        fitted = ports.trainer.fit(
            family, parameters, data.matrix[fold.train], data.labels[fold.train], seed=spec.training.seed
        )
        return data.labels[fold.valid], fitted.predict(data.matrix[fold.valid])

    return _Tried([predict(fold) for fold in folds(data, spec)])


def _reference(fitted: FittedModel, data: TrainingData) -> dict[str, Any]:
    """Rows spread evenly over the training set, so that every date and tenant is among them."""
    count = min(PARITY_ROWS, len(data.labels))
    rows = np.unique(np.linspace(0, len(data.labels) - 1, count).astype(np.int64))
    return {"row": rows, "probability": fitted.predict(data.matrix[rows])}


def _log_loss(labels: Any, raw: Any) -> float:
    held = np.clip(raw, _CLIP, 1 - _CLIP)
    return float(-np.mean(np.where(labels == 1, np.log(held), np.log1p(-held))))


def _upload(ports: Ports, folder: str, key: str, columns: Mapping[str, Any]) -> None:
    path = Path(folder) / key.rsplit("/", 1)[1]
    ports.frames.write(path, columns)
    store: ObjectStore = ports.lake
    store.upload_new(key, path)
