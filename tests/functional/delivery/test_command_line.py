"""The command against the handlers themselves, over a lake of dealers: what they answer is what the command reads."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest

from propensity.delivery.build_export import build_export
from propensity.runtime import composition
from tests.kit.cli_service import Answer, Asked, Command, Service, running
from tests.kit.handlers import CONTEXT, handler
from tests.kit.world import World
from tests.stack.automotive import AS_OF
from tests.stack.stack import ROOT

DAY = AS_OF.isoformat()
ROUTES = {
    "/v1/tenants/{tenant}/exports": "request_export",
    "/v1/tenants/{tenant}/exports/plan": "plan_export",
    "/v1/tenants/{tenant}/reviews": "review_customers",
    "/v1/tenants/{tenant}/exports/{export}/recall": "request_export",
    "/v1/tenants/{tenant}/exports/{export}": "request_export",
    "/v1/tenants/{tenant}/landings/{day}": "report_landings",
    "/v1/tenants/{tenant}/explanations": "explain_score",
    "/v1/tenants/{tenant}/scores": "serve_scores",
    "/v1/tenants/{tenant}/uploads": "manage_tenants",
    "/v1/tenants/{tenant}": "manage_tenants",
    "/v1/tenants": "manage_tenants",
    "/v1/models": "report_runs",
    "/v1/models/{model}": "manage_registry",
    "/v1/models/{model}/promote": "manage_registry",
    "/v1/runs/{model}": "report_runs",
}


class Gateway(Service):
    """The API as its functions answer, over a world; its links lead back to this service."""

    world: World

    def take(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        if asked.path.startswith("/memory/"):
            return self._store(asked)
        assert asked.is_signed(self.address)
        path, _, query = asked.path.partition("?")
        for resource, name in ROUTES.items():
            found = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", resource), path)
            if found:
                parts = {part: unquote(value) for part, value in found.groupdict().items()}
                return self._function(asked, resource, name, parts, dict(parse_qsl(query)))
        raise AssertionError(f"{asked.path} is no route")

    def _function(self, asked: Asked, resource: str, name: str, parts: dict[str, str], query: dict[str, str]) -> Answer:
        event = {
            "httpMethod": asked.method,
            "resource": resource,
            "pathParameters": parts or None,
            "queryStringParameters": query or None,
            "headers": dict(asked.headers),
            "requestContext": {
                "requestId": f"r{len(self.asked)}",
                "requestTimeEpoch": 1751443200000,
                "identity": {"userArn": "arn:aws:iam::000000000000:user/anna"},
            },
            "body": asked.body.decode() or None,
            "isBase64Encoded": False,
        }
        answer = handler(name)(event, CONTEXT)
        # what the workflow does after the answer
        for machine, started in self.world.workflows.started:
            self.world.workflows.ended.add((machine, started))
            export = started.removeprefix("export-")
            if asked.method == "POST" and resource.endswith(("/exports", "/recall")):
                build_export(self.world, tenant=parts["tenant"], export=export)
        text = answer["body"].replace("memory://", f"{self.address}/memory/")
        return Answer(text.encode(), answer["statusCode"])

    def _store(self, asked: Asked) -> Answer:
        link = asked.path.removeprefix("/memory/")
        bucket, _, key = unquote(link.partition("?")[0]).partition("/")
        if asked.method == "GET":
            assert bucket == "lake"
            return Answer(self.world.lake.get(key))
        headers = {name.title(): value for name, value in asked.headers.items()}
        status = self.world.upload_access.put(f"memory://{link}", asked.body, headers)
        if status == 200:
            self.date = format_datetime(self.world.landing.head(key).last_modified, usegmt=False)
            self.world.put(key, asked.body)
            self.world.promote()
        return Answer(b"", status)


class Process(Command):
    """The command in a process of its own, since the functions in this one log to standard output."""

    def __call__(self, *words: str, env: dict[str, str] | None = None) -> Any:
        command = [sys.executable, "-m", "propensity_cli", *words, "--folder", str(self.folder)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "shared/src"), **(env or {})}
        done = subprocess.run(command, cwd=self.folder.parent, env=environment, capture_output=True, text=True)
        said = {"stdout": done.stdout, "stderr": done.stderr, "output": done.stdout + done.stderr}
        return SimpleNamespace(exit_code=done.returncode, **said)


@pytest.fixture
def propensity(scored: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    world = scored.copy(tmp_path / "world")
    monkeypatch.setattr(composition, "ports", lambda: world)
    with running(Gateway) as service:
        assert isinstance(service, Gateway)
        service.world = world
        yield Process(service, tmp_path)


def test_a_list_is_pulled_by_command(propensity: Command) -> None:
    words = ("export", "dealer_01", "--model", "service", "--destination", "plain", "--as-of", DAY, "--decile", "10")
    answer = propensity.json(*words, "--holdout", "0.2", "--key", "july")["answer"]
    assert answer["receipt"]["arms"]["exported"] > 0
    texts = [(propensity.folder.parent / file["path"]).read_text(encoding="utf-8-sig") for file in answer["files"]]
    found = [row for text in texts for row in csv.DictReader(io.StringIO(text))]
    assert len(found) == answer["receipt"]["arms"]["exported"]
    shown = propensity(*words, "--holdout", "0.2", "--key", "july").stdout
    assert f"{answer['receipt']['population']:,}" in shown
    assert "holdout" in shown
    [listed] = propensity.json("exports", "dealer_01")["answer"]["exports"]
    assert listed["export"] == answer["export"]


def test_who_waits_is_reviewed_and_a_wrong_list_is_recalled_by_command(propensity: Command) -> None:
    words = ("export", "dealer_01", "--model", "service", "--destination", "plain", "--as-of", DAY, "--decile", "10")
    first = propensity.json(*words, "--review-band", "3", "--holdout", "0.1")["answer"]
    assert first["receipt"]["arms"]["review"] > 2
    page = propensity.json("review", "dealer_01", "--model", "service", "--limit", "2")["answer"]
    assert page["count"] == first["receipt"]["arms"]["review"]
    [one, other] = [review["customer_id"] for review in page["reviews"]]
    shown = propensity("review", "dealer_01", "--limit", "2").stdout
    assert one in shown
    assert f"--after {page['next']}" in shown
    decision = ("review", "dealer_01", "--model", "service", "--approve", one, "--reject", other, "--why", "known")
    told = propensity.json(*decision)["answer"]
    assert [answer["recorded"] for answer in told["decisions"]] == [1, 1]
    decided = propensity.json("review", "dealer_01", "--decided")["answer"]["reviews"]
    assert {review["customer_id"]: review["decision"] for review in decided} == {one: "approve", other: "reject"}
    assert "--model and --why" in propensity("review", "dealer_01", "--approve", one).stderr
    recalled = propensity.json("recall", "dealer_01", first["export"], "--why", "a test")["answer"]
    assert recalled["receipt"]["recalls"] == first["export"]
    assert {Path(file["path"]).name for file in recalled["files"]} == {"recall-0001.csv", "corrected-0001.csv"}


def test_a_list_is_planned_by_command(propensity: Command) -> None:
    words = ("plan", "dealer_01", "--model", "service", "--decile", "10", "--decile", "9", "--lift", "1.5")
    answer = propensity.json(*words, "--holdout", "0.2")["answer"]
    assert answer["chosen"]["deciles"] == [10, 9]
    assert (answer["lift"], answer["asked"]["holdout"]) == (1.5, 0.2)
    assert "to see a lift of 1.5" in propensity(*words).stdout


def test_a_wrong_request_is_answered_in_the_words_of_the_api(propensity: Command) -> None:
    words = ("export", "dealer_01", "--model", "service", "--destination", "nowhere")
    error = propensity.json(*words, code=3)["error"]
    assert (error["kind"], error["status"]) == ("BadInputError", 400)
    assert "destination: 'nowhere', expected one of " in error["message"]


def test_a_file_is_dropped_by_command_once(propensity: Command) -> None:
    words = ("drop", str(ROOT / "events/sample.csv"), "--dataset", "sales", "--tenant", "dealer_01")
    answer = propensity.json(*words, "--name", "new/sample.csv")["answer"]
    file = answer["file"]
    assert (file["status"], file["rows_in"], file["bronze"], file["promoted"]) == ("accepted_in_part", 3, 2, True)
    shown = propensity("status", "dealer_01", answer["day"]).stdout
    assert "price: " in shown
    assert "new/sample.csv" in shown
    assert "--name" in propensity(*words, "--name", "new/sample.csv").stderr


def test_models_runs_tenants_and_explanations_are_read_by_command(propensity: Command, scored: World) -> None:
    assert "service" in propensity("models").stdout
    [version] = propensity.json("models", "service")["answer"]["versions"]
    assert str(version["as_of"]) in propensity("models", "service").stdout
    assert "training" in propensity("runs", "service").stdout
    assert "sales" in propensity("tenants", "dealer_01").stdout
    [[customer, score]] = scored.query(
        "select customer_id, score from s where tenant_id = 'dealer_01' order by customer_id limit 1",
        s="gold/scores",
    )
    asked = ("explain", "dealer_01", customer, "--model", "service", "--day", DAY)
    told: dict[str, Any] = propensity.json(*asked)["answer"]
    assert [one["score"] for one in told["scores"]] == [pytest.approx(score)]
    assert f"{score:.4f}" in propensity(*asked).stdout
    # the clock of this world's lake stands in 2026, and a score holds from when it was committed
    held = propensity("explain", "dealer_01", customer, "--model", "service", "--day", "2026-12-31").stdout
    assert "champion was version 1" in held
    assert "the score that held" in held
    assert f"{score:.4f}" in held
