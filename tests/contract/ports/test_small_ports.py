"""What every adapter of the online table, the queues, the workflows, the metrics and the frames promises."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from propensity.adapters.arro3_frames import Arro3Frames
from propensity.adapters.dynamo_online import DynamoOnline
from propensity.adapters.emf_metrics import EmfMetrics
from propensity.adapters.frames import ArrowFrames
from propensity.adapters.sqs_queue import SqsQueue
from propensity.adapters.step_functions import StepFunctions
from propensity.kernel.errors import NotFoundError, SettingError
from propensity.ports import Coded, Frames, ListColumn, OnlineScore, OnlineTable
from tests.fakes.memory import MemoryOnline, MemoryQueue, MemoryWorkflows
from tests.kit.handlers import create_online_table

SCORE = OnlineScore(
    tenant_id="t",
    customer_id="c",
    model="m",
    version=1,
    score=0.1234567890123,
    percentile=91,
    decile=10,
    as_of="2025-07-01",
    run="runs/score/m/2025-07-01-v000001-batch",
    feature_set="f",
    vector=np.array([1.5, np.nan], dtype=np.float32).tobytes(),
    reasons=("visits: 3 (raises)", "Umlaut ä"),
)


@pytest.fixture(params=["memory", "dynamo"])
def online(request: pytest.FixtureRequest) -> OnlineTable:
    if request.param == "memory":
        return MemoryOnline()
    request.getfixturevalue("moto")
    client = boto3.client("dynamodb")
    create_online_table(client)
    return DynamoOnline(client, "online")


def test_a_score_is_read_back_as_it_was_written(online: OnlineTable) -> None:
    online.put_many([SCORE])
    assert online.get_many("t", ["c", "nobody", "c"], "m", 1) == [SCORE]
    assert online.get_many("t", ["c"], "m", 2) == []
    assert online.get_many("other", ["c"], "m", 1) == []
    assert online.get_many("t", [], "m", 1) == []


def test_the_highest_version_that_scored_a_customer_is_its_newest(online: OnlineTable) -> None:
    second = replace(SCORE, version=2, score=0.2)
    other = replace(SCORE, model="m2", version=9)
    alone = replace(SCORE, customer_id="c2")
    online.put_many([second, SCORE, other, alone])
    assert online.newest("t", ["c", "nobody", "c2", "c"], "m") == [second, alone]
    assert online.newest("t2", ["c"], "m") == []


@pytest.mark.parametrize("broken", ["score", "vector", "reasons", "as_of"])
def test_an_item_that_is_no_score_takes_no_other_down(moto: str, broken: str) -> None:
    client = boto3.client("dynamodb")
    create_online_table(client)
    online = DynamoOnline(client, "online")
    online.put_many([SCORE, replace(SCORE, customer_id="c2")])
    [item] = client.query(
        TableName="online", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "1:t#c2"}}
    )["Items"]
    client.put_item(TableName="online", Item={**item, broken: {"NULL": True}})
    found = {one.customer_id: one for one in online.get_many("t", ["c", "c2"], "m", 1)}
    assert found["c"] == SCORE
    assert found["c2"].vector == b""


def test_an_id_that_is_too_long_for_a_key_takes_no_other_score_down(online: OnlineTable) -> None:
    longest, longer = replace(SCORE, customer_id="é" * 950), replace(SCORE, customer_id="é" * 951)
    online.put_many([longer, longest, SCORE])
    ids = [longer.customer_id, longest.customer_id, "c"]
    assert sorted(online.get_many("t", ids, "m", 1), key=lambda one: one.customer_id) == [SCORE, longest]
    assert len(online.newest("t", ids, "m")) == 2
    assert online.remove("t", ids) == 2


def test_more_scores_than_one_request_holds(online: OnlineTable) -> None:
    many = [replace(SCORE, customer_id=f"c{number:03d}") for number in range(230)]
    online.put_many(many)
    found = online.get_many("t", [one.customer_id for one in many], "m", 1)
    assert sorted(found, key=lambda one: one.customer_id) == many


def test_an_older_score_never_replaces_a_newer(online: OnlineTable) -> None:
    online.put_many([SCORE])
    online.put_many([replace(SCORE, as_of="2025-06-30", score=0.9)])
    assert online.get_many("t", ["c"], "m", 1) == [SCORE]
    newer = replace(SCORE, as_of="2025-07-02", score=0.9)
    online.put_many([newer])
    assert online.get_many("t", ["c"], "m", 1) == [newer]


def test_no_two_pairs_of_tenant_and_customer_share_a_place(online: OnlineTable) -> None:
    pair = [replace(SCORE, tenant_id="a", customer_id="b#c"), replace(SCORE, tenant_id="a#b", customer_id="c")]
    online.put_many(pair)
    assert [online.get_many(one.tenant_id, [one.customer_id], "m", 1) for one in pair] == [[one] for one in pair]


def test_all_scores_of_a_customer_go_or_all_of_a_tenant_and_nobody_elses(online: OnlineTable) -> None:
    mine = [replace(SCORE, model=model, version=version) for model in ("m", "n") for version in range(1, 20)]
    others = [replace(SCORE, customer_id=f"c{number}") for number in range(30)]
    stranger = replace(SCORE, tenant_id="t2")
    online.put_many([*mine, *others, stranger])
    assert online.remove("t", ["c", "nobody"]) == len(mine)
    assert online.get_many("t", ["c"], "m", 1) == []
    assert online.get_many("t", ["c7"], "m", 1) == [others[7]]
    assert online.remove("t", ["c"]) == 0
    assert online.remove("t", None) == len(others)
    assert online.get_many("t", [one.customer_id for one in others], "m", 1) == []
    assert online.get_many("t2", ["c"], "m", 1) == [stranger]


def test_a_queue_carries_a_message_whole(moto: str) -> None:
    client = boto3.client("sqs")
    url = client.create_queue(QueueName="q")["QueueUrl"]
    memory, message = MemoryQueue(), {"name": "é", "rows": 3, "inner": {"a": None}}
    SqsQueue(client, url).send(message)
    memory.send(message)
    [received] = client.receive_message(QueueUrl=url)["Messages"]
    assert [json.loads(received["Body"])] == memory.messages == [message]


def test_a_workflow_of_one_name_starts_once_and_says_whether_it_runs(moto: str) -> None:
    role = boto3.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client = boto3.client("stepfunctions")
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    arn = client.create_state_machine(name="s", definition=definition, roleArn=role)["stateMachineArn"]
    memory, real = MemoryWorkflows(), StepFunctions(client, {"score": arn})
    for port in (memory, real):
        assert [port.start("score", "one", payload) for payload in ({"a": 1}, {"a": 1}, {"a": 2})] == [
            True,
            True,
            False,
        ]
    [execution] = client.list_executions(stateMachineArn=arn)["executions"]
    told = client.describe_execution(executionArn=execution["executionArn"])
    assert {("score", told["name"]): json.loads(told["input"])} == memory.started == {("score", "one"): {"a": 1}}
    for port in (memory, real):
        [running] = port.recent("score", "n", 5)
        assert port.find("score", "one") == running
        assert (running.name, running.payload, running.state) == ("one", {"a": 1}, "running")
        assert (running.ended, running.reason) == (None, None)
        assert port.find("score", "never") is None
        assert port.recent("score", "never", 5) == port.recent("score", "n", 0) == []
    client.stop_execution(executionArn=execution["executionArn"])
    memory.fail("aborted")
    for port in (memory, real):
        failed = port.find("score", "one")
        assert failed is not None
        assert (failed.state, failed.reason) == ("failed", "aborted")
        assert failed.ended is not None
    # a name is taken for 90 days after its execution has ended, however it ended
    assert [port.start("score", "one", {"a": 1}) for port in (memory, real)] == [False, False]
    assert [port.start("score", "two", {"a": 1}) for port in (memory, real)] == [True, True]
    assert [[one.name for one in port.recent("score", "", 5)] for port in (memory, real)] == [["two", "one"]] * 2
    with pytest.raises(SettingError, match="workflow score: its ARN is not set"):
        StepFunctions(client, {"score": None}).find("score", "one")
    with pytest.raises(NotFoundError, match="'train': expected one of score"):
        real.start("train", "one", {})


class States:
    """Step Functions whose one execution failed in a work item of a Map."""

    exceptions = SimpleNamespace(ExecutionDoesNotExist=KeyError)

    def __init__(self, **told: str) -> None:
        began = datetime(2026, 1, 1, tzinfo=UTC)
        self.told = {"name": "n", "status": "FAILED", "input": "{}", "startDate": began, "stopDate": began, **told}

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        cause = json.dumps({"errorMessage": "model m: feature f has no value", "errorType": "EvidenceError"})
        item = {"status": "FAILED", "error": "EvidenceError", "cause": cause}
        return item if executionArn == "item" else self.told

    def list_map_runs(self, executionArn: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        return {"mapRuns": [{"mapRunArn": "built"}, {"mapRunArn": "fitted"}]}

    def list_executions(self, mapRunArn: str, statusFilter: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        return {"executions": [{"executionArn": "item"}] if (mapRunArn, statusFilter) == ("fitted", "FAILED") else []}


class Refusing(States):
    """Step Functions of a caller who may not look into a Map."""

    def list_map_runs(self, executionArn: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListMapRuns")


def test_a_failed_execution_says_why_and_a_failed_map_says_what_its_work_item_said() -> None:
    def reason(states: type[States] = States, **told: str) -> str | None:
        found = StepFunctions(states(**told), {"m": "arn:stateMachine:m"}).find("m", "n")
        assert found is not None
        return found.reason

    cause = "The specified tolerated failure threshold was exceeded"
    failed = "EvidenceError: model m: feature f has no value"
    assert reason(error="States.ExceedToleratedFailureThreshold", cause=cause) == failed
    assert (
        reason(error="EvidenceError", cause='{"errorMessage": "no rows", "stackTrace": []}') == "EvidenceError: no rows"
    )
    assert reason(error="States.Runtime", cause="no such path") == "States.Runtime: no such path"
    assert reason(status="TIMED_OUT") == "timed out"
    threshold = "States.ExceedToleratedFailureThreshold"
    assert reason(Refusing, error=threshold, cause=cause) == f"{threshold}: {cause}"
    assert reason(status="RUNNING") is None


def test_a_metric_is_one_line_of_the_embedded_format(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Test")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "service")
    EmfMetrics().count("RowsIn", 7, dataset="sales")
    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["RowsIn"], line["dataset"]) == ([7.0], "sales")
    assert line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Test"


@pytest.fixture(params=[ArrowFrames, Arro3Frames], ids=["pyarrow", "arro3"])
def frames(request: pytest.FixtureRequest) -> Frames:
    made: Frames = request.param()
    return made


COLUMNS: dict[str, Any] = {
    "whole": np.array([1, 2, 3], dtype=np.int64),
    "real": np.array([0.5, np.nan, 2.5], dtype=np.float64),
    "single": np.array([0.1, np.nan, 3.0], dtype=np.float32),
    "day": np.array(["2025-07-01", "1999-12-31", "2024-02-29"], dtype="datetime64[D]"),
    "text": np.array(["a", "é", ""], dtype=object),
}


@pytest.mark.parametrize("other", [ArrowFrames(), Arro3Frames()], ids=["pyarrow", "arro3"])
def test_columns_written_by_one_are_read_by_the_other(frames: Frames, other: Frames, tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    frames.write(path, COLUMNS)
    found = other.read(path)
    assert list(found) == list(COLUMNS)
    for name, values in COLUMNS.items():
        assert found[name].dtype == values.dtype, name
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert list(other.read(path, ["text", "whole"])) == ["text", "whole"]


def test_a_matrix_is_single_precision_with_a_column_each(frames: Frames, tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    frames.write(path, COLUMNS)
    matrix = frames.matrix(path, ["single", "whole", "real"])
    assert matrix.dtype == np.float32
    assert matrix.flags["C_CONTIGUOUS"]
    expected = np.column_stack([COLUMNS["single"], COLUMNS["whole"], COLUMNS["real"]]).astype(np.float32)
    np.testing.assert_array_equal(matrix, expected)


def test_a_file_without_rows_has_empty_columns_of_the_same_types(frames: Frames, tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    ArrowFrames().write(path, {name: values[:0] for name, values in COLUMNS.items()})
    found = frames.read(path)
    assert {name: (len(values), values.dtype) for name, values in found.items()} == {
        name: (0, values.dtype) for name, values in COLUMNS.items()
    }
    assert frames.matrix(path, ["single", "whole"]).shape == (0, 2)


def test_reasons_have_one_type_whether_there_are_any_or_not(tmp_path: Path) -> None:
    kinds = []
    for number in (0, 1):
        some = Coded(np.zeros(number, dtype=np.int32), ["visits"])
        reasons = ListColumn(np.array([0, number], dtype=np.int32), {"feature": some, "contribution": np.zeros(number)})
        with ArrowFrames().writer(tmp_path / f"{number}") as file:
            file.write({"reasons": reasons})
        kinds.append(pq.read_schema(tmp_path / f"{number}").field("reasons").type)
    assert kinds[0] == kinds[1]


def test_equal_columns_give_equal_bytes(frames: Frames, tmp_path: Path) -> None:
    for name in ("a", "b"):
        frames.write(tmp_path / name, COLUMNS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("rows", [0, 1, 999, 1_000, 1_001, 4_096])
def test_a_file_read_in_batches_is_the_whole_file_in_order(rows: int, tmp_path: Path) -> None:
    number = np.arange(rows, dtype=np.int64)
    columns = {"number": number, "half": number / 2, "name": np.array([f"n{one % 7}" for one in number], dtype=object)}
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), path, row_group_size=777)
    found = list(ArrowFrames().batches(path, ["name", "number", "half"], 1_000))
    assert [len(frame) for frame in found] == [1_000] * (rows // 1_000) + (
        [rows % 1_000] if rows % 1_000 or not rows else []
    )
    assert [one for frame in found for one in frame.values("number")] == number.tolist()
    names = [frame.coded("name") for frame in found]
    assert [one.texts[code] for one in names for code in one.codes] == columns["name"].tolist()
    halves = np.concatenate([frame.matrix(["half", "number"]) for frame in found])
    np.testing.assert_array_equal(halves, np.column_stack([number / 2, number]).astype(np.float32))


def test_a_parted_file_has_the_rows_of_its_key_in_their_order_as_plain_columns(tmp_path: Path) -> None:
    keys = np.array([2, 1, 2, 1, 1])
    columns = {
        "n": np.arange(5),
        "why": Coded(np.array([0, -1, 1, -1, 0], dtype=np.int32), ["few", "ties"]),
        "one": Coded(np.zeros(5, dtype=np.int32), ["run"]),
        "reasons": ListColumn(
            np.array([0, 1, 1, 3, 3, 3], dtype=np.int32),
            {"text": Coded(np.array([1, 0, 1], dtype=np.int32), ["a", "b"]), "moved": np.array([0.5, 1.5, 2.5])},
        ),
    }
    with ArrowFrames().parted_writer(tmp_path) as files:
        files.write(keys, columns)
        files.write(keys[:1], {name: _first(values) for name, values in columns.items()})
    assert {key: rows for key, (_, rows) in files.files.items()} == {1: 3, 2: 3}
    found = pq.read_table(files.files[2][0])
    assert found.schema.field("why").type == found.schema.field("one").type == pa.string()
    assert found.to_pydict() == {
        "n": [0, 2, 0],
        "why": ["few", "ties", "few"],
        "one": ["run"] * 3,
        "reasons": [
            [{"text": "b", "moved": 0.5}],
            [{"text": "a", "moved": 1.5}, {"text": "b", "moved": 2.5}],
            [{"text": "b", "moved": 0.5}],
        ],
    }
    assert pq.read_table(files.files[1][0]).column("n").to_pylist() == [1, 3, 4]


def _first(values: Any) -> Any:
    match values:
        case Coded():
            return Coded(values.codes[:1], values.texts)
        case ListColumn():
            return ListColumn(values.offsets[:2], {name: _first(entry) for name, entry in values.fields.items()})
    return values[:1]


def test_only_values_that_repeat_are_written_by_a_dictionary(tmp_path: Path) -> None:
    rows = 400
    score = np.random.default_rng(1).random(rows)
    texts = Coded((np.arange(rows) % 3).astype(np.int32), ["a", "b", "c"])
    columns: dict[str, Any] = {
        "who": np.array([f"C{one}" for one in range(rows)], dtype=object),
        "where": np.array([f"T{one % 5}" for one in range(rows)], dtype=object),
        "n": (np.arange(rows) % 10).astype(np.int32),
        "score": score,
        "why": texts,
        "reasons": ListColumn(np.arange(rows + 1, dtype=np.int32), {"text": texts, "moved": score}),
    }
    with ArrowFrames().writer(tmp_path / "f") as file:
        file.write(columns)
    group = pq.ParquetFile(tmp_path / "f").metadata.row_group(0)
    parts = [group.column(place) for place in range(group.num_columns)]
    by_dictionary = {part.path_in_schema for part in parts if "RLE_DICTIONARY" in part.encodings}
    assert by_dictionary == {"where", "n", "why", "reasons.list.element.text"}
    found = pq.read_table(tmp_path / "f")
    assert found.column("who").to_pylist() == columns["who"].tolist()
    assert found.column("score").to_pylist() == score.tolist()


def test_a_file_that_failed_half_way_is_closed_and_the_error_goes_on(tmp_path: Path) -> None:
    def fail() -> None:
        with ArrowFrames().writer(tmp_path / "f") as file:
            file.write({"n": np.arange(3)})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert pq.read_table(tmp_path / "f").num_rows == 3
