"""replay_version: plan the training of a registered version once more, from what its training pinned."""

from __future__ import annotations

import re
from typing import Any

from propensity.kernel.errors import BadInputError
from propensity.lake.definition_files import write_definition
from propensity.lake.domain.run_names import parse_day, plan_key, training_run
from propensity.lake.domain.run_records import TrainingPlan
from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.json_objects import find_record
from propensity.lake.pins import Pins, pin_silver, pins_of_plan
from propensity.lake.run_files import claim_plan
from propensity.pack.current import pack_info
from propensity.ports import Ports
from propensity.registry.versions import Version, load_version
from propensity.training.items import write_training_items

_REQUEST = re.compile(r"[A-Za-z0-9_-]{1,80}")


def replay_version(ports: Ports, *, model: str, version: int, request: str) -> dict[str, Any]:
    """Write a plan as plan_training does, with the version's own definition, table versions, shapes, dates and seed.

    Each `request` (1 to 80 letters, digits, - and _) is a run of its own; a second call finds the plan of the first.
    Raises NotFoundError for a version, or a table version, that does not exist, and BadInputError naming the field.
    """
    if type(version) is not int or version < 1:
        raise BadInputError(f"replay_of is {version!r}, expected the number of a version, as 3")
    if not isinstance(request, str) or not _REQUEST.fullmatch(request):
        raise BadInputError(f"request is {request!r}, expected 1 to 80 letters, digits, - and _")
    original = load_version(ports.lake, model, version)
    definition = original.definition(ports.lake)
    plan, pins = _pinned(ports, original)
    run = training_run(model, parse_day(plan.as_of, "as_of"), f"replay-v{version:06d}-{request}")
    plan = claim_plan(ports.lake, run, plan.model_copy(update={"replay_of": version, "replay_request": request}))
    write_definition(ports.lake, f"{run}/definition", definition)
    items = write_training_items(ports.lake, run, plan, pins, definition, pack_info(ports).partition_key)
    return {**items, "replay_of": version}


def _pinned(ports: Ports, version: Version) -> tuple[TrainingPlan, Pins]:
    """Return the plan that a version was trained by, and the tables that the version pins.

    A version from before plans were kept in its folder gets a plan from its lineage.
    """
    plan = find_record(ports.lake, plan_key(version.folder), TrainingPlan)
    if plan is not None and plan.shapes is not None:
        return plan, pins_of_plan(ports, plan)
    pins = pin_silver(ports, version.definition(ports.lake), SilverAt.of_plan(version.lineage))
    fields = {"model", "as_of", "dates", "feature_set", "silver", "silver_at", "retracted"}
    recorded = version.provenance.model_dump(mode="json", include=fields)
    groups = {"groups": pins.groups(ports.rows_per_item), "partition_key": pack_info(ports).partition_key}
    planned = plan.to_json() if plan else {}
    return TrainingPlan(**{**recorded, **groups, **planned}), pins
