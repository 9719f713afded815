"""A list takes the scores of the gap run that was made for it, and waits until that run is committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from propensity.delivery.build_export import build_export
from propensity.delivery.request_export import MACHINE, request_export, show_export
from propensity.kernel.errors import BadInputError, IncompleteRunError
from tests.kit.registries import crown, let_leave
from tests.kit.world import World
from tests.stack.automotive import AS_OF

DAY, TENANT = AS_OF.isoformat(), "dealer_01"


@pytest.fixture
def world(scored: World, tmp_path: Path) -> World:
    return scored.copy(tmp_path / "world")


def ask(world: World, **body: Any) -> str:
    asked = {"model": "service", "destination": "plain", "holdout": 0.0, **body}
    at = f"{DAY}T09:00:00+00:00"
    return str(request_export(world, TENANT, asked, key="k", by="anna", at=at, request_id="k")["export"])


def test_without_its_gap_run_there_is_no_list(world: World) -> None:
    export = ask(world)
    gap = f"gap-service-{export}"
    with pytest.raises(IncompleteRunError, match=f"its gap run {gap} has not been committed"):
        build_export(world, tenant=TENANT, export=export, gap=gap)
    assert show_export(world, TENANT, export)["state"] == "running"
    world.score("service", DAY, scope="gap", request=gap)
    build_export(world, tenant=TENANT, export=export, gap=gap)
    assert show_export(world, TENANT, export)["state"] == "ready"


def test_a_champion_that_came_after_the_gap_run_does_not_empty_the_list(world: World) -> None:
    export = ask(world)
    gap = f"gap-service-{export}"
    world.score("service", DAY, scope="gap", request=gap)
    for key in list(world.lake.keys("registry/service/versions/000001/")):
        world.lake.put(key.replace("/000001/", "/000002/"), world.lake.get(key))
    crown(world.lake, "service", 2)
    build_export(world, tenant=TENANT, export=export, gap=gap)
    receipt = show_export(world, TENANT, export)["receipt"]
    assert receipt["model_version"] == 1
    assert "no_score" not in receipt["why"].get("suppressed", {})
    let_leave(world.lake, "service", 2)
    # without the gap run's word nobody of this tenant has a score by the new champion
    other = ask(world, filter={"deciles": [10]})
    build_export(world, tenant=TENANT, export=other)
    assert show_export(world, TENANT, other)["receipt"]["why"]["suppressed"]["no_score"] == receipt["population"]


def test_how_fresh_the_scores_must_be_goes_to_the_gap_run_with_the_tenant(world: World) -> None:
    export = ask(world, fresh_days=7)
    payload = world.workflows.started[MACHINE, f"export-{export}"]
    assert (payload["tenant"], payload["scope"], payload["fresh_days"]) == (TENANT, "gap", 7)
    with pytest.raises(BadInputError, match="fresh_days: Input should be greater than or equal to 0"):
        ask(world, fresh_days=-1)
