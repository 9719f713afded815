"""Shipped as source inside each version's folder: what MLflow's python_function flavour loads it with.

It runs where this package is not, so it imports nothing of it, and says again in a few lines what stats/calibration.py
and registry/tenant_models.py do; tests/functional/evaluation/test_mlflow_model.py holds the two against each other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd

_CLIP = 1e-7


class PropensityModel:
    """A version: its model and the order of its features, and the models of its tenants where it has a ladder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._features = json.loads((folder / "features.json").read_text())
        self._global = _Scorer(folder)
        ladder = folder / "ladder.json"
        self._places = json.loads(ladder.read_text())["tenants"] if ladder.exists() else {}
        self._held: dict[str, _Scorer] = {}

    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:
        """Column `probability`: calibrated, float64, in [0, 1]. Columns are taken by name; NaN is missing.

        Rows are scored by their tenant's model where there is a column `tenant_id` and the version has a ladder.
        """
        matrix = np.ascontiguousarray(model_input[self._features].to_numpy(dtype=np.float32))
        scores = self._global.score(matrix)
        if self._places and "tenant_id" in model_input:
            tenants = model_input["tenant_id"].astype(str).to_numpy()
            for tenant in np.unique(tenants):
                rows = tenants == tenant
                scores[rows] = self._placed(self._places.get(tenant), matrix[rows], scores[rows])
        return pd.DataFrame({"probability": scores}, index=model_input.index)

    def _placed(self, place: dict[str, Any] | None, matrix: Any, scores: Any) -> Any:
        """A tenant's scores by where it stands, instead of the global model's."""
        if place is None:
            return scores
        if place["model"]:
            folder = self._folder / place["model"]
            if not (folder / "model.onnx").exists():  # erased with all else of the tenant
                return scores
            if place["model"] not in self._held:
                self._held[place["model"]] = _Scorer(folder)
            return self._held[place["model"]].score(matrix)
        if place["rate"] is not None:
            return np.full(len(scores), place["rate"])
        return _sigmoid(_logit(scores) + place["intercept"])


class _Scorer:
    """An ONNX model and the calibration beside it."""

    def __init__(self, folder: Path) -> None:
        calibration = json.loads((folder / "calibration.json").read_text())
        self._knots = np.asarray(calibration["raw_logit"])
        self._values = np.asarray(calibration["calibrated_logit"])
        self._session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])

    def score(self, matrix: Any) -> Any:
        """Piecewise linear between the knots on the logit scale, straight beyond the outer ones."""
        if len(matrix) == 0:
            return np.empty(0)
        [probabilities] = self._session.run(["probabilities"], {self._session.get_inputs()[0].name: matrix})
        x, knots, values = _logit(probabilities[:, 1].astype(np.float64)), self._knots, self._values
        y = np.interp(x, knots, values)
        slopes = np.diff(values) / np.diff(knots)
        y = np.where(x < knots[0], values[0] + (x - knots[0]) * slopes[0], y)
        y = np.where(x > knots[-1], values[-1] + (x - knots[-1]) * slopes[-1], y)
        return _sigmoid(y)


def _logit(p: Any) -> Any:
    held = np.clip(p, _CLIP, 1 - _CLIP)
    return np.log(held / (1 - held))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _load_pyfunc(data_path: str) -> PropensityModel:
    """MLflow's entry point; `data_path` is the version's folder."""
    return PropensityModel(Path(data_path))
