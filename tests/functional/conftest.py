"""What suites share: an account as template.yaml makes it, and lakes made once a worker. Change a copy of one only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace

import boto3
import pytest

from propensity.runtime import composition, settings
from tests.kit.handlers import create_online_table
from tests.kit.registries import let_leave
from tests.kit.world import World
from tests.stack.automotive import AS_OF, Generated, generate


@pytest.fixture(scope="session")
def dealers(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    """Two dealers with equal rates, so that one model without a ladder says all of them."""
    return generate(tmp_path_factory.mktemp("dealers"), dealers=2, customers=1_200, alike=True)


@pytest.fixture(scope="session")
def history(dealers: Generated, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A lake with the dealers' history in Silver."""
    world = World("automotive", tmp_path_factory.mktemp("history"), rows_per_item=4_000)
    world.load(dealers.phases["history"])
    return world


@pytest.fixture(scope="session")
def trained(history: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """`history` with a champion of `service`, and no score yet."""
    world = history.copy(tmp_path_factory.mktemp("trained")).with_dates(4)
    world.train("service", AS_OF.isoformat())
    return world


@pytest.fixture(scope="session")
def scored(trained: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """`trained` with everyone scored, and its lists released by two people."""
    world = trained.copy(tmp_path_factory.mktemp("scored"))
    world.score("service", AS_OF.isoformat())
    let_leave(world.lake, "service", 1)
    return world


@pytest.fixture
def aws(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """An account in moto, and the variables that template.yaml would give a function."""
    s3, sqs, dynamodb = boto3.client("s3"), boto3.client("sqs"), boto3.client("dynamodb")
    for bucket in ("landing", "lake"):
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket="landing", VersioningConfiguration={"Status": "Enabled"})
    create_online_table(dynamodb)
    role = boto3.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    machine = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    create = boto3.client("stepfunctions").create_state_machine
    variables = {
        "PACK": "automotive",
        "LANDING_BUCKET": "landing",
        "LAKE_BUCKET": "lake",
        "ONLINE_TABLE": "online",
        "PROMOTE_QUEUE_URL": sqs.create_queue(QueueName="promotions")["QueueUrl"],
        "INFERENCE_QUEUE_URL": sqs.create_queue(QueueName="inferences")["QueueUrl"],
        "TRAIN_MACHINE_ARN": create(name="train", definition=machine, roleArn=role)["stateMachineArn"],
        "SCORE_MACHINE_ARN": create(name="score", definition=machine, roleArn=role)["stateMachineArn"],
        "EXPORT_MACHINE_ARN": create(name="export", definition=machine, roleArn=role)["stateMachineArn"],
        "BACKTEST_MACHINE_ARN": create(name="backtest", definition=machine, roleArn=role)["stateMachineArn"],
        "POWERTOOLS_SERVICE_NAME": "test",
        "POWERTOOLS_METRICS_NAMESPACE": "Test",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    caches = (settings.settings, composition.ports, composition._client)
    for cached in caches:
        cached.cache_clear()
    yield SimpleNamespace(s3=s3, sqs=sqs, variables=variables)
    for cached in caches:
        cached.cache_clear()
