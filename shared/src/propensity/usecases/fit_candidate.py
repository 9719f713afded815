"""fit_candidate: one family, its settings tried forward in time, the best fitted on its dates and exported."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from propensity.domain.model_spec import Candidate
from propensity.domain.pack import Definition
from propensity.domain.reasons import typical_values
from propensity.domain.search import Setting, Trial, halve, settings_of
from propensity.ports import FittedModel, ObjectStore, Ports
from propensity.usecases.parity import probe_columns
from propensity.usecases.run_files import dumps, read_definition, read_json, write_result
from propensity.usecases.training_data import Fold, TrainingData, as_date, folds, read_training

PARITY_ROWS = 10_000
_CLIP = 1e-7


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
    search = _Search(ports, spec, work["family"], data)
    # an item that was planned before there were spaces has none
    candidate = Candidate.model_validate({name: work[name] for name in Candidate.model_fields if name in work})
    trials, finalists = halve(
        settings_of(candidate, spec.model.training.date_counts, spec.model.training.seed),
        search.rows,
        lambda setting, share: search.validate(setting, share).loss,
    )
    tried = [search.validate(setting) for setting in finalists]
    best = min(range(len(tried)), key=lambda number: (tried[number].loss, number))
    setting, chosen = finalists[best], tried[best]
    everything = data.newest(data.fitted, setting.dates)
    fitted = search.fit(setting, everything)
    out = work["out"]
    with tempfile.TemporaryDirectory() as folder:
        _upload(ports, folder, f"{out}/oof.parquet", chosen.columns())
        _upload(ports, folder, f"{out}/reference.parquet", _reference(fitted, data))
        _upload(ports, folder, f"{out}/probes.parquet", probe_columns(fitted, data, spec))
    ports.lake.put_new(f"{out}/model.onnx", fitted.onnx())
    ports.lake.put_new(f"{out}/explanation.json", dumps(_explanation(fitted, data, spec)))
    trials += [Trial(setting, 1.0, one.loss) for setting, one in zip(finalists, tried, strict=True)]
    summary = {
        "family": work["family"],
        "parameters": setting.parameters,
        "dates": setting.dates,
        "folds": [as_date(fold.day).isoformat() for fold in search.folds],
        "tried": [asdict(trial) for trial in trials],
        "losses": chosen.losses,
        "rows": int(everything.sum()),
        "positives": int(data.labels[everything].sum()),
        "packages": dict(ports.trainer.packages()),
        "out": out,
        "probes": f"{out}/probes.parquet",
    }
    ports.lake.put_new(f"{out}/fit.json", dumps(summary))
    write_result(ports.lake, work["run"], "fit_candidate", work["index"], summary)
    return {}


def _explanation(fitted: FittedModel, data: TrainingData, spec: Definition) -> dict[str, Any]:
    """The model's own; where it has none, what a customer of the newest date usually has, to hold others against."""
    said = dict(fitted.explanation())
    if said["kind"] == "opaque":
        said["typical"] = typical_values(spec.features, data.matrix[data.as_of == data.dates[-1]])
    return said


class _Search:
    """Fits of one family, validated forward in time."""

    def __init__(self, ports: Ports, definition: Definition, family: str, data: TrainingData) -> None:
        self._ports, self._spec, self._family, self._data = ports, definition.model, family, data
        self._directions = definition.directions
        self.folds = folds(data, definition.model)
        self.rows = max(int(fold.train.sum()) for fold in self.folds)

    def fit(self, setting: Setting, rows: Any) -> FittedModel:
        """Fit on a mask of rows (n,)."""
        data, seed = self._data, self._spec.training.seed
        return self._ports.trainer.fit(
            self._family,
            setting.parameters,
            data.matrix[rows],
            data.labels[rows],
            seed=seed,
            weights=data.weights_of(rows),
            directions=self._directions,
        )

    def validate(self, setting: Setting, share: float = 1.0) -> _Tried:
        """Fitted on a share of each fold's rows, held against all that the fold validates on."""

        def predict(fold: Fold) -> tuple[Any, Any, Any]:
            data = self._data
            rows = data.newest(fold.train, setting.dates)
            fitted = self.fit(setting, data.sample(rows, share, self._spec.training.seed))
            counts = np.ones(int(fold.valid.sum())) if data.valid_weights is None else data.valid_weights[fold.valid]
            return data.labels[fold.valid], fitted.predict(data.matrix[fold.valid]), counts

        return _Tried([predict(fold) for fold in self.folds])


class _Tried:
    """Out-of-fold predictions of one setting: fold, label, raw, weight, and the log loss per fold."""

    def __init__(self, parts: Sequence[tuple[Any, Any, Any]]) -> None:
        self.losses = [_log_loss(*part) for part in parts]
        self.loss = float(np.mean(self.losses))
        self.fold = np.concatenate([np.full(len(part[0]), number, np.int32) for number, part in enumerate(parts)])
        self.label = np.concatenate([label for label, _, _ in parts]).astype(np.int32)
        self.raw = np.concatenate([raw for _, raw, _ in parts])
        self.weight = np.concatenate([weight for _, _, weight in parts])

    def columns(self) -> dict[str, Any]:
        return {"fold": self.fold, "label": self.label, "raw": self.raw, "weight": self.weight}


def _reference(fitted: FittedModel, data: TrainingData) -> dict[str, Any]:
    """Rows spread evenly over the training set, so that every date and tenant is among them."""
    count = min(PARITY_ROWS, len(data.labels))
    rows = np.unique(np.linspace(0, len(data.labels) - 1, count).astype(np.int64))
    return {"row": rows, "probability": fitted.predict(data.matrix[rows])}


def _log_loss(labels: Any, raw: Any, weights: Any) -> float:
    held = np.clip(raw, _CLIP, 1 - _CLIP)
    return float(-np.average(np.where(labels == 1, np.log(held), np.log1p(-held)), weights=weights))


def _upload(ports: Ports, folder: str, key: str, columns: Mapping[str, Any]) -> None:
    path = Path(folder) / key.rsplit("/", 1)[1]
    ports.frames.write(path, columns)
    store: ObjectStore = ports.lake
    store.upload_new(key, path)
