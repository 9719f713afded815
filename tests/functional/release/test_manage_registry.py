"""Approvals and rollbacks over the API, and the checks that an artifact must pass before an alias goes to it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from propensity.kernel.callers import Approvers
from propensity.kernel.errors import ConflictError, ForbiddenError, SettingError
from propensity.lake.json_objects import dumps, read_json
from propensity.pack.domain.model_spec import Policy
from propensity.ports import Sample
from propensity.registry.domain.ledger import model_standing as standing
from propensity.registry.domain.ledger import version_folder
from propensity.registry.versions import append_to_ledger as append_line
from propensity.registry.versions import champion_number, load_version
from propensity.release.domain.promotion import Request
from propensity.release.domain.promotion import registration_line as settle
from propensity.release.manage_registry import list_versions, roll_back
from propensity.runtime import composition
from propensity.runtime.pack_files import pack_files
from tests.kit import registries
from tests.kit.handlers import CONTEXT, event, handler
from tests.kit.registries import ACCOUNT, APPROVERS, BUSINESS, TECHNICAL, open_registry, signed
from tests.kit.registries import MODEL as SMALL
from tests.kit.world import World

MODEL = "service"
FIRST = version_folder(MODEL, 1)


def test_the_list_of_versions_says_what_failed_and_what_had_not_enough_evidence() -> None:
    registry = open_registry()
    name, folder = registries.MODEL, version_folder(registries.MODEL, 1)
    registry.register(1, good=False)
    [older] = list_versions(registry, name)["versions"]
    assert (older["gates_in_words"], older["auc_within"]) == ("failed min_positives", None)
    gates = [{"name": "level", "passed": False, "outcome": "failed"}]
    gates += [{"name": "auc_floor", "passed": False, "outcome": "not_enough_evidence"}]
    registry.lake.put(f"{folder}/gates.json", dumps(gates))
    [found] = list_versions(registry, name)["versions"]
    assert found["gates"]["failed"] == ("level", "auc_floor")
    assert found["gates"]["not_enough_evidence"] == ("auc_floor",)
    assert found["gates_in_words"] == "failed level; has not enough evidence for auc_floor"


def second(world: Any, policy: Policy) -> None:
    """Register the same artifact once more, as a later training run would."""
    folder = version_folder(MODEL, 2)
    for key in list(world.lake.keys(f"{FIRST}/")):
        world.lake.put(f"{folder}/{key.removeprefix(f'{FIRST}/')}", world.lake.get(key))
    gates = load_version(world.lake, MODEL, 2).gates(world.lake)
    asked = Request(MODEL, 2, by="run 2", why="all gates passed", at="2025-08-01", gates=gates)
    append_line(world.lake, MODEL, lambda known: settle(asked, policy, standing(known).champion, known))


@pytest.fixture
def waiting(aws: SimpleNamespace, trained: World, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """An account with a champion, and with a version that waits for two approvals."""
    files = dict(pack_files("automotive"))
    files[f"models/{MODEL}.yaml"] += "\npromotion: {policy: two_approvals}\n"
    monkeypatch.setattr(composition, "pack_files", lambda pack: files)
    for name, value in (("TECHNICAL", APPROVERS.technical), ("BUSINESS", APPROVERS.business)):
        monkeypatch.setenv(f"{name}_APPROVER_ROLE", value)
    monkeypatch.setenv("ACCOUNT_ID", ACCOUNT)
    for key in trained.lake.keys("registry/"):
        aws.s3.put_object(Bucket="lake", Key=key, Body=trained.lake.get(key))
    second(composition.ports(), "two_approvals")
    return aws


def ask(by: str, action: str = "", **body: Any) -> tuple[int, dict[str, Any]]:
    asked = event("manage_registry")
    asked["pathParameters"]["model"] = MODEL
    asked["resource"] += action
    asked["requestContext"]["identity"]["userArn"] = by
    answer = handler("manage_registry")({**asked, "body": json.dumps(body)}, CONTEXT)
    return answer["statusCode"], json.loads(answer["body"])


def stages() -> dict[int, str]:
    _, listed = ask(TECHNICAL)
    return {version["version"]: version["stage"] for version in listed["versions"]}


def test_a_version_is_promoted_by_two_people_of_two_roles_and_rolled_back_by_anybody(waiting: SimpleNamespace) -> None:
    assert stages() == {1: "production", 2: "staging"}
    said = {"version": 2, "why": "the lift is worth it"}
    status, refused = ask(TECHNICAL, "/promote", **said)
    assert (status, refused["error"]) == (409, "ConflictError")
    assert f"POST /v1/models/{MODEL}/approvals takes role Scientist (technical) and role Owner" in refused["message"]
    status, given = ask(TECHNICAL, "/approvals", **said)
    assert (status, given["stage"], given["role"], given["missing"]) == (200, "staging", "technical", ["business"])
    assert ask(TECHNICAL, "/approvals", **said)[1]["number"] == given["number"]
    status, refused = ask(signed("Owner", "Anna"), "/approvals", **said)
    assert (status, "you gave its other approval" in refused["message"]) == (403, True)
    status, refused = ask(signed("Scientist", "carl"), "/approvals", **said)
    assert (status, "has its technical approval" in refused["message"]) == (409, True)
    assert stages() == {1: "production", 2: "staging"}
    status, given = ask(BUSINESS, "/approvals", **said)
    assert (status, given["stage"], given["previous"], given["missing"]) == (200, "production", 1, [])
    assert stages() == {1: "archived", 2: "production"}
    _, listed = ask(TECHNICAL)
    assert listed["promotion"] == "two_approvals"
    approvals = listed["versions"][1]["approvals"]
    assert [(one["role"], one["by"], one["why"]) for one in approvals] == [
        ("technical", TECHNICAL, said["why"]),
        ("business", BUSINESS, said["why"]),
    ]
    assert listed["ledger"][-1]["gates"] == listed["versions"][1]["gates"]
    assert {"parity", "min_positives"} <= set(listed["versions"][1]["gates"]["passed"])
    status, back = ask(signed("Intern", "zoe"), "/rollback", why="the list looked wrong", from_version=2)
    assert (status, back["version"], set(back["checked"].values())) == (200, 1, {"ok"})
    assert stages() == {1: "production", 2: "archived"}
    # its approvals are void: it would need two new ones, or one rollback
    status, given = ask(BUSINESS, "/approvals", **said)
    assert (status, given["stage"], given["missing"]) == (200, "archived", ["technical"])
    status, refused = ask(BUSINESS, "/promote", **said)
    assert (status, '/rollback with "version": 2 takes one' in refused["message"]) == (409, True)
    assert ask(BUSINESS, "/rollback", **said)[0] == 200
    assert stages() == {1: "archived", 2: "production"}


@pytest.mark.parametrize(
    "by",
    [
        "arn:aws:iam::123456789012:user/Scientist/anna",
        "arn:aws:iam::123456789012:role/Scientist",
        "arn:aws:iam::123456789012:root",
        signed("Intern", "anna"),
        signed("Scientist", "anna", account="999999999999"),
        signed("Scientist/Owner", "anna"),
        "unsigned",
    ],
)
def test_nobody_but_the_named_roles_of_this_account_approves_whatever_the_body_says(by: str) -> None:
    if "Scientist/Owner" in by:
        # the role comes first; behind it stands the session's name, which may be anything
        assert APPROVERS.role_of(by) == "technical"
        return
    with pytest.raises(ForbiddenError, match="approvals are given by role Scientist"):
        APPROVERS.role_of(by)


def test_a_role_that_the_caller_declares_counts_for_nothing(waiting: SimpleNamespace) -> None:
    said = {"version": 2, "why": "w", "role": "technical", "userArn": TECHNICAL}
    status, refused = ask("arn:aws:iam::123456789012:user/anna", "/approvals", **said)
    assert (status, refused["error"]) == (403, "ForbiddenError")
    assert stages() == {1: "production", 2: "staging"}


def test_a_stack_that_names_no_approvers_says_so_and_one_role_for_both_is_refused() -> None:
    with pytest.raises(ForbiddenError, match="set its parameters TechnicalApproverRole and BusinessApproverRole"):
        Approvers(ACCOUNT, "", "").role_of(TECHNICAL)
    with pytest.raises(SettingError, match="expected two roles"):
        Approvers(ACCOUNT, "Owner", "Owner")


# Checks that a version must pass --------------------------------------------------------------------------


def lineage(world: World, **changes: Any) -> None:
    """Change fields of version 1's lineage; None takes a field out."""
    key = f"{FIRST}/lineage.json"
    said = {**read_json(world.lake, key), **changes}
    world.lake.put(key, dumps({name: value for name, value in said.items() if value is not None}))


