"""The work items of a training run, out of its plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from propensity.lake.pins import Pins
from propensity.lake.run_files import write_items
from propensity.pack.domain.definition import Definition
from propensity.ports import ObjectStore


def write_training_items(
    store: ObjectStore, run: str, plan: Mapping[str, Any], pins: Pins, definition: Definition
) -> dict[str, Any]:
    """The run's prefix, and the keys of the lists that its Maps read."""
    model = plan["model"]
    build = [
        {
            "model": model,
            "definition": f"{run}/definition",
            "as_of": plan["dates"],
            "known_by": plan["as_of"],
            # a run that was planned before these stood in its plan leaves nobody out
            "outcomes_until": plan.get("outcomes_until", plan["as_of"]),
            "closed": plan.get("closed", {}),
            "sources": pins.sources(buckets),
            "buckets": buckets,
            "bucket_count": pins.bucket_count,
            "partition_key": plan["partition_key"],
            "scored": None,
            "out": f"{run}/features/{number:04d}.parquet",
        }
        for number, buckets in enumerate(plan["groups"], start=1)
    ]
    fit = [
        {
            "model": model,
            "definition": f"{run}/definition",
            **candidate.model_dump(mode="json"),
            "training_keys": [one["out"] for one in build],
            "out": f"{run}/candidates/{candidate.family}",
        }
        for candidate in definition.model.candidates
    ]
    return {
        "run": run,
        "model": model,
        "as_of": plan["as_of"],
        "build_items": write_items(store, run, build),
        "fit_items": write_items(store, run, fit, name="fit"),
    }
