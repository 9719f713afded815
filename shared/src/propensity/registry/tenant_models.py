"""The models of a version's ladder, each of which scores the rows of some tenants only.

A model is loaded when the first row of one of its tenants comes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from propensity.kernel.errors import NotFoundError
from propensity.lake.json_objects import find_json
from propensity.ports import Model, ReasonModel, ScoringPorts
from propensity.registry.domain.ladder import GLOBAL, LADDER, Ladder, Place
from propensity.registry.domain.ledger import REASONS_FILE
from propensity.registry.versions import Version
from propensity.stats.calibration import Calibration, logit


@dataclass(frozen=True, slots=True)
class SubModel:
    """The model of one segment or of one tenant, with a calibration and an explanation of its own."""

    model: Model
    calibration: Calibration
    explanation: dict[str, Any]
    reason_model: ReasonModel | None = None


@dataclass(frozen=True, slots=True)
class TenantModels:
    """The ladder of a version, or of the run that trained it, and the models below the folder of that version or run.

    A model once loaded stays in memory, because a function may answer many requests.
    """

    ports: ScoringPorts
    folder: str
    ladder: Ladder
    _loaded: dict[str, SubModel | None] = field(default_factory=dict)

    def place(self, tenant: str) -> Place:
        """Return the place of a tenant on the ladder.

        A tenant whose own model was erased together with its other data stands on the global model.
        """
        place = self.ladder.place(tenant)
        return GLOBAL if place.rung == "own" and place.model and self._find(place.model) is None else place

    def rungs(self, tenants: Any) -> Any:
        """Return the rung of each row's tenant: object (n,), for tenants (n,)."""
        names, inverse = np.unique(tenants.astype(str), return_inverse=True)
        return np.array([self.place(name).rung for name in names], dtype=object)[inverse]

    def parts(self, tenants: Any) -> Iterator[tuple[Place, SubModel | None, Any]]:
        """Yield each place but the global model: the place, its model if it has one, and the mask (n,) of its rows."""
        names, inverse = np.unique(tenants.astype(str), return_inverse=True)
        rows: dict[Place, list[int]] = {}
        for number, name in enumerate(names):
            place = self.place(str(name))
            if place != GLOBAL:
                rows.setdefault(place, []).append(number)
        for place, numbers in rows.items():
            yield place, self._load(place.model) if place.model else None, np.isin(inverse, numbers)

    def apply(self, matrix: Any, tenants: Any, raw: Any, score: Any) -> tuple[Any, Any]:
        """Return (raw, score), float64 (n,): the global model's results, with the rows of other places replaced.

        Rows of tenants on the global model stay as they are, bit for bit.
        """
        raw, score = raw.copy(), score.copy()
        for place, sub, rows in self.parts(tenants):
            if sub is not None:
                raw[rows] = sub.model.predict(np.ascontiguousarray(matrix[rows], dtype=np.float32))
                score[rows] = sub.calibration.apply(raw[rows])
            elif place.rate is not None:
                raw[rows] = score[rows] = place.rate
            else:
                score[rows] = shifted(score[rows], place.intercept)
        return raw, score

    def one_of_each(self) -> list[str]:
        """Return one tenant for each model of the ladder, so that one row of each tenant tries every model."""
        found = {place.model: tenant for tenant, place in sorted(self.ladder.places.items()) if place.model}
        return sorted(found.values())

    def _find(self, folder: str) -> SubModel | None:
        try:
            return self._load(folder)
        except NotFoundError:
            self._loaded[folder] = None
            return None

    def _load(self, folder: str) -> SubModel | None:
        if folder not in self._loaded:
            self._loaded[folder] = load_sub_model(self.ports, f"{self.folder}/{folder}")
        return self._loaded[folder]


def load_sub_model(ports: ScoringPorts, folder: str) -> SubModel:
    """Load the model in a folder.

    Raises NotFoundError where the folder has no model, or where an erasure emptied a file of it.
    """
    names = ("model.onnx", "calibration.json", "explanation.json")
    onnx, calibration, explanation = (ports.lake.get(f"{folder}/{name}") for name in names)
    if not (onnx and calibration and explanation):
        raise NotFoundError(f"{folder}: holds a file without content; no model is left of it")
    explained = json.loads(explanation)
    return SubModel(
        model=ports.scorer(onnx),
        calibration=Calibration.from_json(json.loads(calibration)),
        explanation=explained,
        reason_model=load_reason_model(ports, folder, explained),
    )


def load_reason_model(ports: ScoringPorts, folder: str, explanation: Mapping[str, Any]) -> ReasonModel | None:
    """Load the graph of the reasons in a model's folder; None where its explanation.json does not name one."""
    return ports.reason_model(ports.lake.get(f"{folder}/{REASONS_FILE}")) if "reasons" in explanation else None


def load_tenant_models(ports: ScoringPorts, version: Version) -> TenantModels | None:
    """Load the ladder of a version with its models; None for a version without a ladder."""
    ladder = find_json(ports.lake, f"{version.folder}/{LADDER}")
    return None if ladder is None else TenantModels(ports, version.folder, Ladder.from_json(ladder))


def shifted(score: Any, intercept: float) -> Any:
    """Return probabilities, float64 (n,), moved by an intercept in logits."""
    return 1 / (1 + np.exp(-(logit(score) + intercept)))
