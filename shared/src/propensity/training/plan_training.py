"""plan_training: decide which data a training run reads, and cut the run into work items."""

from __future__ import annotations

from typing import Any

from propensity.features.isolation import check_isolation
from propensity.kernel.errors import PackError
from propensity.lake.definition_files import write_definition
from propensity.lake.domain.run_names import origin_run, parse_day, training_run
from propensity.lake.domain.run_records import TrainingPlan
from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.json_objects import is_planned
from propensity.lake.pins import NEWEST, pin_silver
from propensity.lake.run_files import claim_plan
from propensity.lake.silver_tables import columns_named
from propensity.pack.current import pack_info, training_definition
from propensity.ports import Ports
from propensity.registry.versions import present_champion
from propensity.tenants.record_lines import closed_periods
from propensity.training.domain.cost import check_candidate
from propensity.training.domain.schedule import training_dates
from propensity.training.items import write_training_items
from propensity.training.origins import read_origin, trained_on, with_judged


def plan_training(
    ports: Ports, *, model: str, as_of: str, silver: SilverAt = NEWEST, backtest: str | None = None
) -> dict[str, Any]:
    """Plan the run of this model, day and Silver. A second call finds the first call's plan and goes on from it.

    With `backtest` the run is the training of one of its origins: by the backtest's definition and Silver, without a
    champion, and with the customers whom the origin scores beside the training's own (training/origins.py).

    Returns the run's prefix and the keys of the lists of its items. Raises NotFoundError for an unknown model, backtest
    or table version, and EvidenceError where Silver is empty. Raises PackError for a feature that rests on the rows of
    other tenants (features/isolation.py). Raises PackError for a ladder with segments in a pack that spreads rows by
    entity, because in such a pack no worker sees the whole of a tenant.
    """
    day = parse_day(as_of, "as_of")
    if backtest is None:
        run = training_run(model, day, silver.name())
        definition, champion, trained = training_definition(ports, model), present_champion(ports.lake, model), None
    else:
        origin = read_origin(ports.lake, model, backtest, day)
        run, definition, silver = origin_run(model, backtest, day), origin.definition, origin.silver
        # today's champion has seen outcomes that nobody knew then
        champion, trained = None, trained_on(ports.lake, definition, day)
    for candidate in definition.model.candidates:
        check_candidate(candidate, f"{ports.pack}/models/{model}.yaml")
    info = pack_info(ports)
    if definition.has_segments and info.partition_key != "tenant":
        raise PackError(
            f"{ports.pack}/models/{model}.yaml: ladder.segment needs partition_key tenant in pack.yaml: "
            "where rows are spread by entity, a worker sees a part of each tenant only"
        )
    pins = pin_silver(ports, definition, silver)
    dates = training_dates(definition.model, day)
    if not is_planned(ports.lake, run):
        check_isolation(ports, definition, pins, max(dates), info.partition_key)
    planned = TrainingPlan(
        model=model,
        as_of=day.isoformat(),
        # outcomes are known up to the beginning of the run's day, or to the time of its Silver if that is earlier
        outcomes_until=min(day, silver.as_of_time.date() if silver.as_of_time else day).isoformat(),
        closed=closed_periods(ports.lake),
        silent_days=definition.model.censored.silent_days,
        horizon_days=definition.model.horizon_days,
        gap_days=definition.model.gap_days,
        feature_set=definition.feature_set,
        columns=columns_named(definition, pins.shapes),
        silver=pins.versions(),
        retracted=pins.retracted(),
        # a replay reads the tables like this run, even if the contracts have changed by then
        shapes=pins.shapes,
        partition_key=info.partition_key,
        silver_at=silver.said(),
        champion=champion,
        backtest=backtest,
        trained_version=trained,
        dates=[date.isoformat() for date in dates],
        groups=pins.groups(ports.rows_per_item),
    )
    plan = claim_plan(ports.lake, run, planned)
    if plan != planned:
        pins = pin_silver(ports, definition, plan.pinned)
    write_definition(ports.lake, f"{run}/definition", definition)
    items = write_training_items(ports.lake, run, plan, pins, definition, info.partition_key)
    return items if backtest is None else {**items, **with_judged(ports.lake, run, plan, pins, definition, items)}
