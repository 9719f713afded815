"""The models of a version that only some tenants' rows are scored by; each is loaded when such a row comes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from propensity.kernel.errors import NotFoundError
from propensity.lake.json_objects import find_json
from propensity.ports import Model, Ports
from propensity.registry.domain.ladder import GLOBAL, LADDER, Ladder, Place
from propensity.registry.versions import Version
from propensity.stats.calibration import Calibration, logit


@dataclass(frozen=True, slots=True)
class SubModel:
    """One model of the ladder, with a calibration and an explanation of its own."""

    model: Model
    calibration: Calibration
    explanation: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TenantModels:
    """A ladder over the folder of a version, or of the run that made it. What is loaded stays, for functions that live
    on."""

    ports: Ports
    folder: str
    ladder: Ladder
    _held: dict[str, SubModel | None] = field(default_factory=dict)

    def place(self, tenant: str) -> Place:
        """Where a tenant stands; on the global model where its own was erased since, with all else of the tenant."""
        place = self.ladder.place(tenant)
        return GLOBAL if place.rung == "own" and place.model and self._find(place.model) is None else place

    def rungs(self, tenants: Any) -> Any:
        """Names of rungs, object (n,), for tenants (n,)."""
        names, inverse = np.unique(tenants.astype(str), return_inverse=True)
        return np.array([self.place(name).rung for name in names], dtype=object)[inverse]

    def parts(self, tenants: Any) -> Iterator[tuple[Place, SubModel | None, Any]]:
        """Each place above or below the global model, its model if it has one, and its rows as a mask (n,)."""
        names, inverse = np.unique(tenants.astype(str), return_inverse=True)
        rows: dict[Place, list[int]] = {}
        for number, name in enumerate(names):
            place = self.place(str(name))
            if place != GLOBAL:
                rows.setdefault(place, []).append(number)
        for place, numbers in rows.items():
            yield place, self._load(place.model) if place.model else None, np.isin(inverse, numbers)

    def apply(self, matrix: Any, tenants: Any, raw: Any, score: Any) -> tuple[Any, Any]:
        """The global model's (raw, score) with the rows of other places replaced; those of the global one stay as
        they are, bit for bit."""
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
        """A tenant for every model of the ladder, for a trial of them all."""
        found = {place.model: tenant for tenant, place in sorted(self.ladder.places.items()) if place.model}
        return sorted(found.values())

    def _find(self, folder: str) -> SubModel | None:
        try:
            return self._load(folder)
        except NotFoundError:
            self._held[folder] = None
            return None

    def _load(self, folder: str) -> SubModel | None:
        if folder not in self._held:
            self._held[folder] = load_sub_model(self.ports, f"{self.folder}/{folder}")
        return self._held[folder]


def load_sub_model(ports: Ports, folder: str) -> SubModel:
    """Raises NotFoundError where there is none, or where an erasure emptied one of its files."""
    names = ("model.onnx", "calibration.json", "explanation.json")
    onnx, calibration, explanation = (ports.lake.get(f"{folder}/{name}") for name in names)
    if not (onnx and calibration and explanation):
        raise NotFoundError(f"{folder}: holds a file without content; no model is left of it")
    return SubModel(
        model=ports.scorer(onnx),
        calibration=Calibration.from_json(json.loads(calibration)),
        explanation=json.loads(explanation),
    )


def load_tenant_models(ports: Ports, version: Version) -> TenantModels | None:
    """None for a version without a ladder."""
    said = find_json(ports.lake, f"{version.folder}/{LADDER}")
    return None if said is None else TenantModels(ports, version.folder, Ladder.from_json(said))


def shifted(score: Any, intercept: float) -> Any:
    """Probabilities moved by an intercept on the logit scale; float64, (n,)."""
    return 1 / (1 + np.exp(-(logit(score) + intercept)))
