"""Lists wait until a matchback, a backtest or two people speak for the version; a model without signal never passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from propensity.delivery.build_export import build_export
from propensity.delivery.request_export import request_export, show_export
from propensity.feedback.run_matchback import run_matchback
from propensity.kernel.callers import Approvers
from propensity.kernel.errors import BadInputError, ConflictError, ForbiddenError
from propensity.registry.batches import batch_runs
from propensity.registry.domain.ledger import model_standing
from propensity.registry.domain.release_proof import version_proofs
from propensity.registry.release_gate import clearance
from propensity.registry.versions import load_version, read_ledger
from propensity.release.manage_registry import list_versions, release
from tests.functional.backtest.conftest import DAY
from tests.kit.backtests import backtested
from tests.kit.registries import crown, let_leave
from tests.kit.world import World
from tests.stack.automotive import KNOWN_BY, Generated

TENANT = "dealer_01"
APPROVERS = Approvers("000000000000", "technical", "business")
AT = f"{DAY}T09:00:00+00:00"


def signer(role: str, person: str) -> str:
    return f"arn:aws:sts::000000000000:assumed-role/{role}/{person}"


def pull(world: World, key: str, **body: Any) -> dict[str, Any]:
    asked = {"model": "service", "destination": "plain", **body}
    answer = request_export(world, TENANT, asked, key=key, by="arn:anna", at=AT, request_id=key)
    build_export(world, tenant=TENANT, export=answer["export"])
    return show_export(world, TENANT, answer["export"])


def let_go(world: World, role: str, person: str, why: object = "a new market") -> dict[str, Any]:
    return release(world, "service", 1, by=signer(role, person), why=why, at=AT, approvers=APPROVERS)


def released(world: World, version: int = 1) -> str | None:
    standing = model_standing(read_ledger(world.lake, "service"))
    return clearance(world, load_version(world.lake, "service", version), standing).by


def test_without_proof_a_list_is_refused_and_told_what_is_missing_and_from_when(champion: World) -> None:
    with pytest.raises(ConflictError) as refused:
        pull(champion, "early")
    said = str(refused.value)
    # 90 days and a week behind the batch
    for part in ("version 1", "from 2025-10-06, of the batch as of 2025-07-01", "/backtests", "/release", "no proof"):
        assert part in said
    assert not list(champion.lake.keys("exports/"))
    assert not champion.workflows.started


def test_a_backtest_of_the_same_recipe_lets_the_first_lists_leave(tested: tuple[World, dict[str, Any]]) -> None:
    world, answer = tested
    proof = answer["report"]["proof"]
    assert answer["report"]["short_of"] is None
    assert proof["difference"]["low"] > 0
    assert proof["positives"] >= 30
    assert released(world) == "backtest"
    assert pull(world, "k", filter={"deciles": [10]}, holdout=0.1)["state"] == "ready"
    [version] = list_versions(world, "service")["versions"]
    assert version["release"]["released"]
    assert version["release"]["by"] == "backtest"
    assert [proof["short_of"] for proof in version["release"]["proofs"]] == [None]


def test_a_backtest_of_another_recipe_lets_nothing_leave(champion: World, tmp_path: Path) -> None:
    world = champion.copy(tmp_path / "world")
    deployed = world.pack_files
    with world.edited("models/service.yaml") as model:
        model["features"] = ["service_history"]
    answer = backtested(world, "service", as_of=DAY, origins=1)
    assert answer["report"]["short_of"] is None
    world.pack_files = deployed
    assert released(world) is None
    with pytest.raises(ConflictError, match="no proof"):
        pull(world, "k")


def test_words_gates_and_cadence_are_no_part_of_the_recipe_and_settings_are(champion: World, tmp_path: Path) -> None:
    world = champion.copy(tmp_path / "world")
    definition = load_version(world.lake, "service", 1).definition(world.lake)
    model = definition.model

    def recipe(**changes: Any) -> str:
        return definition.model_copy(update={"model": model.model_copy(update=changes)}).recipe

    same = {
        "hypothesis": "Another.",
        "gates": model.gates.model_copy(update={"auc_floor": 0.6}),
        "release": model.release.model_copy(update={"min_positives": 50}),
        "target": model.target.model_copy(
            update={"description": "In other words.", "sql": f"{model.target.sql} -- so"}
        ),
        "filter": None,
    }
    for name, value in same.items():
        assert recipe(**{name: value}) == definition.recipe, name
    other = {
        "horizon_days": 60,
        "settle_days": 8,
        "imbalance": "balanced",
        "target": model.target.model_copy(update={"sql": f"{model.target.sql} where true"}),
        "training": model.training.model_copy(update={"seed": 8}),
        "candidates": model.candidates * 1 + (model.candidates[0].model_copy(update={"family": "random_forest"}),),
    }
    for name, value in other.items():
        assert recipe(**{name: value}) != definition.recipe, name


def test_a_model_of_a_world_without_signal_passes_no_gate(no_signal: World, tmp_path: Path) -> None:
    world = no_signal.copy(tmp_path / "world")
    world.train("service", DAY)
    report = backtested(world, "service", as_of=DAY, origins=2)["report"]
    assert report["proof"]["positives"] >= 30  # there was enough to see a difference, and none was there
    assert "expected all of it above 0" in report["short_of"]
    assert released(world) is None


def test_two_people_release_a_version_and_one_person_does_not(champion: World, tmp_path: Path) -> None:
    world = champion.copy(tmp_path / "world")
    with pytest.raises(ForbiddenError):
        let_go(world, "intern", "eve")
    with pytest.raises(BadInputError, match="why"):
        let_go(world, "technical", "anna", why=" ")
    first = let_go(world, "technical", "anna")
    assert first["action"] == "release"
    assert (first["release"]["released"], first["release"]["missing"]) == (False, ["business"])
    assert let_go(world, "technical", "anna")["number"] == first["number"]
    with pytest.raises(ConflictError, match="technical release"):
        let_go(world, "technical", "ben")
    with pytest.raises(ForbiddenError, match="another person"):
        let_go(world, "business", "Anna")
    with pytest.raises(ConflictError, match="missing: business"):
        pull(world, "k")
    second = let_go(world, "business", "ben")
    assert (second["release"]["released"], second["release"]["by"]) == (True, "people")
    assert pull(world, "k")["state"] == "ready"
    ledger = read_ledger(world.lake, "service")
    assert [(line.action, line.alias) for line in ledger][-2:] == [("release", None), ("release", None)]
    assert model_standing(ledger).champion == 1


def test_a_matchback_lets_lists_leave_and_leaves_out_whom_a_list_had(
    champion: World, dealers: Generated, tmp_path: Path
) -> None:
    world = champion.copy(tmp_path / "world")
    let_leave(world.lake, "service", 1)
    receipt = pull(world, "k", filter={"deciles": [9, 10]}, holdout=0.3, household="each")["receipt"]
    plain = champion.copy(tmp_path / "plain")
    proofs = {}
    for name, each in (("listed", world), ("plain", plain)):
        each.load(dealers.phases["outcomes"])
        [run] = batch_runs(each, "service")
        run_matchback(each, run=run, known_by=KNOWN_BY.isoformat())
        [key] = each.lake.keys(version_proofs("service", 1))
        proofs[name] = clearance(each, load_version(each.lake, "service", 1), model_standing([])).proofs[0]
        assert key.endswith(f"-batch@{KNOWN_BY}.json")
    assert proofs["plain"].exported == 0
    assert proofs["listed"].exported == receipt["arms"]["exported"] > 0
    assert proofs["plain"].difference
    assert proofs["listed"].difference
    assert proofs["listed"].difference.n == proofs["plain"].difference.n - receipt["arms"]["exported"]
    assert released(plain) == "matchback"
    assert pull(plain, "k")["state"] == "ready"


def test_limits_are_those_of_the_pack_of_today(tested: tuple[World, dict[str, Any]], tmp_path: Path) -> None:
    made, answer = tested
    world = made.copy(tmp_path / "world")
    low = answer["report"]["proof"]["difference"]["low"]
    for limits, passes in (
        ({"min_difference": low - 0.001}, True),
        ({"min_difference": low + 0.001}, False),
        ({"min_positives": answer["report"]["proof"]["positives"]}, True),
        ({"min_positives": answer["report"]["proof"]["positives"] + 1}, False),
    ):
        with world.edited("models/service.yaml") as model:
            model["release"] = limits
        assert (released(world) == "backtest") == passes, limits


def test_a_champion_that_came_between_a_request_and_its_list_is_asked_for_its_own_proof(
    tested: tuple[World, dict[str, Any]], tmp_path: Path
) -> None:
    made, _ = tested
    world = made.copy(tmp_path / "world")
    asked = {"model": "service", "destination": "plain"}
    answer = request_export(world, TENANT, asked, key="between", by="a", at=AT, request_id="r")
    with world.edited("models/service.yaml") as model:
        model["training"]["seed"] = 8
    assert world.train("service", "2025-07-02")["version"] == 2
    crown(world.lake, "service", 2)
    assert released(world, 2) is None
    with pytest.raises(ConflictError, match="version 2: its lists wait"):
        build_export(world, tenant=TENANT, export=answer["export"])
    assert not list(world.lake.keys(f"exports/lists/tenant_id={TENANT}/{answer['export']}/plan"))
