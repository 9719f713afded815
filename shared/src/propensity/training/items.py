"""The work items of a training run, made from its plan."""

from __future__ import annotations

from typing import Any

from propensity.lake.domain.run_records import BuildItem, FitItem, TrainingPlan
from propensity.lake.pins import Pins
from propensity.lake.run_files import write_items
from propensity.pack.domain.definition import Definition
from propensity.ports import ObjectStore


def write_training_items(
    store: ObjectStore, run: str, plan: TrainingPlan, pins: Pins, definition: Definition, partition_key: str
) -> dict[str, Any]:
    """Write the items. Return the run's prefix, and the keys of the lists that the workflow's Map states read."""
    build = [
        BuildItem(
            model=plan.model,
            definition=f"{run}/definition",
            as_of=plan.dates,
            known_by=plan.as_of,
            outcomes_until=plan.last_outcomes,
            closed=plan.closed,
            sources=pins.sources(buckets),
            buckets=buckets,
            bucket_count=pins.bucket_count,
            partition_key=plan.partition_key or partition_key,
            scored=None,
            out=f"{run}/features/{number:04d}.parquet",
        )
        for number, buckets in enumerate(plan.groups, start=1)
    ]
    fit = [
        FitItem(
            model=plan.model,
            definition=f"{run}/definition",
            training_keys=[item.out for item in build],
            out=f"{run}/candidates/{candidate.family}",
            **candidate.model_dump(mode="json"),
        )
        for candidate in definition.model.candidates
    ]
    return {
        "run": run,
        "model": plan.model,
        "as_of": plan.as_of,
        "build_items": write_items(store, run, build),
        "fit_items": write_items(store, run, fit, name="fit"),
    }
