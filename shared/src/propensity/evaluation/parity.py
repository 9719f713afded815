"""Parity: the exported model is compared with scikit-learn's own probabilities, on real rows and on made-up rows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from propensity.evaluation.domain.gates import Gate
from propensity.evaluation.domain.gates import parity as judge_parity
from propensity.pack.domain.definition import Definition
from propensity.ports import Ports
from propensity.training.data import TrainingData
from propensity.training.fitted_files import PROBABILITY, PROBE

# probabilities that are as close as this differ only by float32's rounding; the largest such difference seen is 2e-7
_TIE = 1e-6


def parity_of(
    ports: Ports, data: TrainingData, definition: Definition, *, out: str, probes: str | None
) -> tuple[dict[str, Any], list[Gate]]:
    """Return (figures on real rows and on probes, their gates) of one fitted model.

    `out` is the folder of the model's files. `probes` is the key of the made-up rows; it is None for a fit that is
    older than probes.
    """
    limits = definition.model.gates
    model = ports.scorer(ports.lake.get(f"{out}/model.onnx"))
    frame = read_frame(ports, f"{out}/reference.parquet")
    rows, expected = frame["row"].astype(np.int64), frame["probability"]
    got = model.predict(data.matrix[rows])
    figures = {
        "max_abs": float(np.abs(got - expected).max()),
        "decile_flips": flips(expected, got),
        "rows": len(rows),
    }
    on_probes = None
    if probes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "probes.parquet"
            ports.lake.download(probes, path)
            matrix = ports.frames.matrix(path, definition.feature_names)
            probed = ports.frames.read(path, [PROBE, PROBABILITY])
        gaps = np.abs(model.predict(matrix) - probed[PROBABILITY])
        worst = int(np.argmax(gaps))
        on_probes = {"max_abs": float(gaps[worst]), "rows": len(gaps), "worst": str(probed[PROBE][worst])}
    return {**figures, "probes": on_probes}, judge_parity(figures, on_probes, limits)


def flips(expected: Any, got: Any) -> int:
    """Return how many rows the exported model puts into another tenth, without ties. Probabilities are (n,) each."""
    cuts = np.quantile(expected, np.arange(1, 10) / 10, method="inverted_cdf")
    moved = np.searchsorted(cuts, got, side="left") != np.searchsorted(cuts, expected, side="left")
    return int((moved & (np.abs(got - expected) > _TIE)).sum())


def read_frame(ports: Ports, key: str) -> Any:
    """Read all columns of a Parquet file in the lake."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.parquet"
        ports.lake.download(key, path)
        return ports.frames.read(path)
