"""The model to beat: the champion of when a training run was planned, scoring the run's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from propensity.domain.pack import Definition
from propensity.ports import Ports
from propensity.usecases.registry import load_version
from propensity.usecases.scoring import load_artifact


@dataclass(frozen=True, slots=True)
class ChampionScores:
    """`scores` float64 (n,), calibrated, or None and `why_not`. `dates`: the as-of dates it was trained on."""

    version: int
    calibration: int
    dates: tuple[str, ...]
    scores: Any = None
    why_not: str | None = None


def score_by_champion(
    ports: Ports, plan: dict[str, Any], definition: Definition, matrix: Any, tenants: Any
) -> ChampionScores | None:
    """The rows' scores by the plan's champion; None without one. Rows: float32 (n, features of the definition)."""
    held = plan.get("champion")
    if held is None:
        return None
    version = load_version(ports.lake, plan["model"], held["version"])
    found = (version.number, held["calibration"], tuple(version.lineage["dates"]))
    theirs = version.definition(ports.lake)
    ours, missing = _meanings(definition), []
    for name, meaning in _meanings(theirs).items():
        if ours.get(name) != meaning:
            missing.append(name)
    if missing:
        return ChampionScores(*found, why_not=f"features of another meaning, or gone: {', '.join(missing)}")
    places = [definition.feature_names.index(name) for name in theirs.feature_names]
    artifact = load_artifact(ports, version, held["calibration"])
    return ChampionScores(*found, scores=artifact.score(matrix[:, places], tenants)[1])


def _meanings(definition: Definition) -> dict[str, str]:
    """Per feature the version of its group, by which equal names have equal values."""
    return {
        feature.name: definition.model_copy(update={"groups": (group,)}).feature_set
        for group in definition.groups
        for feature in group.features
    }
