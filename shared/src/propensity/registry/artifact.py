"""The one scoring path: an artifact and a matrix go in, calibrated scores come out.

Batch runs, gap runs and scores on demand all score through this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from propensity.kernel.errors import ConflictError, UnsoundScoreError
from propensity.pack.domain.definition import Definition
from propensity.ports import Model, ReasonModel, ScoringPorts
from propensity.registry.calibrations import read_calibration
from propensity.registry.domain.movers import Movers, Past
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
        return self.reasons_and_movers(matrix, tenants, count, sentences, None)[:2]

    def reasons_and_movers(
        self, matrix: Any, tenants: Any, count: int, sentences: Sentences | None, past: Past | None
    ) -> tuple[TopReasons, Any, Movers]:
        """Return (reasons, methods, movers): also what explains each row's change of place since its past.

        The contributions of now serve both. Without a past there are no movers.
        """
        tops = TopReasons.none(len(matrix), count, sentences or Sentences())
        methods, movers = np.full(len(matrix), -1, dtype=np.int32), Movers.none(len(matrix))
        for (explanation, model, reason_model), rows in self._explaining(tenants):
            contribute = None if reason_model is None else reason_model.contributions
            part = np.ascontiguousarray(matrix if rows is None else matrix[rows], dtype=np.float32)
            explained = explain(explanation, model.predict, part, contribute)
            found = top_reasons(explained, self.definition.features, part, count, tops.sentences)
            if explained.method is not None:
                methods[... if rows is None else rows] = METHODS.index(explained.method)
            if rows is None:
                tops = found
            else:
                tops.put(rows, found)
            if past is None or explained.method is None:
                continue
            own = past if rows is None else past.of(rows)
            moved = np.flatnonzero(own.way)
            was = Past(np.ascontiguousarray(own.matrix[moved], dtype=np.float32), own.way[moved])
            then = explain(explanation, model.predict, was.matrix, contribute)
            now = replace(explained, contributions=explained.contributions[moved])
            numbers = moved if rows is None else np.flatnonzero(rows)[moved]
            movers.find(numbers, now, then, was, self.definition.features, part[moved])
        return tops, methods, movers

    def _explaining(self, tenants: Any) -> Iterator[tuple[_Explains, Any]]:
        """Yield each model with what explains it, and the mask of the rows that it scored; None for all rows."""
        own = (self.explanation, self.model, self.reason_model)
        if self.ladder is None:
            yield own, None
            return
        rest = np.ones(len(tenants), dtype=bool)  # a mask of the rows that the global model scored
        parts: list[tuple[_Explains, Any]] = []
        for place, sub, rows in self.ladder.parts(tenants):
            if sub is not None:
                parts.append(((sub.explanation, sub.model, sub.reason_model), rows))
            if sub is not None or place.rate is not None:
                rest &= ~rows
        yield own, rest
        yield from parts


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
