"""The one scoring path: artifact and matrix in, calibrated scores out. Batch, gap and on-demand all call it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.domain.calibration import Calibration
from propensity.domain.errors import ConflictError
from propensity.domain.pack import Definition
from propensity.domain.reasons import Explained, explain
from propensity.ports import Model, Ports
from propensity.usecases.registry import Version


@dataclass(frozen=True, slots=True)
class Artifact:
    """A loaded version: everything that a score rests on."""

    version: Version
    definition: Definition
    model: Model
    calibration: Calibration
    explanation: dict[str, Any]

    def score(self, matrix: Any) -> tuple[Any, Any]:
        """(raw, score): float64, shape (n,), in [0, 1], for a float32 matrix of shape (n, features)."""
        width = len(self.definition.feature_names)
        if matrix.ndim != 2 or matrix.shape[1] != width:
            raise ConflictError(
                f"model {self.version.model} version {self.version.number}: matrix of shape {matrix.shape}, "
                f"expected (n, {width}); features {', '.join(self.definition.feature_names)}"
            )
        raw = np.asarray(self.model.predict(np.ascontiguousarray(matrix, dtype=np.float32)), dtype=np.float64)
        return raw, np.asarray(self.calibration.apply(raw), dtype=np.float64)

    def explain(self, matrix: Any) -> Explained:
        """What moved each row's raw score, for the matrix that was scored."""
        return explain(self.explanation, self.model.predict, np.ascontiguousarray(matrix, dtype=np.float32))


def load_artifact(ports: Ports, version: Version) -> Artifact:
    store = ports.lake
    return Artifact(
        version=version,
        definition=version.definition(store),
        model=ports.scorer(version.onnx(store)),
        calibration=Calibration.from_json(version.json(store, "calibration.json")),
        explanation=version.json(store, "explanation.json"),
    )
