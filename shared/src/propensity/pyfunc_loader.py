"""Shipped as source inside each version's folder: what MLflow's python_function flavour loads it with.

It runs where this package is not, so it imports nothing of it, and says again in a few lines what domain/calibration.py
does; tests/functional/test_mlflow_model.py holds the two against each other.
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
    """A version: ONNX model, calibration and the order of its features."""

    def __init__(self, folder: Path) -> None:
        calibration = json.loads((folder / "calibration.json").read_text())
        self._knots = np.asarray(calibration["raw_logit"])
        self._values = np.asarray(calibration["calibrated_logit"])
        self._features = json.loads((folder / "features.json").read_text())
        self._session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])

    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:
        """Column `probability`: calibrated, float64, in [0, 1]. Columns are taken by name; NaN is missing."""
        matrix = np.ascontiguousarray(model_input[self._features].to_numpy(dtype=np.float32))
        raw = np.empty(0)
        if len(matrix):
            [probabilities] = self._session.run(["probabilities"], {self._session.get_inputs()[0].name: matrix})
            raw = probabilities[:, 1].astype(np.float64)
        return pd.DataFrame({"probability": self._calibrated(raw)}, index=model_input.index)

    def _calibrated(self, raw: Any) -> Any:
        """Piecewise linear between the knots on the logit scale, straight beyond the outer ones."""
        held = np.clip(raw, _CLIP, 1 - _CLIP)
        x, knots, values = np.log(held / (1 - held)), self._knots, self._values
        y = np.interp(x, knots, values)
        slopes = np.diff(values) / np.diff(knots)
        y = np.where(x < knots[0], values[0] + (x - knots[0]) * slopes[0], y)
        y = np.where(x > knots[-1], values[-1] + (x - knots[-1]) * slopes[-1], y)
        return 1 / (1 + np.exp(-y))


def _load_pyfunc(data_path: str) -> PropensityModel:
    """MLflow's entry point; `data_path` is the version's folder."""
    return PropensityModel(Path(data_path))
