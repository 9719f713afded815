"""plan_training: fix what a training run sees, and hand it out in work items."""

from __future__ import annotations

from typing import Any

from propensity.domain.cost import check_forest
from propensity.domain.errors import PackError
from propensity.domain.runs import parse_day, training_run
from propensity.domain.schedule import training_dates
from propensity.domain.time_travel import SilverAt
from propensity.ports import Ports
from propensity.usecases.planning import NEWEST, columns_named, pack_info, pin_silver, training_definition
from propensity.usecases.registry import present_champion
from propensity.usecases.run_files import dumps, read_json, write_definition, write_items
from propensity.usecases.tenants import closed_periods


def plan_training(ports: Ports, *, model: str, as_of: str, silver: SilverAt = NEWEST) -> dict[str, Any]:
    """Claim the run of this model, day and Silver; a second call finds the first one's plan and goes on from it.

    Returns the run's prefix and the keys of the Maps' items. Raises NotFoundError for an unknown model or version of
    a table, EvidenceError where Silver is empty, PackError for segments of tenants that no worker sees whole.
    """
    day = parse_day(as_of, "as_of")
    run = training_run(model, day, silver.name())
    definition = training_definition(ports, model)
    for candidate in definition.model.candidates:
        check_forest(candidate, f"model {model}")
    info = pack_info(ports)
    if definition.has_segments and info.partition_key != "tenant":
        raise PackError(
            f"{ports.pack}/models/{model}.yaml: ladder.segment needs partition_key tenant in pack.yaml: "
            "where rows are spread by entity, a worker sees a part of each tenant only"
        )
    pins = pin_silver(ports, definition, silver)
    plan: dict[str, Any] = {
        "model": model,
        "as_of": day.isoformat(),
        # outcomes are known as the run's day begins, or as its Silver stood before that
        "outcomes_until": min(day, silver.as_of_time.date() if silver.as_of_time else day).isoformat(),
        "closed": closed_periods(ports.lake),
        "silent_days": definition.model.censored.silent_days,
        "horizon_days": definition.model.horizon_days,
        "gap_days": definition.model.gap_days,
        "feature_set": definition.feature_set,
        "columns": columns_named(definition, pins.shapes),
        "silver": pins.versions(),
        "retracted": pins.retracted(),
        "silver_at": silver.said(),
        "champion": present_champion(ports.lake, model),
        "dates": [one.isoformat() for one in training_dates(definition.model, day)],
        "groups": pins.groups(ports.rows_per_item),
    }
    if not ports.lake.put_new(f"{run}/plan.json", dumps(plan)):
        # the run was planned before: its pinned versions stand, whatever Silver holds by now
        plan = read_json(ports.lake, f"{run}/plan.json")
        pins = pin_silver(ports, definition, SilverAt.of_plan(plan))
    write_definition(ports.lake, f"{run}/definition", definition)
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
            "partition_key": info.partition_key,
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
        "build_items": write_items(ports.lake, run, build),
        "fit_items": write_items(ports.lake, run, fit, name="fit"),
    }
