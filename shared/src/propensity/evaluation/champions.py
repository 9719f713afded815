"""The champion that a challenger must beat: the version that was champion when the training run was planned.

The champion scores the run's rows.
"""

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

    `dates` are the as-of dates that the champion, or its calibration, was fitted on. `why_not` says why the champion
    cannot score this run's rows; it is None where the champion can.
    """

    version: int
    calibration: int
    dates: tuple[str, ...]
    why_not: str | None = None
    _artifact: Artifact | None = None
    _places: tuple[int, ...] = ()  # where the features of the champion stand among the definition's features

    def score(self, matrix: Any, tenants: Any) -> Any | None:
        """Return calibrated scores, float64 (n,), of rows float32 (n, features of the definition).

        The result is None where the champion cannot score the rows.
        """
        if self._artifact is None:
            return None
        return self._artifact.score(matrix[:, self._places], tenants)[1]


def champion_of(ports: Ports, plan: TrainingPlan, definition: Definition) -> Champion | None:
    """Return the plan's champion, ready to score rows with a definition's features; None where there is none.

    The champion scores without its ladder, because the challenger has no ladder yet when the two are compared.
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