def other_width(world: World) -> None:
    """Put a model of two features in its place, in a version from before files were recorded."""
    matrix = np.array([[0, 1], [1, 0], [2, 2], [3, 1]] * 20, dtype=np.float32)
    train = Sample(matrix, np.array([0, 0, 1, 1] * 20))
    fitted = world.trainer.fit("logistic_regression", {"C": 1.0}, train, seed=1)
    world.lake.put(f"{FIRST}/model.onnx", fitted.onnx())
    lineage(world, files=None)


def other_order(world: World) -> None:
    key = f"{FIRST}/definition/model.yaml"
    turned = re.sub(r"features:\n- (\w+)\n- (\w+)\n", r"features:\n- \2\n- \1\n", world.lake.get(key).decode(), count=1)
    assert turned.encode() != world.lake.get(key)
    world.lake.put(key, turned.encode())
    lineage(world, files=None)


def without_column(world: World) -> None:
    path = "contracts/sales.yaml"
    world.pack_files = {**world.pack_files, path: world.pack_files[path].replace("sold_on", "sold_at")}


def without_dataset(world: World) -> None:
    """Take a dataset out of the pack, for a version from before columns were recorded."""
    text = world.pack_files["pack.yaml"]
    assert ", leases," in text
    world.pack_files = {**world.pack_files, "pack.yaml": text.replace(", leases,", ",")}
    lineage(world, files=None, schema=None)


