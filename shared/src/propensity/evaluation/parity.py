"""The exported model against scikit-learn's own probabilities, on real rows and on made-up ones."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from propensity.evaluation.domain.gates import Gate
from propensity.evaluation.domain.gates import parity as judge_parity
from propensity.pack.domain.definition import Definition
from propensity.ports import Ports
from propensity.stats.ranking import decile, percentile
from propensity.training.data import TrainingData
from propensity.training.fitted_files import PROBABILITY, PROBE

_TIE = 1e-6  # two probabilities that are as close differ by float32's rounding: seen are up to 2e-7


def parity_of(
    ports: Ports, fit: dict[str, Any], data: TrainingData, definition: Definition
) -> tuple[dict[str, Any], list[Gate]]:
    """(figures of the real rows and of the probes, their gates) of one fit."""
    limits = definition.model.gates
    model = ports.scorer(ports.lake.get(f"{fit['out']}/model.onnx"))
    frame = read_frame(ports, f"{fit['out']}/reference.parquet")
    rows, expected = frame["row"].astype(np.int64), frame["probability"]
    got = model.predict(data.matrix[rows])
    figures = {
        "max_abs": float(np.abs(got - expected).max()),
        "decile_flips": flips(expected, got),
        "rows": len(rows),
    }
    made = None
    if fit.get("probes"):  # a fit from before there were probes has none
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "probes.parquet"
            ports.lake.download(fit["probes"], path)
            matrix = ports.frames.matrix(path, definition.feature_names)
            probed = ports.frames.read(path, [PROBE, PROBABILITY])
        gaps = np.abs(model.predict(matrix) - probed[PROBABILITY])
        worst = int(np.argmax(gaps))
        made = {"max_abs": float(gaps[worst]), "rows": len(gaps), "worst": str(probed[PROBE][worst])}
    return {**figures, "probes": made}, judge_parity(figures, made, limits)


def flips(expected: Any, got: Any) -> int:
    """How many rows are in another tenth by the exported model, (n,) each, ties left out."""
    cuts = np.quantile(expected, np.arange(1, 100) / 100, method="inverted_cdf")
    moved = decile(percentile(got, cuts)) != decile(percentile(expected, cuts))
    return int((moved & (np.abs(got - expected) > _TIE)).sum())


def read_frame(ports: Ports, key: str) -> Any:
    """All columns of a Parquet file in the lake."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.parquet"
        ports.lake.download(key, path)
        return ports.frames.read(path)
