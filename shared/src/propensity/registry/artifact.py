"""The one scoring path: an artifact and a matrix go in, calibrated scores come out.

Batch runs, gap runs and scores on demand all score through this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.kernel.errors import ConflictError, UnsoundScoreError
from propensity.pack.domain.definition import Definition
from propensity.ports import Model, ReasonModel, ScoringPorts
from propensity.registry.calibrations import read_calibration
from propensity.registry.domain.reason_texts import Sentences, TopReasons, top_reasons
from propensity.registry.domain.reasons import METHODS, explain
from propensity.registry.tenant_models import TenantModels, load_reason_model, load_tenant_models
from propensity.registry.versions import Version, newest_calibration
from propensity.stats.calibration import Calibration

REASONS = 3  # how many reasons a score gets
type _Explains = tuple[dict[str, Any], Model, ReasonModel | None]  # a model with what explains it


@dataclass(frozen=True, slots=True)
class Artifact:
    """A version loaded into memory, with everything that its scores rest on."""

    version: Version
    definition: Definition
    model: Model
    calibration: Calibration
    explanation: dict[str, Any]
    ladder: TenantModels | None = None
    reason_model: ReasonModel | None = None  # only trees have one
    calibration_number: int = 0  # 0 is the calibration of the registration; recalibrate_model adds later ones

    def score(self, matrix: Any, tenants: Any) -> tuple[Any, Any]:
        """Return (raw, score): float64, shape (n,), in [0, 1], for a float32 matrix of shape (n, features).

        `tenants`, object (n,), names the tenant of each row. A version with a ladder scores a row by the model of its
        tenant. It scores a row by the global model where training did not know the row's tenant. Raises ConflictError
        for a matrix of another shape, and UnsoundScoreError where a value is not finite or not in [0, 1].
        """
        raw, score, sound = self.try_score(matrix, tenants)
        if not sound.all():
            raise UnsoundScoreError(self.version.model, self.version.number, int((~sound).sum()), len(sound))
        return raw, score

    def try_score(self, matrix: Any, tenants: Any) -> tuple[Any, Any, Any]:
        """Return (raw, score, sound), each (n,): `sound` is False where a value is not finite or not in [0, 1].

        A calibration cuts a raw value of 2 to just below 1, so the raw values are looked at too.
        """
        width = len(self.definition.feature_names)
        if matrix.ndim != 2 or matrix.shape[1] != width:
            raise ConflictError(
                f"model {self.version.model} version {self.version.number}: matrix of shape {matrix.shape}, "
                f"expected (n, {width}); features {', '.join(self.definition.feature_names)}"
            )
        if len(tenants) != len(matrix):
            raise ConflictError(f"{len(matrix)} rows with {len(tenants)} tenants, expected one tenant per row")
        raw = np.asarray(self.model.predict(np.ascontiguousarray(matrix, dtype=np.float32)), dtype=np.float64)
        score = np.asarray(self.calibration.apply(raw), dtype=np.float64)
        if self.ladder is not None:
            raw, score = self.ladder.apply(matrix, tenants, raw, score)
        # a comparison with NaN is False
        return raw, score, (raw >= 0) & (raw <= 1) & (score >= 0) & (score <= 1)

    def rungs(self, tenants: Any) -> Any | None:
        """Return the rung that scored each row, object (n,), for tenants (n,); None for a version without a ladder."""
        return None if self.ladder is None else self.ladder.rungs(tenants)

    def one_tenant_each(self) -> Any:
        """Return one tenant, object (n,), for each model of the version, enough to call every model once."""
        return np.array(["", *(self.ladder.one_of_each() if self.ladder else [])], dtype=object)

    def reasons(
        self, matrix: Any, tenants: Any, count: int, sentences: Sentences | None = None
    ) -> tuple[TopReasons, Any]:
        """Return (reasons, methods): what moved each row's raw score most, and the method that found it.

        `methods` is int (n,), places in METHODS, -1 for no method. The model that scored a row explains the row. The
        heuristic gives all customers of a tenant the same score, so such a score has no reasons. `sentences` are those
        of earlier rows.
        """
        own = (self.explanation, self.model, self.reason_model)
        if self.ladder is None:
            return self._explained(own, matrix, count, sentences or Sentences())
        out = TopReasons.none(len(matrix), count, sentences or Sentences())
        methods = np.full(len(matrix), -1, dtype=np.int32)
        rest = np.ones(len(matrix), dtype=bool)  # a mask of the rows that the global model scored
        parts: list[tuple[_Explains, Any]] = []
        for place, sub, rows in self.ladder.parts(tenants):
            if sub is not None:
                parts.append(((sub.explanation, sub.model, sub.reason_model), rows))
            if sub is not None or place.rate is not None:
                rest &= ~rows
        for explains, rows in [(own, rest), *parts]:
            top, methods[rows] = self._explained(explains, matrix[rows], count, out.sentences)
            out.put(rows, top)
        return out, methods

    def _explained(self, explains: _Explains, rows: Any, count: int, sentences: Sentences) -> tuple[TopReasons, Any]:
        explanation, model, reason_model = explains
        matrix = np.ascontiguousarray(rows, dtype=np.float32)
        explained = explain(
            explanation, model.predict, matrix, None if reason_model is None else reason_model.contributions
        )
        method = -1 if explained.method is None else METHODS.index(explained.method)
        top = top_reasons(explained, self.definition.features, matrix, count, sentences)
        return top, np.full(len(matrix), method, dtype=np.int32)


def load_artifact(ports: ScoringPorts, version: Version, calibration: int | None = None) -> Artifact:
    """Load a version with its newest calibration, or with the calibration of a given number.

    A run passes the number, because it keeps one calibration from beginning to end.
    """
    store = ports.lake
    definition = version.definition(store)
    number = newest_calibration(store, version.model, version.number) if calibration is None else calibration
    explanation = version.json(store, "explanation.json")
    return Artifact(
        version=version,
        definition=definition,
        model=ports.scorer(version.onnx(store)),
        calibration=read_calibration(store, version, number),
        explanation=explanation,
        reason_model=load_reason_model(ports, version.folder, explanation),
        ladder=load_tenant_models(ports, version) if definition.model.ladder else None,
        calibration_number=number,
    )
