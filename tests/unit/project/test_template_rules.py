"""template.yaml and the workflows keep the rules of the design."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml

from propensity.registry.pinned import OPEN

ROOT = Path(__file__).resolve().parents[3]
TEMPLATE: dict[str, Any] = cfn_yaml.load(str(ROOT / "template.yaml"))
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
WORKFLOWS = sorted((ROOT / "functions/workflows").glob("*.asl.json"))
# actions for which AWS takes no resource, and those that SAM adds for X-Ray and logs; the template writes none of them
ALLOWED_STARS: set[str] = set()
# functions that may overwrite and remove what was written once; people call them with a ticket
ERASERS = {"EraseCustomer", "EraseTenant"}


def of_type(kind: str) -> dict[str, Any]:
    return {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == kind}


FUNCTIONS = of_type("AWS::Serverless::Function")


def events(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, function in FUNCTIONS.items():
        for event in function.get("Events", {}).values():
            if event["Type"] == kind:
                yield name, event["Properties"]


def queue_of(reference: Any) -> str:
    return str(reference["Fn::GetAtt"][0])


def test_every_folder_of_functions_is_a_function_and_the_other_way_round() -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}
    assert {function["CodeUri"].strip("/").split("/")[1] for function in FUNCTIONS.values()} == folders


@pytest.mark.parametrize(("name", "event"), list(events("SQS")))
def test_a_message_stays_hidden_longer_than_its_work_can_take(name: str, event: dict[str, Any]) -> None:
    queue = RESOURCES[queue_of(event["Queue"])]["Properties"]
    window = event.get("MaximumBatchingWindowInSeconds", 0)
    assert queue["VisibilityTimeout"] >= 6 * FUNCTIONS[name]["Timeout"] + window
    assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_files_are_validated_one_at_a_time() -> None:
    [size] = [event["BatchSize"] for name, event in events("SQS") if name == "ValidateUpload"]
    assert size == 1


def test_every_queue_that_is_read_and_every_schedule_has_a_dead_letter_queue() -> None:
    for _, event in events("SQS"):
        policy = RESOURCES[queue_of(event["Queue"])]["Properties"]["RedrivePolicy"]
        letters = RESOURCES[policy["deadLetterTargetArn"]["Fn::GetAtt"][0]]["Properties"]
        assert policy["maxReceiveCount"] >= 5
        assert letters["MessageRetentionPeriod"] == 1_209_600
    schedules = list(events("ScheduleV2"))
    assert len(schedules) == 11
    for _, event in schedules:
        assert event["DeadLetterConfig"]["Type"] == "SQS"


def test_what_keeps_failing_has_an_alarm() -> None:
    watched = json.dumps([alarm["Dimensions"] for alarm in of_type("AWS::CloudWatch::Alarm").values()])
    letters = [name for name in of_type("AWS::SQS::Queue") if name.endswith("DeadLetters")]
    assert letters
    scheduled = [name for name, _ in events("ScheduleV2")]
    letters += [event["DeadLetterConfig"]["QueueLogicalId"] for _, event in events("ScheduleV2")]
    for name in [*letters, *of_type("AWS::Serverless::StateMachine"), *scheduled]:
        assert f'"{name}"' in watched, name
    assert all("AlarmActions" in alarm for alarm in of_type("AWS::CloudWatch::Alarm").values())


@pytest.mark.parametrize(
    ("metric", "watched"),
    [
        ("5XXError", "AWS::StackName"),
        ("Errors", "ServeScores"),
        ("Throttles", "ServeScores"),
        ("ChampionStale", "AWS::StackName"),
        ("OnlineTableRefused", "AWS::StackName"),
        ("CustomersNotScored", "AWS::StackName"),
        ("AnswersNotLogged", "AWS::StackName"),
        ("FallbackPercent", "AWS::StackName"),
    ],
)
def test_what_a_caller_of_the_api_would_notice_has_an_alarm(metric: str, watched: str) -> None:
    alarms = [one for one in of_type("AWS::CloudWatch::Alarm").values() if one["MetricName"] == metric]
    [alarm] = [one for one in alarms if f'"{watched}"' in json.dumps(one["Dimensions"])]
    if alarm["Namespace"] == "Propensity":
        # a metric of our own is counted in the code, without a dimension besides the service
        source = "".join(path.read_text() for path in (ROOT / "shared/src/propensity").rglob("*.py"))
        assert re.search(rf'metrics\.count\("{metric}"(, [^=)]+(\(\w+\))?)?\)', source), metric


def test_buckets_take_encrypted_connections_only_and_the_online_table_can_be_put_back() -> None:
    policies = {one["Bucket"]["Ref"]: one for one in of_type("AWS::S3::BucketPolicy").values()}
    assert set(policies) == set(of_type("AWS::S3::Bucket"))
    for bucket, policy in policies.items():
        written = [one["Fn::If"][1] if "Fn::If" in one else one for one in policy["PolicyDocument"]["Statement"]]
        [deny] = [one for one in written if one["Sid"] == "TlsOnly"]
        assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "s3:*")
        assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert deny["Resource"] == [{"Fn::GetAtt": [bucket, "Arn"]}, {"Fn::Sub": f"${{{bucket}.Arn}}/*"}]
    [table] = of_type("AWS::DynamoDB::Table").values()
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_the_lake_and_the_landing_bucket_keep_what_was_overwritten() -> None:
    for bucket in of_type("AWS::S3::Bucket").values():
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}


def test_scores_and_trials_have_limits_of_their_own_beside_everybody_s() -> None:
    limits = {(one["HttpMethod"], one["ResourcePath"]): one for one in RESOURCES["Api"]["Properties"]["MethodSettings"]}
    assert len(limits) == 3
    paths = {path.replace("~1", "/").removeprefix("/") for _, path in limits}
    assert paths == {"*", "/v1/tenants/{tenant}/scores", "/v1/tenants/{tenant}/checks"}
    for one in limits.values():
        assert 0 < one["ThrottlingRateLimit"] <= one["ThrottlingBurstLimit"]
    trials = next(one for (_, path), one in limits.items() if path.endswith("checks"))
    # a trial reads a file in the call: few at once, whatever the others may do
    assert trials["ThrottlingRateLimit"] <= 10


def test_each_call_of_the_api_is_logged_without_its_body() -> None:
    condition, logged, _ = RESOURCES["Api"]["Properties"]["AccessLogSetting"]["Fn::If"]
    assert TEMPLATE["Parameters"]["ApiAccessLog"]["Default"] == "true"
    assert TEMPLATE["Conditions"][condition]
    said = json.loads(logged["Format"])
    assert {"$context.identity.userArn", "$context.path", "$context.status"} <= set(said.values())
    assert "body" not in logged["Format"].lower()


def test_only_committers_write_a_tables_log() -> None:
    writers = {
        name
        for name, statement in statements()
        if statement["Effect"] == "Allow" and "s3:PutObject" in actions(statement)
        for resource in map(json.dumps, statement["Resource"])
        if re.search(r"/(silver|gold/[a-z_]+|features)/\*", resource)
    }
    denied = {name for name, statement in statements() if statement["Effect"] == "Deny"}
    assert denied <= writers
    committers = {
        "PromoteSilver",
        "CommitRun",
        "RunMatchback",
        "CheckDrift",
        "AuditFeatures",
        "LogInference",
        "MaintainTables",
        "CheckReferences",
        "ResolveIdentities",
        "CheckQuarantine",
        "RebucketSilver",
        "RebuildSilver",
        "BuildExport",
        "ReviewCustomers",
    }
    assert writers - denied == committers | ERASERS


def test_one_metric_counts_tenants_and_none_is_kept_per_tenant() -> None:
    [alarm] = [one for one in of_type("AWS::CloudWatch::Alarm").values() if one["MetricName"] == "TenantsBreaching"]
    # the dimension that Powertools adds to a metric without one of its own
    assert alarm["Dimensions"] == [{"Name": "service", "Value": {"Ref": "AWS::StackName"}}]
    source = "".join(path.read_text() for path in (ROOT / "shared/src/propensity").rglob("*.py"))
    assert not re.search(r"metrics\.count\([^)]*tenant", source)


def test_only_the_landing_bucket_has_events_and_nothing_of_ours_writes_there() -> None:
    reading = {"s3:GetObject", "s3:GetObjectVersion", "s3:ListBucketVersions"}
    announcing = [name for name, bucket in of_type("AWS::S3::Bucket").items() if "NotificationConfiguration" in bucket]
    assert announcing == ["LandingBucket"]
    touching = [(name, one) for name, one in statements() if "LandingBucket" in json.dumps(one["Resource"])]
    signing = [(name, one) for name, one in touching if one["Sid"] == "SignUploads"]
    # who signs a link lends it this permission, and puts nothing itself (test_manage_tenants.py)
    assert [(name, actions(one)) for name, one in signing] == [("ManageTenants", ["s3:PutObject"])]
    for name, statement in touching:
        if statement["Sid"] != "SignUploads":
            removing = {"s3:DeleteObjectVersion"} if name in ERASERS else set()
            assert set(actions(statement)) <= reading | removing, name


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("AWS::Serverless::Function", "AWS::Serverless::StateMachine"):
        for name, one in of_type(kind).items():
            for policy in one.get("Policies", []):
                for statement in policy["Statement"]:
                    yield name, statement


def actions(statement: dict[str, Any]) -> list[str]:
    found = statement["Action"]
    return [found] if isinstance(found, str) else list(found)


def test_no_policy_allows_every_action_or_every_resource() -> None:
    checked = 0
    for name, statement in statements():
        resources = statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            assert resource != "*", name
        for action in actions(statement):
            assert "*" not in action or action in ALLOWED_STARS, (name, action)
            checked += 1
    assert checked > 50


def test_only_maintenance_and_erasures_can_delete() -> None:
    deleting = [(name, one) for name, one in statements() if any("Delete" in action for action in actions(one))]
    assert {name for name, _ in deleting} == {"MaintainTables"} | ERASERS
    zones: dict[tuple[str, str], set[str]] = {}
    for name, statement in deleting:
        for one in statement["Resource"]:
            bucket, _, zone = one["Fn::Sub"].partition(".Arn}/")
            zones.setdefault((name, bucket.removeprefix("${")), set()).add(zone)
    assert zones == {
        ("MaintainTables", "LakeBucket"): {"silver/*", "features/*", "gold/*"},
        # a person can stand in a file of no tenant
        ("EraseCustomer", "LandingBucket"): {"*"},
        ("EraseTenant", "LandingBucket"): {"*/tenant_id=*"},
        # old versions of the lake's objects, wherever they lie
        ("EraseCustomer", "LakeBucket"): {"*"},
        ("EraseTenant", "LakeBucket"): {"*"},
    }
    versions_only = {name for name, one in deleting if "s3:DeleteObject" not in actions(one)}
    assert versions_only == ERASERS


def states(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in machine["States"].items():
        yield name, state
        if state["Type"] == "Map":
            yield from states(state["ItemProcessor"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_maps_are_distributed_bounded_and_write_their_results_to_s3(path: Path) -> None:
    maps = [state for _, state in states(json.loads(path.read_text())) if state["Type"] == "Map"]
    # a list is one tenant's, and is made by one call
    assert bool(maps) == (path.name != "export_list.asl.json")
    for state in maps:
        if state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "INLINE":
            # a few executions, one after the other: each has Maps of its own, and leaves nothing in the state
            tasks = [one for one in state["ItemProcessor"]["States"].values() if one["Type"] == "Task"]
            assert {one["Resource"] for one in tasks} == {"arn:aws:states:::states:startExecution.sync:2"}
            assert all(one["ResultPath"] is None for one in tasks)
            assert (state["MaxConcurrency"], state["ResultPath"]) == (1, None)
            continue
        assert state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
        assert 1 <= state["MaxConcurrency"] <= 1_000
        assert state["ResultWriter"]["Resource"] == "arn:aws:states:::s3:putObject"
        assert state["ItemReader"]["ReaderConfig"]["InputType"] == "JSON"
        assert "ItemBatcher" not in state
        assert state["ResultPath"] is None


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_task_is_retried_for_what_can_pass_and_for_nothing_else(path: Path) -> None:
    for name, state in states(json.loads(path.read_text())):
        if state["Type"] == "Task" and "lambda:invoke" in state["Resource"]:
            [retry] = state["Retry"]
            assert "RetryableError" in retry["ErrorEquals"], name
            assert not {"States.ALL", "States.TaskFailed"} & set(retry["ErrorEquals"]), name
            assert retry["JitterStrategy"] == "FULL"
            assert "Catch" not in state, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_names_only_what_the_template_gives_it(path: Path) -> None:
    [machine] = [
        one for one in of_type("AWS::Serverless::StateMachine").values() if one["DefinitionUri"].endswith(path.name)
    ]
    text = path.read_text()
    named = {part.split("}")[0] for part in text.split("${")[1:]}
    assert named == set(machine["DefinitionSubstitutions"])


def after_registration(
    told: dict[str, Any], answer: dict[str, Any], refused: frozenset[str] = frozenset()
) -> list[str]:
    """The names of the batches that a training starts once its version is registered, as the state machine is written.

    `refused` are names that earlier executions had.
    """
    machine = json.loads((ROOT / "functions/workflows/train_model.asl.json").read_text())["States"]
    data = {**told, "registered": {"answer": answer}}

    def at(path: str) -> Any:
        found: Any = data
        for part in path.removeprefix("$.").split("."):
            found = found[part] if isinstance(found, dict) and part in found else None
        return found

    def holds(rule: dict[str, Any]) -> bool:
        if "And" in rule:
            return all(map(holds, rule["And"]))
        value = at(rule["Variable"])
        return (value is not None) == rule["IsPresent"] if "IsPresent" in rule else value is rule["BooleanEquals"]

    name, started = machine["RegisterModel"]["Next"], []
    while True:
        state = machine[name]
        if state["Type"] == "Choice":
            name = next((rule["Next"] for rule in state["Choices"] if holds(rule)), state["Default"])
            continue
        if state["Type"] == "Task":
            assert state["Parameters"]["Input"]["scope"] == "batch"
            text, *paths = re.findall(r"'([^']*)'|(\$[\w.]+)", state["Parameters"]["Name.$"])
            wanted = text[0].format(*(at(path) for _, path in paths))
            assert at(state["Parameters"]["Input"]["as_of.$"]) in wanted
            if wanted in refused:
                [caught] = state["Catch"]
                assert caught["ErrorEquals"] == ["StepFunctions.ExecutionAlreadyExistsException"]
                name = caught["Next"]
                continue
            started.append(wanted)
        elif "InputPath" in state:
            data[state["ResultPath"].removeprefix("$.")] = at(state["InputPath"])
        if state.get("End"):
            return started
        name = state["Next"]


def test_a_version_that_became_champion_scores_everybody_whatever_its_training_was_for() -> None:
    told = {"model": "buy", "as_of": "2025-06-17", "then_score": False}
    champion = {"as_of": "2025-06-17", "version": 4, "promoted": True, "waits": False}
    batch = "score-buy-2025-06-17-batch"
    assert after_registration(told, champion) == [f"{batch}-v4"]
    assert after_registration({**told, "scores_as_of": "2025-07-01"}, champion) == ["score-buy-2025-07-01-batch-v4"]
    due = {**told, "then_score": True}
    assert after_registration(due, champion) == [batch]
    # this training took longer than a day, so the former champion has scored the day under that name
    assert after_registration(due, champion, frozenset({batch})) == [f"{batch}-v4"]
    assert after_registration(due, champion, frozenset({batch, f"{batch}-v4"})) == []
    stays = {**champion, "promoted": False}
    assert after_registration(told, stays) == []
    assert after_registration(due, stays) == [batch]
    assert after_registration(due, {**stays, "waits": True}) == []
    started = {name: one["Resource"] for name, one in statements() if one["Sid"] == "StartScoring"}
    assert started["TrainModel"] == {"Ref": "ScorePopulation"}
    assert set(started) == {"TrainModel", "ExportList"}


def test_every_route_of_the_api_is_signed() -> None:
    authorization = RESOURCES["Api"]["Properties"]["Auth"]
    assert authorization["DefaultAuthorizer"] == "AWS_IAM"
    # with the caller's credentials each caller would need lambda:InvokeFunction, and could claim who signed
    assert authorization["InvokeRole"] == "NONE"
    routes = {(event["Method"], event["Path"]) for _, event in events("Api")}
    assert routes == {
        ("POST", "/v1/tenants/{tenant}/scores"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{model}"),
        ("GET", "/v1/runs/{model}"),
        ("GET", "/v1/models/{model}/versions/{version}/card"),
        ("POST", "/v1/models/{model}/promote"),
        ("POST", "/v1/models/{model}/approvals"),
        ("POST", "/v1/models/{model}/rollback"),
        ("POST", "/v1/models/{model}/release"),
        ("POST", "/v1/models/{model}/backtests"),
        ("GET", "/v1/models/{model}/backtests"),
        ("GET", "/v1/models/{model}/backtests/{backtest}"),
        ("POST", "/v1/models/{model}/recalibrate"),
        ("GET", "/v1/models/{model}/retraining"),
        ("POST", "/v1/models/{model}/retraining"),
        ("GET", "/v1/features"),
        ("GET", "/v1/features/diff"),
        ("GET", "/v1/tenants/{tenant}/landings/{day}"),
        ("POST", "/v1/tenants/{tenant}/explanations"),
        ("GET", "/v1/tenants/{tenant}/models"),
        ("GET", "/v1/tenants/{tenant}/readiness"),
        ("GET", "/v1/tenants"),
        ("GET", "/v1/tenants/{tenant}"),
        ("PUT", "/v1/tenants/{tenant}"),
        ("GET", "/v1/tenants/{tenant}/policy"),
        ("POST", "/v1/tenants/{tenant}/uploads"),
        ("POST", "/v1/tenants/{tenant}/checks"),
        ("POST", "/v1/tenants/{tenant}/retractions"),
        ("POST", "/v1/tenants/{tenant}/exports"),
        ("GET", "/v1/tenants/{tenant}/exports"),
        ("GET", "/v1/tenants/{tenant}/exports/{export}"),
        ("POST", "/v1/tenants/{tenant}/exports/{export}/recall"),
        ("GET", "/v1/tenants/{tenant}/exports/plan"),
        ("GET", "/v1/tenants/{tenant}/reviews"),
        ("POST", "/v1/tenants/{tenant}/reviews"),
    }
    for _, event in events("Api"):
        assert "Auth" not in event


def test_an_unknown_route_is_told_as_one_that_may_be_unsigned_in_json() -> None:
    answer = RESOURCES["Api"]["Properties"]["GatewayResponses"]["MISSING_AUTHENTICATION_TOKEN"]
    assert answer["StatusCode"] == 403
    said = json.loads(answer["ResponseTemplates"]["application/json"])
    assert said["error"] == "ForbiddenError"
    assert said["message"].startswith("no such route, or the call is not signed")


def test_a_function_has_the_variables_that_its_ports_read() -> None:
    variables = {
        name: set(function.get("Environment", {}).get("Variables", {})) for name, function in FUNCTIONS.items()
    }
    assert all("LAKE_BUCKET" in found for found in variables.values())
    reading = {"ValidateUpload", "ReplayQuarantine", "ReportLandings", "ManageTenants"} | ERASERS
    assert {name for name, found in variables.items() if "LANDING_BUCKET" in found} == reading
    assert {name for name, found in variables.items() if "ONLINE_TABLE" in found} == {
        "PublishScores",
        "ServeScores",
    } | ERASERS


def expiring(bucket: str) -> dict[str, tuple[str, Any]]:
    """For each zone where a rule removes objects by age: the rule's condition, and the parameter of its days."""
    found = {}
    for rule in RESOURCES[bucket]["Properties"]["LifecycleConfiguration"]["Rules"]:
        if "Fn::If" not in rule:
            # without a condition, only parts of unfinished uploads are removed, and the lake's old versions
            assert set(rule) - {"Id", "Status"} in (
                {"AbortIncompleteMultipartUpload"},
                {"NoncurrentVersionExpiration", "ExpiredObjectDeleteMarker"},
            )
            continue
        condition, then, otherwise = rule["Fn::If"]
        days = then.get("ExpirationInDays") or then["NoncurrentVersionExpiration"]["NoncurrentDays"]
        assert otherwise == {"Ref": "AWS::NoValue"}
        assert then["Status"] == "Enabled"
        found[then.get("Prefix", then["Id"])] = (condition, days["Ref"])
    return found


