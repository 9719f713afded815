"""The model to beat: the version that was champion when the training run was planned. It scores the run's rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from propensity.lake.domain.run_records import TrainingPlan
from propensity.pack.domain.definition import Definition
from propensity.ports import Ports
from propensity.registry.artifact import Artifact, load_artifact
from propensity.registry.calibrations import calibrated_on
from propensity.registry.versions import load_version


@dataclass(frozen=True, slots=True)
class Champion:
    """The champion of a training run's plan.

    `dates`: the as-of dates that it, or its calibration, was fitted on. `why_not`: why it cannot score this run's rows;
    None where it can.
    """

    version: int
    calibration: int
    dates: tuple[str, ...]
    why_not: str | None = None
    _artifact: Artifact | None = None
    _places: tuple[int, ...] = ()  # the columns of its features among the definition's features

    def score(self, matrix: Any, tenants: Any) -> Any | None:
        """Calibrated scores, float64 (n,), of rows float32 (n, features of the definition); None where it cannot."""
        if self._artifact is None:
            return None
        return self._artifact.score(matrix[:, self._places], tenants)[1]


def champion_of(ports: Ports, plan: TrainingPlan, definition: Definition) -> Champion | None:
    """The plan's champion, ready to score rows with a definition's features; None where the plan has none.

    It scores without its ladder. The challenger has no ladder yet when the two are compared.
    """
    planned = plan.champion
    if planned is None:
        return None
    version = load_version(ports.lake, plan.model, planned.version)
    dates = {*version.lineage["dates"], *calibrated_on(ports.lake, version, planned.calibration)}
    found = (version.number, planned.calibration, tuple(sorted(dates)))
    theirs = version.definition(ports.lake)
    ours = definition.meanings
    if missing := [name for name, meaning in theirs.meanings.items() if ours.get(name) != meaning]:
        return Champion(*found, why_not=f"features of another meaning, or gone: {', '.join(missing)}")
    places = tuple(definition.feature_names.index(name) for name in theirs.feature_names)
    artifact = replace(load_artifact(ports, version, planned.calibration), ladder=None)
    return Champion(*found, None, artifact, places)
