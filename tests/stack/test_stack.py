"""The deployed stack: what only real events, roles, layers and state machines can prove."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from rich.console import Console

from tests.kit.api_inputs import routes
from tests.kit.rights import CALLS, RIGHTS
from tests.stack import approvers, demo, fuzz, hostile, lists
from tests.stack.automotive import AS_OF
from tests.stack.conftest import FOLDER, Run, say
from tests.stack.lake import Lake, rows_in_file
from tests.stack.pages import ELSEWHERE, blocks
from tests.stack.roles import FILES, ID, MAIL, TENANT, overstepped
from tests.stack.scenarios import Drop
from tests.stack.stack import DEAD_LETTERS, REGION, ROOT, Stack, StackError

WAIT = 300  # seconds; a guard against a hang, not an expectation
DAY = AS_OF.isoformat()
NEXT = date(AS_OF.year, AS_OF.month + 1, 1).isoformat()
LATER = date(AS_OF.year, AS_OF.month + 2, 1).isoformat()
MODEL = "service"
SCORES = "/v1/tenants/dealer_01/scores"
LATER_RUN = f"runs/score/{MODEL}/{LATER}"


def put(stack: Stack, lake: Lake, drops: list[Drop]) -> None:
    demo.drop(stack, lake, drops, demo.Progress(Console(quiet=True)), "files")


def executions(stack: Stack) -> list[str]:
    list_executions = stack.step_functions.list_executions
    machines = [stack.outputs[name] for name in ("TrainModel", "ScorePopulation")]
    return sorted(one["name"] for arn in machines for one in list_executions(stateMachineArn=arn)["executions"])


def test_every_row_of_every_file_is_in_bronze_or_in_quarantine(ran: Run) -> None:
    rows_in: Counter[str] = Counter()
    for drop in ran.scenario.drops:
        rows_in[drop.dataset] += rows_in_file(drop.path)
    for dataset, rows in rows_in.items():
        counts = ran.summary["datasets"][dataset]
        assert counts["bronze"] + counts["quarantine"] == counts["rows_in"] == rows, dataset
        assert 0 < counts["silver"] <= counts["bronze"], dataset
        # every row of Bronze is in Silver, once
        raw = ran.lake.query(
            "select count(*), count(distinct (_content_id, _line)) from s", s=ran.lake.table_files(f"silver/{dataset}")
        )
        assert raw == [(counts["bronze"], counts["bronze"])], dataset


def test_the_loop_ends_in_scores_held_against_outcomes(ran: Run) -> None:
    for name, model in ran.summary["models"].items():
        scored = duckdb.execute(
            f"select count(*), count(distinct (tenant_id, customer_id)) from '{ran.out}/scores-{name}.parquet'"
        ).fetchone()
        assert scored == (model["population"], model["population"])
        assert model["auc_low"] < model["auc"] < model["auc_high"]
        assert model["parity_max_abs"] <= 1e-5
        assert ran.summary["drift"][name]["features"] > 0
    assert ran.receipt["new"] > 0
    assert (ran.receipt["failed"], ran.receipt["coverage"]) == (0, 1.0)


def test_the_same_file_again_under_another_name_changes_no_view(stack: Stack, ran: Run) -> None:
    [again, *_] = [drop for drop in ran.scenario.history if drop.dataset == "service_records"]
    put(stack, ran.lake, [Drop(again.path, f"{again.key.rpartition('/')[0]}/again-{again.path.name}")])
    assert ran.lake.counts("service_records")["silver"] == ran.summary["datasets"]["service_records"]["silver"]


def test_a_key_with_a_space_and_a_plus_is_read_as_it_is_written(stack: Stack, ran: Run, tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_bytes(b"")
    put(stack, ran.lake, [Drop(path, "sales/tenant_id=dealer_01/1+1 = 2%20.csv")])
    [report] = [ran.lake.json(key) for key in ran.lake.keys("validation/sales/") if key.endswith(".rejected.json")]
    assert report["status"] == "rejected"
    assert "1+1 = 2%20.csv" in report["key"]
    assert "empty" in report["why"]


def test_a_second_tick_of_a_day_starts_nothing(stack: Stack, ran: Run) -> None:
    before = executions(stack)
    stack.invoke("StartDueRuns", {"slot": DAY})
    assert executions(stack) == before


def test_on_demand_answers_are_the_batch_s_and_are_logged(stack: Stack, ran: Run) -> None:
    rows = duckdb.execute(
        f"select customer_id, score, decile from '{ran.out}/scores-{MODEL}.parquet' "
        "where tenant_id = 'dealer_01' order by customer_id limit 3"
    ).fetchall()
    asked = {"model": MODEL, "customer_ids": [*(row[0] for row in rows), "nobody"]}
    status, answer = stack.call("POST", SCORES, asked)
    assert status == 200, answer
    for (customer, score, decile), found in zip(rows, answer["scores"], strict=False):
        assert (found["customer_id"], found["decile"], found["as_of"]) == (customer, decile, DAY)
        assert found["score"] == pytest.approx(score, abs=1e-6)
        assert found["source"] == "champion"
    assert answer["scores"][3]["source"] == "fallback"
    stack.wait(lambda: bool(ran.lake.keys("gold/inference_log/_delta_log/")), WAIT, "the inference log")
    logged = ran.lake.query("select count(*) from l", l=ran.lake.table_files("gold/inference_log"))
    assert logged == [(4,)]
    question = {"customer_id": rows[0][0], "model": MODEL, "day": DAY}
    status, told = stack.call("POST", "/v1/tenants/dealer_01/explanations", question)
    assert status == 200, told
    [found] = told["scores"]
    assert (found["score"], found["decile"], found["stage_now"]) == (rows[0][1], rows[0][2], "production")
    assert found["lineage"]["silver"]


def test_a_list_is_asked_for_made_and_handed_out(stack: Stack, ran: Run) -> None:
    asked = {"model": MODEL, "destination": "plain", "filter": {"top": 40}, "holdout": 0.2, "as_of": DAY}
    answer = lists.pull(stack, "dealer_01", asked, WAIT)
    arms = answer["receipt"]["arms"]
    assert sum(arms.values()) == answer["receipt"]["population"]
    assert arms["exported"] + arms["held_out"] == 40
    assert len(lists.rows(answer)) == arms["exported"]


def test_a_backtest_ends_in_a_report_and_takes_the_version_that_was_trained_on_its_origin(
    stack: Stack, ran: Run
) -> None:
    route = f"/v1/models/{MODEL}/backtests"
    status, asked = stack.call("POST", route, {"as_of": "2025-11-01", "origins": 1})
    assert (status, asked["origins"]) == (200, [DAY]), asked
    found: dict[str, Any] = {}

    def ready() -> bool:
        status, told = stack.call("GET", f"{route}/{asked['backtest']}")
        assert (status, told["state"] in ("running", "ready")) == (200, True), told
        found.update(told)
        return bool(told["state"] == "ready")

    stack.wait(ready, WAIT, "the backtest")
    [origin] = found["report"]["origins"]
    assert origin["judged"]["version"] == 1
    assert found["report"]["short_of"] is None


def test_an_unsigned_call_is_refused(stack: Stack) -> None:
    status, _ = stack.call("POST", SCORES, {"model": MODEL}, signed=False)
    assert status == 403


def test_a_rollback_is_followed_without_a_deploy(stack: Stack, ran: Run) -> None:
    stack.run("TrainModel", "again", {"model": MODEL, "as_of": NEXT, "then_score": False}, WAIT)
    # NEXT is no scoring day of the schedule, but a version that becomes champion scores everybody
    stack.wait_for_execution("ScorePopulation", f"score-{MODEL}-{NEXT}-batch-v2", WAIT)
    status, listed = stack.call("GET", f"/v1/models/{MODEL}")
    assert (status, listed["champion"], len(listed["versions"])) == (200, 2, 2)
    status, moved = stack.call(
        "POST", f"/v1/models/{MODEL}/rollback", {"why": "the list looked wrong", "from_version": 2}
    )
    assert (status, moved["version"], moved["previous"]) == (200, 1, 2)
    asked = {"model": MODEL, "customer_ids": ["nobody"]}

    def follows() -> bool:
        status, answer = stack.call("POST", SCORES, asked)
        assert status == 200
        return bool(answer["model_version"] == 1)

    stack.wait(follows, 30, "the champion's cache of ten seconds to end")
    receipt = stack.run("ScorePopulation", "next", {"model": MODEL, "as_of": NEXT, "scope": "batch"}, WAIT)
    assert receipt["version"] == 1
    status, refused = stack.call("POST", f"/v1/models/{MODEL}/promote", {"version": 9, "why": "x"})
    assert status == 404
    assert "9" in refused["message"]


def test_two_people_in_two_roles_approve_and_nobody_else_does(stack: Stack, ran: Run) -> None:
    """By now version 1 is champion, and version 2 has been."""
    technical, business = approvers.ROLES.values()

    def approve(role: str | None, person: str = "") -> tuple[int, Any]:
        asked = {"version": 2, "why": "looked at its card", "role": "business"}
        credentials = approvers.assume(stack.client("sts"), role, person) if role else None
        return stack.call("POST", f"/v1/models/{MODEL}/approvals", asked, credentials=credentials)

    status, refused = approve(None)
    assert (status, refused["error"]) == (403, "ForbiddenError")  # the role that the body claims does not count
    status, first = approve(technical, "ann")
    assert (status, first["missing"]) == (200, ["business"]), first
    status, refused = approve(business, "Ann")
    assert (status, refused["error"]) == (403, "ForbiddenError")
    assert stack.call("GET", f"/v1/models/{MODEL}")[1]["champion"] == 1
    status, second = approve(business, "bob")
    assert (status, second["stage"], [one["role"] for one in second["approvals"]]) == (
        200,
        "production",
        ["technical", "business"],
    ), second
    status, moved = stack.call(
        "POST", f"/v1/models/{MODEL}/rollback", {"why": "back for the tests that follow", "from_version": 2}
    )
    assert (status, moved["version"]) == (200, 1), moved


@contextmanager
def without_policy(stack: Stack, function: str) -> Iterator[None]:
    """Inside this block a function has no rights, and errors are expected."""
    iam = stack.client("iam")
    configuration = stack.functions.get_function_configuration(FunctionName=stack.names()[function])
    role = configuration["Role"].rsplit("/", 1)[1]
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    documents = {name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names}
    for name in documents:
        iam.delete_role_policy(RoleName=role, PolicyName=name)
    try:
        with stack.expecting_errors():
            yield
    finally:
        for name, document in documents.items():
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))


def test_a_function_may_do_what_its_policy_says_and_nothing_else(stack: Stack, ran: Run) -> None:
    """The tick loses its policy and fails; it gets it back and works."""
    with without_policy(stack, "StartDueRuns"), pytest.raises(StackError, match="AccessDenied"):
        stack.invoke("StartDueRuns", {"slot": DAY, "models": [MODEL]})
    assert stack.invoke("StartDueRuns", {"slot": DAY, "models": [MODEL]})["due"] == []


@pytest.mark.parametrize(("function", "queue"), [("ValidateUpload", "UploadQueue"), ("PromoteSilver", "PromoteQueue")])
def test_a_dead_letter_rings_and_is_redriven_into_silver_once(
    stack: Stack, ran: Run, tmp_path: Path, function: str, queue: str
) -> None:
    letters = DEAD_LETTERS[queue]
    path = tmp_path / "sample.csv"
    shutil.copy(ROOT / "events/sample.csv", path)
    drop = Drop(path, f"sales/tenant_id=dealer_01/dead-letter-of-{function}.csv")
    before = stack.redelivery(queue, seconds=1, receives=1)
    try:
        with without_policy(stack, function):
            stack.s3.upload_file(str(path), stack.outputs["LandingBucket"], drop.key)
            stack.wait(lambda: stack.waiting(letters) == 1, WAIT, "the dead letter")
    finally:
        stack.sqs.set_queue_attributes(QueueUrl=stack.outputs[queue], Attributes=before)
    assert rows_of(ran.lake, drop.key) == []
    # an alarm looks at the number that is 1 now
    name = stack.outputs[letters].rsplit("/", 1)[1]
    alarms = stack.client("cloudwatch").describe_alarms()["MetricAlarms"]
    [alarm] = [one for one in alarms if one["Dimensions"] == [{"Name": "QueueName", "Value": name}]]
    assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
    assert stack.redrive(queue) == 1
    stack.wait_for_queues(WAIT)
    assert rows_of(ran.lake, drop.key) == [2, 4]


def rows_of(lake: Lake, key: str) -> list[int]:
    """The lines of a landed file in Silver, each as often as it stands there."""
    found = lake.query(f"select _line from s where _source_key = '{key}'", s=lake.table_files("silver/sales"))
    return sorted(line for (line,) in found)


def test_a_run_that_failed_or_was_stopped_in_the_middle_is_unseen_and_goes_on_from_there(
    stack: Stack, ran: Run
) -> None:
    asked = {"model": MODEL, "as_of": LATER, "scope": "batch"}
    with without_policy(stack, "LabelShard"), pytest.raises(StackError, match="FAILED"):
        stack.run("ScorePopulation", "fails", asked, WAIT)
    assert scored(ran.lake) == [(0, 0)]
    written = ran.lake.times(LATER_RUN)
    assert written
    # MiniStack has no redrive-execution; a new execution with the same input does the same
    machine, states = stack.outputs["ScorePopulation"], stack.step_functions
    stopped = states.start_execution(stateMachineArn=machine, name="stopped", input=json.dumps(asked))["executionArn"]

    def building() -> bool:
        events = states.get_execution_history(executionArn=stopped)["events"]
        return any(one.get("stateEnteredEventDetails", {}).get("name") == "BuildFeatures" for one in events)

    stack.wait(building, WAIT, "the run to be on its way")
    states.stop_execution(executionArn=stopped)
    assert states.describe_execution(executionArn=stopped)["status"] == "ABORTED"
    assert scored(ran.lake) == [(0, 0)]
    receipt = stack.run("ScorePopulation", "goes-on", asked, WAIT)
    assert scored(ran.lake) == [(receipt["population"], receipt["population"])]
    assert written.items() <= ran.lake.times(LATER_RUN).items()


def scored(lake: Lake) -> list[tuple[int, ...]]:
    """How many rows and customers the run as of LATER has in gold/scores."""
    return lake.query(
        f"select count(*), count(distinct (tenant_id, customer_id)) from g where run like '{LATER_RUN}%'",
        g=lake.table_files("gold/scores"),
    )


def test_nobody_without_credentials_reads_the_lake(stack: Stack) -> None:
    anonymous = boto3.client("s3", endpoint_url=stack.endpoint, config=Config(signature_version=UNSIGNED))
    with pytest.raises(ClientError, match="AccessDenied"):
        anonymous.list_objects_v2(Bucket=stack.outputs["LakeBucket"])


def test_a_tenant_puts_files_by_link_or_with_its_own_policy_and_nothing_else(stack: Stack, ran: Run) -> None:
    landing, path = stack.outputs["LandingBucket"], "/v1/tenants/new_dealer"
    status, _ = stack.call("PUT", path, {"state": "onboarding", "why": "contract signed"})
    assert status == 200
    status, link = stack.call("POST", f"{path}/uploads", {"dataset": "sales", "file": "by-link.csv"})
    assert status == 200, link
    body = (ROOT / "events/sample.csv").read_bytes()
    sent = urllib.request.Request(link["url"], data=body, method="PUT", headers=link["headers"])  # noqa: S310 - our own address
    urllib.request.urlopen(sent).close()  # noqa: S310 - our own address
    stack.wait_for_queues(WAIT)
    assert len(ran.lake.keys("validation/sales/tenant_id=new_dealer/")) == 1
    iam = stack.client("iam")
    iam.create_user(UserName="new_dealer")
    status, policy = stack.call("GET", f"{path}/policy")
    assert status == 200
    iam.put_user_policy(UserName="new_dealer", PolicyName="uploads", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="new_dealer")["AccessKey"]
    tenant = boto3.client(
        "s3",
        endpoint_url=stack.endpoint,
        region_name=REGION,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        config=Config(s3={"addressing_style": "path"}),
    )
    tenant.put_object(Bucket=landing, Key="sales/tenant_id=new_dealer/by-role.csv", Body=body)
    with pytest.raises(ClientError, match="AccessDenied"):
        tenant.put_object(Bucket=landing, Key="sales/tenant_id=dealer_01/by-role.csv", Body=body)
    stack.wait_for_queues(WAIT)
    status, shown = stack.call("GET", path)
    assert (status, shown["datasets"]["sales"]["files"], shown["datasets"]["sales"]["rows"]) == (200, 2, 4)


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block[0])
def test_the_readme_s_commands_work_as_they_stand(
    stack: Stack, ran: Run, shell: dict[str, str], block: list[str]
) -> None:
    commands = [command for command in block if command not in ELSEWHERE and command != "make down"]
    prefix = "validation/sales/tenant_id=dealer_01/"
    before = set(ran.lake.keys(prefix))
    said = say("\n".join(commands).replace("build/stack/up", FOLDER), shell)
    if any(command.startswith("make") for command in commands):
        assert said
    if "make up" in commands:
        assert stack.endpoint in said
        stack.wait_for_queues(WAIT)
        [new] = set(ran.lake.keys(prefix)) - before
        report = ran.lake.json(new)
        assert (report["rows_in"], report["bronze"], report["quarantine"]) == (3, 2, 1)


@pytest.mark.parametrize("function", RIGHTS)
def test_a_role_does_what_its_function_is_for_and_nothing_else(stack: Stack, ran: Run, function: str) -> None:
    wrong, refused = overstepped(stack, function, RIGHTS[function])
    print(f"{function}: {refused} calls refused")
    assert wrong == []
    assert refused >= len(CALLS) - 3


def test_an_erasure_ends_under_its_own_role_whatever_names_the_person(stack: Stack) -> None:
    landing, lake = stack.outputs["LandingBucket"], stack.outputs["LakeBucket"]
    for key, body in FILES.items():
        stack.s3.put_object(Bucket=landing, Key=key, Body=body.encode())

    def reports() -> list[str]:
        listed = versions(stack, lake, "validation/")
        return [key for key, _ in listed if f"tenant_id={TENANT}/" in key or "tenant_id=unknown/" in key]

    stack.wait(lambda: len(reports()) >= len(FILES), 300, "reports of the files")
    ticket = {"request": "STACK-1", "why": "asked", "by": "test", "at": "2026-11-21T09:00:00Z"}
    answer = stack.invoke("EraseCustomer", {"tenant_id": TENANT, "customer_id": ID, **ticket})
    assert (answer["failed"], answer["proof"]["hits"]) == ({}, 0)
    assert {"landing", "quarantine", "reports", "versions"} <= set(answer["zones"])
    for bucket in (landing, lake):
        for key, version in versions(stack, bucket, ""):
            body = stack.s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read()
            assert MAIL not in key
            for said in (MAIL, "anna\\u002Bcars", "0\xa0111\xa022"):
                assert said.encode() not in body, key


def versions(stack: Stack, bucket: str, prefix: str) -> list[tuple[str, str]]:
    """Every version of every object: key and version id."""
    pages = stack.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    return [(one["Key"], one["VersionId"]) for page in pages for one in page.get("Versions", ())]


def test_another_tenant_s_file_is_reported_within_a_minute_while_five_hostile_ones_wait(stack: Stack, ran: Run) -> None:
    waited = hostile.drop_and_wait(stack, ran.lake, seconds=60)
    print(f"the small file had its report after {waited:.1f} s")
    [small] = hostile.reports(ran.lake, hostile.OTHER).values()
    assert (small["bronze"], small["quarantine"]) == (2, 1)
    stack.wait_for_queues(WAIT)  # no hostile file ends in the dead letters
    told = hostile.reports(ran.lake, hostile.HOSTILE)
    for name, _, why in hostile.files():
        for report in (told.pop(f"first/{name}"), told.pop(f"again/{name}")):
            assert why in report.get("why", ""), report
            assert why or report["quarantine"] == report["rows_in"] > 10_000
    assert told == {}


def test_no_route_answers_5xx_over_http_or_says_where_things_are_stored(stack: Stack, ran: Run) -> None:
    """The last test: what it sends changes records and models, and starts trainings."""
    answered = fuzz.answers(stack)
    statuses = Counter(one.status for one in answered)
    print(f"{len(answered)} requests: {dict(sorted(statuses.items()))}")
    faults = [(one.sent, one.text[:300], why) for one in answered if (why := fuzz.fault(stack, one))]
    assert faults == []
    assert len(answered) >= 500
    assert sum(one.sent.nobody for one in answered) >= 4 * sum("{tenant}" in path for _, _, path in routes())
    assert {one.sent.route for one in answered} == {f"{method} {path}" for _, method, path in routes()}
    # the inputs get past the first check: some are right, and some name what is not there
    assert {200, 400, 404} <= set(statuses)