def test_zones_that_may_expire_do_so_by_a_parameter_and_no_other_zone_has_a_rule() -> None:
    zones = expiring("LandingBucket") | expiring("LakeBucket")
    assert {zone: parameter for zone, (_, parameter) in zones.items()} == {
        "Landing": "LandingDays",
        "LandingOldVersions": "LandingOldVersionDays",
        "quarantine/": "QuarantineDays",
        "validation/": "ValidationDays",
        "runs/": "RunsDays",
        "exports/": "ExportDays",
    }
    for condition, parameter in zones.values():
        [compared] = TEMPLATE["Conditions"][condition]["Fn::Not"]
        named, never = compared["Fn::Equals"]
        assert (named, str(never)) == ({"Ref": parameter}, "0")


def test_nothing_that_models_and_replays_need_expires_unless_it_is_asked_for() -> None:
    parameters = TEMPLATE["Parameters"]
    defaults = {parameter: str(parameters[parameter]["Default"]) for _, parameter in expiring("LakeBucket").values()}
    assert defaults == {"QuarantineDays": "0", "ValidationDays": "0", "RunsDays": "0", "ExportDays": "30"}
    assert {str(parameters[parameter]["Default"]) for _, parameter in expiring("LandingBucket").values()} == {"0"}


@pytest.mark.parametrize(("days", "taken"), [("0", True), ("61", True), ("99", True), ("400", True), ("60", False)])
def test_runs_outlive_what_maintenance_pins(days: str, taken: bool) -> None:
    assert bool(re.fullmatch(TEMPLATE["Parameters"]["RunsDays"]["AllowedPattern"], days)) == taken
    assert timedelta(days=60) == OPEN
    assert not re.fullmatch(TEMPLATE["Parameters"]["RunsDays"]["AllowedPattern"], "7")