def put(name: str, body: bytes, **changes: Any) -> Callable[[World], None]:
    def damage(world: World) -> None:
        world.lake.put(f"{FIRST}/{name}", body)
        lineage(world, **changes)

    return damage


BENT = {"method": "table", "raw_logit": [0, 1], "calibrated_logit": [float("nan")] * 2, "rows": 1, "positives": 1}


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (put("model.onnx", b"damaged"), "model.onnx: missing, or not as registered"),
        (lambda world: world.lake.remove(f"{FIRST}/calibration.json"), "calibration.json: missing, or not as"),
        (put("model.onnx", b"damaged", files=None), "cannot be loaded: model.onnx cannot be loaded"),
        (put("calibration.json", b"{", files=None), "it cannot be loaded: JSONDecodeError"),
        (put("calibration.json", json.dumps(BENT).encode(), files=None), "calibration"),
        (lambda world: lineage(world, silver={"nothing": 1}, schema=None), "no dataset nothing"),
        (other_width, "model.onnx takes 2 features, its definition has 24"),
        (other_order, "its features are"),
        (without_column, "sales.sold_on is missing, was DATE"),
        (without_dataset, "no dataset leases"),
    ],
)
def test_a_version_that_cannot_score_today_does_not_become_champion(
    trained: World, tmp_path: Path, damage: Callable[[World], None], told: str
) -> None:
    world = trained.copy(tmp_path)
    second(world, "automatic")
    damage(world)
    with pytest.raises(ConflictError, match=told) as refused:
        roll_back(world, MODEL, by=TECHNICAL, why="test", at="2025-08-02", from_version=2)
    assert "the alias stays where it is" in str(refused.value)
    assert champion_number(world.lake, MODEL) == 2


def test_a_version_from_before_its_schema_was_recorded_is_checked_by_what_is_there(
    trained: World, tmp_path: Path
) -> None:
    world = trained.copy(tmp_path)
    second(world, "automatic")
    lineage(world, files=None, schema=None)
    back = roll_back(world, MODEL, by=TECHNICAL, why="test", at="2025-08-02", from_version=2)
    recorded = {"files": "not recorded", "columns": "not recorded", "features": "not recorded", "score": "ok"}
    assert back["checked"] == recorded
    assert list_versions(world, MODEL)["champion"] == 1


def card_of(version: str, form: str | None = None) -> dict[str, Any]:
    asked = event("manage_registry") | {"resource": "/v1/models/{model}/versions/{version}/card"}
    asked |= {"queryStringParameters": {"format": form} if form else None}
    return handler("manage_registry")({**asked, "pathParameters": {"model": MODEL, "version": version}}, CONTEXT)


def test_a_card_is_fetched_as_a_page_or_as_markdown(waiting: SimpleNamespace, trained: World) -> None:
    page, text = card_of("1"), card_of("1", "md")
    assert (page["statusCode"], text["statusCode"]) == (200, 200)
    assert page["headers"]["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page["headers"]["Content-Security-Policy"]
    assert page["body"] == trained.lake.get(f"{FIRST}/card.html").decode()
    assert text["body"] == trained.lake.get(f"{FIRST}/card.md").decode()
    waiting.s3.delete_object(Bucket="lake", Key=f"{version_folder(MODEL, 2)}/card.html")
    for answer, status, said in (
        (card_of("2"), 404, "from before there were model cards"),
        (card_of("9"), 404, "no version 9"),
        (card_of("../1"), 400, "version"),
        (card_of("9" * 5_000), 400, "version: expected 1 to 200 printable ASCII characters"),
        (card_of("1", "pdf"), 400, "format"),
    ):
        assert answer["statusCode"] == status
        assert said in json.loads(answer["body"])["message"]


def test_the_ledger_says_when_a_training_run_promoted_and_not_what_day_it_was_for(trained: World) -> None:
    [line, *_] = list_versions(trained, MODEL)["ledger"]
    assert (line["by"], line["at"]) == ("register_model", "2025-07-01T03:10:00Z")


def test_a_version_that_lost_most_of_the_champions_dates_is_staged_and_people_decide() -> None:
    registry = open_registry()
    assert registry.register(1, dates=7)["promoted"]
    half = registry.register(2, dates=4)
    assert (half["promoted"], half["staged"]) == (True, False)
    lost = registry.register(3, dates=1)
    assert (lost["promoted"], lost["staged"], lost["failed_gates"]) == (False, True, [])
    listed = list_versions(registry, SMALL)
    assert listed["champion"] == half["version"]
    assert "1 of its training dates have rows, of version 2's 4 have" in listed["ledger"][-1]["why"]
    # the same run once more changes nothing
    assert registry.register(3, dates=1)["staged"]
    assert list_versions(registry, SMALL) == listed
