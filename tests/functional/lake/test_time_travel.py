"""Runs over Silver as it stood at a time, and tables read by hand as docs/reference/lake.md says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from propensity.feedback.run_matchback import run_matchback
from propensity.kernel.errors import BadInputError, ConflictError, EvidenceError, NotFoundError
from propensity.kernel.sql_text import read_files
from propensity.lake.domain.time_travel import SilverAt
from propensity.registry.versions import load_champion
from propensity.scoring.plan_scoring import plan_scoring
from propensity.training.plan_training import plan_training
from tests.kit.world import World, content_hash
from tests.stack.automotive import AS_OF, KNOWN_BY, generate
from tests.stack.stack import ROOT

DAY = AS_OF.isoformat()


@pytest.fixture(scope="module")
def travelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, datetime]:
    """A champion and its scores, then a moment, then rows about the past that came later."""
    made = generate(tmp_path_factory.mktemp("dealers"), dealers=2, customers=1_200)
    world = World("automotive", tmp_path_factory.mktemp("lake"), rows_per_item=4_000).with_dates(4)
    *history, late = made.phases["history"]
    world.load(history)
    world.train("service", DAY)
    world.score("service", DAY)
    moment = datetime.now(UTC)
    world.load([late, *made.phases["gap"], *made.phases["outcomes"]])
    return world, moment


def feature_rows(world: World, run: str) -> str:
    keys = [str(world.folder / key) for key in world.lake.keys(f"{run}/features/")]
    return content_hash(world.query(f"select * from {read_files(keys)}"))


def test_training_as_of_a_time_sees_what_a_run_of_then_saw_and_promotes_nothing(
    travelled: tuple[World, datetime],
) -> None:
    world, moment = travelled
    first = load_champion(world.lake, "service")
    plan = world.prepare("service", DAY, silver=SilverAt(as_of_time=moment))
    said = json.loads(world.lake.get(f"{plan['run']}/plan.json"))
    assert said["silver"] == first.lineage["silver"]
    assert said["silver_at"] == {"silver_as_of_time": moment.isoformat()}
    assert feature_rows(world, plan["run"]) == feature_rows(world, first.lineage["run"])
    world.fit(plan)
    registered = world.register(plan["run"])
    assert (registered["version"], registered["promoted"]) == (2, False)
    assert load_champion(world.lake, "service").number == first.number
    assert world.lake.get(f"registry/service/versions/{2:06d}/model.onnx") == first.onnx(world.lake)


def test_scoring_as_known_then_gives_the_scores_of_then_beside_those_of_now(
    travelled: tuple[World, datetime],
) -> None:
    world, moment = travelled
    receipt = world.score("service", DAY, silver=SilverAt(as_of_time=moment))
    values = "tenant_id, customer_id, as_of, score, percentile, decile, reasons, model_version, table_versions"
    by_run: dict[str, str] = {
        run: content_hash(world.query(f"select {values} from s where run = '{run}'", s="gold/scores"))
        for (run,) in world.query("select distinct run from s", s="gold/scores")
    }
    assert set(by_run) == {f"runs/score/service/{DAY}-v000001-batch", receipt["run"]}
    assert len(set(by_run.values())) == 1


def test_a_gap_run_over_another_silver_is_one_of_its_own(travelled: tuple[World, datetime]) -> None:
    world, moment = travelled
    told = [
        plan_scoring(world, model="service", as_of="2025-07-15", scope="gap", request="pull", silver=silver)["run"]
        for silver in (SilverAt(), SilverAt(as_of_time=moment))
    ]
    assert told[0] == "runs/score/service/2025-07-15-v000001-gap-pull"
    assert told[1].startswith(f"{told[0]}-silver-")


def test_matchback_says_what_it_saw_and_refuses_to_say_it_saw_another(travelled: tuple[World, datetime]) -> None:
    world, moment = travelled
    run, known_by = f"runs/score/service/{DAY}-v000001-batch", KNOWN_BY.isoformat()
    run_matchback(world, run=run, known_by=known_by)
    seen: dict[str, Any] = json.loads(world.lake.get(f"{run}/matchback-{known_by}.json"))["silver"]
    run_matchback(world, run=run, known_by=known_by, silver=SilverAt(versions=seen))
    another = SilverAt(versions=seen | {"leases": seen["leases"] - 1})
    with pytest.raises(ConflictError, match=r"matched over Silver .* before"):
        run_matchback(world, run=run, known_by=known_by, silver=another)
    with pytest.raises(EvidenceError, match="0 of"):  # no outcome had arrived by then
        run_matchback(world, run=run, known_by=known_by, silver=SilverAt(as_of_time=moment))


def test_what_never_was_is_told(travelled: tuple[World, datetime]) -> None:
    world, _ = travelled
    for silver, error, said in (
        (SilverAt(versions={"sales": 999}), NotFoundError, "999 is not in its log"),
        (SilverAt(versions={"nonsense": 1}), BadInputError, "no dataset nonsense, expected customers"),
        (SilverAt(as_of_time=datetime(2000, 1, 1, tzinfo=UTC)), EvidenceError, r"holds none of .*2000-01-01"),
    ):
        with pytest.raises(error, match=said):
            plan_training(world, model="service", as_of=DAY, silver=silver)


def test_the_snippet_of_the_docs_reads_a_table_as_it_was(travelled: tuple[World, datetime], tmp_path: Path) -> None:
    world, moment = travelled
    page = (ROOT / "docs/reference/lake.md").read_text()
    [snippet] = [block.split("```")[0] for block in page.split("```python\n")[1:]]
    version = load_champion(world.lake, "service").lineage["silver"]["sales"]
    answers = []
    for when in (version, moment.isoformat(), world.tables.snapshot("silver/sales").version):  # type: ignore[union-attr]
        names: dict[str, Any] = {"LAKE": str(world.folder), "WHEN": when}
        exec(snippet, names)  # noqa: S102 - our own documentation
        answers.append(sorted(names["rows"].select("tenant_id, _key, _row_hash").fetchall()))
    assert answers[0] == answers[1]
    keys = world.query(
        "select distinct tenant_id, _key from s where _known_at < timestamptz '2025-07-01'", s="silver/sales"
    )
    assert sorted((tenant, key) for tenant, key, _ in answers[2]) == sorted(keys)
    assert len(answers[0]) <= len(answers[2])
