"""An origin of a backtest: a day on which a model is trained by what was known then, and judged by what came after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from propensity.kernel.errors import BadInputError
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_names import backtest_folder, judged_folder, training_run
from propensity.lake.domain.run_records import BacktestOrder, BuildItem, TrainingPlan
from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.json_objects import dumps, read_record
from propensity.lake.pins import Pins
from propensity.lake.run_files import write_items
from propensity.pack.domain.definition import Definition
from propensity.ports import ObjectStore
from propensity.registry.versions import claims_of, load_version


@dataclass(frozen=True, slots=True)
class Origin:
    """What the training of an origin takes from its backtest."""

    definition: Definition
    silver: SilverAt


def read_origin(store: ObjectStore, model: str, backtest: str, day: date) -> Origin:
    """Read the backtest of an origin. Raises NotFoundError for one nobody asked for, BadInputError for another day."""
    folder = backtest_folder(model, backtest)
    order = read_record(store, f"{folder}/request.json", BacktestOrder)
    if day.isoformat() not in order.origins:
        raise BadInputError(f"as_of is {day}, expected an origin of {backtest}: {', '.join(order.origins)}")
    definition = read_definition(store, f"{folder}/definition", model)
    return Origin(definition, SilverAt(as_of_time=datetime.fromisoformat(order.at)))


def trained_on(store: ObjectStore, definition: Definition, day: date) -> int | None:
    """Return the version that a training as of a day registered by the same recipe; None without one.

    Such a version is what production had on that day, and need not be trained again.
    """
    name = definition.model.name
    number = claims_of(store, name).get(training_run(name, day))
    if number is None:
        return None
    version = load_version(store, name, number)
    same = version.recipe(store) == definition.recipe and version.provenance.silver_at is None
    return number if same else None


def with_judged(
    store: ObjectStore, run: str, plan: TrainingPlan, pins: Pins, definition: Definition, items: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the work items of the customers whom an origin scores, and the list of all features that the run builds.

    A judged item sees what a training of a later day would: features as of the origin, and outcomes up to the day on
    which the origin's label window has settled. Where the origin is trained already, only judged items are built.
    """
    origin, model = date.fromisoformat(plan.as_of), definition.model
    folder = judged_folder(run)
    judged = [
        BuildItem(
            model=plan.model,
            definition=f"{run}/definition",
            as_of=[plan.as_of],
            known_by=(origin + timedelta(days=model.reach_days)).isoformat(),
            closed=plan.closed,
            sources=pins.sources(buckets),
            buckets=buckets,
            bucket_count=pins.bucket_count,
            partition_key=plan.partition_key or "",
            scored=None,
            out=f"{folder}/features/{number:04d}.parquet",
        )
        for number, buckets in enumerate(plan.groups, start=1)
    ]
    lists = [write_items(store, folder, judged)]
    if plan.trained_version is None:
        lists.insert(0, str(items["build_items"]))
    both = f"{run}/origin/items.json"
    store.put_new(both, dumps([item for listed in lists for item in json.loads(store.get(listed))]))
    found: dict[str, Any] = {"build_items": both, "backtest": plan.backtest}
    return found if plan.trained_version is None else {**found, "trained_version": plan.trained_version}
