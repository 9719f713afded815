"""A model's YAML with only what it must have, and the fields that a test adds."""

from __future__ import annotations

from typing import Any

from propensity.pack.domain.model_spec import ModelSpec


def model_spec(**fields: Any) -> ModelSpec:
    return ModelSpec.model_validate(model_fields(**fields))


def model_fields(**fields: Any) -> dict[str, Any]:
    query = {"description": "d", "sql": "select 1"}
    least: dict[str, Any] = {
        "name": "m",
        "hypothesis": "h",
        "owner": "o",
        "population": query,
        "target": query,
        "horizon_days": 30,
        "features": ["g"],
        "training": {"every_months": 1},
        "candidates": [],
    }
    return least | fields
