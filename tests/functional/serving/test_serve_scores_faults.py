"""A warm or cold serve_scores answers 200 with what it has, says so in each row, and counts it.

Every fault is met twice: by a function that answered a moment ago, and by one that was just started.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from propensity.kernel.errors import NotFoundError
from propensity.registry.artifact import Artifact
from propensity.registry.domain.ledger import CHAMPION, LedgerLine, ledger_key
from propensity.runtime import champion_cache, composition
from tests.fakes.memory import MemoryMetrics, MemoryOnline, MemoryQueue
from tests.kit.handlers import CONTEXT, event, handler
from tests.kit.registries import crown
from tests.kit.shop import DAY, Shop, stocked

MODEL, TENANT = "reorder", "north"
DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Get")
type Get = Callable[[str], bytes]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Two versions, both of which were champion; the second one scored everybody."""
    made = stocked(tmp_path_factory.mktemp("shop"))
    for day in ("2025-05-01", DAY.isoformat()):
        crown(made.lake, MODEL, made.train(MODEL, day)["version"])
    made.score(MODEL, DAY.isoformat())
    return made


class Faulty:
    """A port, some of whose methods are other ones."""

    def __init__(self, port: Any, **methods: Any) -> None:
        self._port, self._methods = port, methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._port, name)


def refuse(*_: Any, **__: Any) -> Any:
    raise DENIED


class Stack:
    """A function over the shop, with ports that a test breaks and a clock that it moves."""

    def __init__(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shop = shop
        self.ports: Any = copy.copy(shop)
        self.ports.online, self.ports.metrics, self.ports.inference_queue = (
            MemoryOnline(),
            MemoryMetrics(),
            MemoryQueue(),
        )
        self.ports.online.items = dict(shop.online.items)
        self.seconds = 0.0
        monkeypatch.setattr(composition, "ports", lambda: self.ports)
        monkeypatch.setattr(champion_cache.Champions.__init__, "__defaults__", (lambda: self.seconds, 10.0))
        monkeypatch.setattr(champion_cache.Tenants.__init__, "__defaults__", (lambda: self.seconds, 60.0))
        self.function = handler("serve_scores")
        self.customers = sorted(key[1] for key in shop.online.items if key[0] == TENANT)[:4]

    def ask(self, tenant: str = TENANT, **body: Any) -> tuple[int, dict[str, Any]]:
        asked = event("serve_scores")
        asked["pathParameters"]["tenant"] = tenant
        asked["body"] = json.dumps({"model": MODEL, "customer_ids": self.customers, **body})
        answer = self.function(asked, CONTEXT)
        return answer["statusCode"], json.loads(answer["body"])

    def later(self) -> None:
        self.seconds += 1_000

    def counted(self, name: str) -> float:
        counted: list[tuple[str, float, dict[str, str]]] = self.ports.metrics.counted
        return sum(value for found, value, dimensions in counted if found == name and not dimensions)

    def lake(self, get: Callable[[Get, str], bytes] | None = None, **methods: Any) -> None:
        store = self.ports.lake
        if get is not None:
            methods["get"] = lambda key, version_id=None: get(store.get, key)
        self.ports.lake = Faulty(store, **methods)


@pytest.fixture
def stack(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Stack:
    return Stack(shop, monkeypatch)


def ledger_cut(stack: Stack) -> None:
    newest = ledger_key(MODEL, 2)
    stack.lake(lambda get, key: get(key)[:20] if key == newest else get(key))


def alias_to_nowhere(stack: Stack) -> None:
    store, third = stack.ports.lake, ledger_key(MODEL, 3)
    line = LedgerLine(
        number=3, action="promote", alias=CHAMPION, version=9, previous=2, by="b", why="w", at="2025-07-01"
    )
    stack.lake(
        lambda get, key: line.model_dump_json().encode() if key == third else get(key),
        keys=lambda prefix: iter([*store.keys(prefix), *([third] if third.startswith(prefix) else [])]),
    )


def bucket_refused(stack: Stack) -> None:
    stack.lake(get=refuse, keys=refuse, head=refuse)


def reading_refused(stack: Stack) -> None:
    def get(_: Get, key: str) -> bytes:
        raise NotFoundError(f"s3://lake/{key}: no such object, or this function's role may not read it")

    stack.lake(get)


def onnx_cut(stack: Stack) -> None:
    stack.lake(lambda get, key: get(key)[:50] if key.endswith("000002/model.onnx") else get(key))


def every_onnx_cut(stack: Stack) -> None:
    stack.lake(lambda get, key: get(key)[:50] if key.endswith("model.onnx") else get(key))


class Expected(NamedTuple):
    """What a warm function and a cold one answer by: the version, the source, and why."""

    warm: tuple[int | None, str, str | None]
    cold: tuple[int | None, str, str | None]


FAULTS: dict[Callable[[Stack], None], Expected] = {
    ledger_cut: Expected((2, "champion", "ledger_unreadable"), (1, "champion", "ledger_unreadable")),
    alias_to_nowhere: Expected((2, "champion", "champion_missing"), (2, "champion", "champion_missing")),
    bucket_refused: Expected((2, "champion", "registry_refused"), (None, "published", "registry_refused")),
    reading_refused: Expected((2, "champion", "registry_refused"), (None, "published", "ledger_unreadable")),
    onnx_cut: Expected((2, "champion", None), (1, "champion", "champion_unreadable")),
    every_onnx_cut: Expected((2, "champion", None), (2, "fallback", "champion_unreadable")),
}


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_champion_out_of_reach_costs_no_answer(stack: Stack, fault: Callable[[Stack], None], warm: bool) -> None:
    whole = stack.ask()[1]["scores"] if warm else []
    assert all(row["degraded_reason"] is None for row in whole)
    fault(stack)
    stack.later()
    version, source, reason = FAULTS[fault].warm if warm else FAULTS[fault].cold
    status, said = stack.ask()
    assert (status, said["model_version"]) == (200, version)
    assert [row["customer_id"] for row in said["scores"]] == stack.customers
    assert {(row["source"], row["degraded_reason"]) for row in said["scores"]} == {(source, reason)}
    assert all(0 <= row["score"] <= 1 for row in said["scores"])
    assert stack.counted("ChampionStale") == (reason is not None)
    if warm:
        assert [row["score"] for row in said["scores"]] == [row["score"] for row in whole]


def test_a_champion_that_was_held_is_followed_again_once_it_can_be_looked_up(stack: Stack) -> None:
    stack.ask()
    sound = stack.ports.lake
    bucket_refused(stack)
    stack.later()
    stack.ask()
    stack.ports.lake = sound
    stack.later()
    assert {row["degraded_reason"] for row in stack.ask()[1]["scores"]} == {None}


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_a_refused_online_table_gives_everybody_the_base_rate(stack: Stack, warm: bool) -> None:
    if warm:
        stack.ask()
    stack.ports.online = Faulty(stack.ports.online, get_many=refuse, newest=refuse)
    status, said = stack.ask()
    assert status == 200
    [rate] = {row["score"] for row in said["scores"]}
    assert rate == json.loads(stack.shop.lake.get("registry/reorder/versions/000002/reference.json"))["base_rate"]
    assert {(row["source"], row["degraded_reason"]) for row in said["scores"]} == {("fallback", "online_table_refused")}
    assert stack.counted("OnlineTableRefused") == 4


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        (b"", "feature_vector_unreadable"),
        (b"\0\0\0", "feature_vector_unreadable"),
        (b"\0" * 400, "feature_vector_unreadable"),
    ],
)
def test_one_bad_vector_costs_its_own_customer_only(stack: Stack, warm: bool, vector: bytes, reason: str) -> None:
    if warm:
        stack.ask()
    bad = stack.customers[1]
    items = stack.ports.online.items
    for key in [key for key in items if key[:2] == (TENANT, bad)]:
        items[key] = replace(items[key], vector=vector)
    status, said = stack.ask()
    assert status == 200
    assert {row["customer_id"]: row["degraded_reason"] for row in said["scores"]} == dict.fromkeys(stack.customers) | {
        bad: reason
    }
    assert [row["source"] for row in said["scores"]] == ["champion", "fallback", "champion", "champion"]
    assert stack.counted("CustomersNotScored") == 1


@pytest.mark.parametrize("raises", [True, False])
def test_one_customer_whom_the_model_cannot_score_costs_no_other_a_score(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, raises: bool
) -> None:
    bad = stack.customers[2]
    items = stack.ports.online.items
    marked = bytes(items[(TENANT, bad, MODEL, 2)].vector)
    score = Artifact.try_score

    def broken(self: Artifact, matrix: Any, tenants: Any) -> Any:
        raw, scores, sound = score(self, matrix, tenants)
        for number, row in enumerate(matrix):
            if row.tobytes() == marked:
                if raises:
                    raise RuntimeError
                scores[number], sound[number] = float("nan"), False
        return raw, scores, sound

    monkeypatch.setattr(Artifact, "try_score", broken)
    said = stack.ask()[1]["scores"]
    reasons = {row["customer_id"]: row["degraded_reason"] for row in said}
    assert reasons[bad] == "not_scored"
    assert None in reasons.values()


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_a_refused_log_holds_no_answer_back(stack: Stack, warm: bool) -> None:
    if warm:
        stack.ask()
    stack.ports.inference_queue = Faulty(stack.ports.inference_queue, send=refuse)
    status, said = stack.ask()
    assert (status, {row["source"] for row in said["scores"]}) == (200, {"champion"})
    assert stack.counted("AnswersNotLogged") == 4


def test_with_nothing_in_reach_the_answer_says_so_and_is_no_error(stack: Stack) -> None:
    bucket_refused(stack)
    stack.ports.online = Faulty(stack.ports.online, newest=refuse)
    status, said = stack.ask()
    assert status == 200
    assert {(row["score"], row["source"], row["degraded_reason"]) for row in said["scores"]} == {
        (None, "none", "registry_refused")
    }
    assert stack.ask(model="nobody_s")[0] == 404


def test_the_inference_log_has_the_signer(stack: Stack) -> None:
    stack.ask()
    [message] = stack.ports.inference_queue.messages
    assert (message["signer"], message["tenant_id"]) == ("arn:aws:iam::000000000000:user/anna", TENANT)


def test_the_tenant_of_the_path_is_the_tenant_that_is_answered(stack: Stack) -> None:
    status, said = stack.ask(tenant_id="south")
    assert (status, "the tenant stands in the path" in said["message"]) == (400, True)
    status, said = stack.ask("south", customer_ids=["C00000"])
    assert status == 200
    mine = stack.ask(customer_ids=["C00000"])[1]["scores"]
    assert said["scores"][0]["score"] != mine[0]["score"]


@pytest.mark.parametrize(
    ("tenant", "status"), [("nobody", 404), (".", 400), ("..", 400), ("unknown", 400), ("Unknown", 400)]
)
def test_who_is_no_tenant_gets_no_score(stack: Stack, tenant: str, status: int) -> None:
    assert stack.ask(tenant)[0] == status


def test_an_offboarded_tenant_gets_no_score_and_a_suspended_one_does(stack: Stack) -> None:
    def record(state: str, number: int) -> bytes:
        line = {"number": number, "tenant_id": TENANT, "state": state, "settings": {}, "by": "b", "why": "w"}
        return json.dumps({**line, "at": "2025-07-01T00:00:00+00:00"}).encode()

    assert stack.ask()[0] == 200
    key, store = f"tenants/{TENANT}/record/000001.json", stack.ports.lake
    keys: dict[str, Any] = {"keys": lambda prefix: iter([key] if key.startswith(prefix) else list(store.keys(prefix)))}

    def read(state: str) -> Callable[[Get, str], bytes]:
        return lambda get, asked: record(state, 1) if asked == key else get(asked)

    for state, status in (("suspended", 200), ("offboarded", 403), ("onboarding", 200)):
        stack.ports.lake = store
        stack.lake(read(state), **keys)
        stack.later()
        assert stack.ask()[0] == status, state


def table_refused(stack: Stack) -> None:
    stack.ports.online = Faulty(stack.ports.online, get_many=refuse, newest=refuse)


def log_refused(stack: Stack) -> None:
    stack.ports.inference_queue = Faulty(stack.ports.inference_queue, send=refuse)


def nothing_in_reach(stack: Stack) -> None:
    bucket_refused(stack)
    table_refused(stack)


def unknown_calibration(stack: Stack) -> None:
    items = stack.ports.online.items
    stack.ports.online.items = {key: replace(item, calibration=7) for key, item in items.items()}


def base_rate_cut(stack: Stack) -> None:
    every_onnx_cut(stack)
    stack.lake(lambda get, key: b"" if key.endswith("reference.json") else get(key))


# what each fault leaves in the log: the steps with the kinds of the errors, for a warm function and for a cold one
LOGGED: dict[Callable[[Stack], None], tuple[set[tuple[str, str]], set[tuple[str, str]]]] = {
    ledger_cut: (
        {("look the champion up", "ValidationError")},
        {("look the champion up", "ValidationError"), ("read a line of the ledger", "ValidationError")},
    ),
    alias_to_nowhere: (
        {("look the champion up", "NotFoundError")},
        {("look the champion up", "NotFoundError"), ("load a champion", "NotFoundError")},
    ),
    bucket_refused: (
        {("look the champion up", "ClientError")},
        {("look the champion up", "ClientError"), ("list the registry", "ClientError")},
    ),
    onnx_cut: (set(), {("look the champion up", "ConflictError"), ("load a champion", "ConflictError")}),
    base_rate_cut: (
        set(),
        {
            ("look the champion up", "ConflictError"),
            ("load a champion", "ConflictError"),
            ("read a base rate", "JSONDecodeError"),
        },
    ),
    table_refused: ({("read the online table", "ClientError")}, {("read the online table", "ClientError")}),
    log_refused: ({("send to the inference log", "ClientError")}, {("send to the inference log", "ClientError")}),
    unknown_calibration: ({("read a calibration", "NotFoundError")}, {("read a calibration", "NotFoundError")}),
    nothing_in_reach: (
        {("look the champion up", "ClientError"), ("read the online table", "ClientError")},
        {
            ("look the champion up", "ClientError"),
            ("list the registry", "ClientError"),
            ("read published scores", "ClientError"),
        },
    ),
}


def told(caplog: pytest.LogCaptureFixture) -> set[tuple[str, str]]:
    """The step and the kind of error of each warning of a fault."""
    faults = [vars(record) for record in caplog.records if "step" in vars(record)]
    assert all(fault["levelname"] == "WARNING" and fault["where"] for fault in faults)
    return {(fault["step"], fault["error"]) for fault in faults}


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize("fault", LOGGED, ids=lambda fault: fault.__name__)
def test_the_log_has_the_step_and_the_kind_of_each_fault_and_no_customer(
    stack: Stack, caplog: pytest.LogCaptureFixture, fault: Callable[[Stack], None], warm: bool
) -> None:
    if warm:
        stack.ask()
    fault(stack)
    stack.later()
    caplog.clear()
    assert stack.ask()[0] == 200
    found = told(caplog)
    assert LOGGED[fault][0 if warm else 1] <= found
    assert bool(found) == bool(LOGGED[fault][0 if warm else 1])
    said = "".join(record.getMessage() + str(vars(record)) for record in caplog.records)
    assert not any(customer in said for customer in stack.customers)


def test_the_log_has_a_customer_whom_the_model_cannot_score_by_number_only(
    stack: Stack, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError(stack.customers[0])

    monkeypatch.setattr(Artifact, "try_score", broken)
    stack.ask()
    assert told(caplog) == {("score customers", "RuntimeError")}
    assert [vars(record)["rows"] for record in caplog.records if "step" in vars(record)] == [4, 1, 1, 1, 1]
    said = "".join(record.getMessage() + str(vars(record)) for record in caplog.records)
    assert stack.customers[0] not in said


def test_the_log_has_a_tenant_whose_record_cannot_be_read(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    stack.lake(keys=refuse)
    assert stack.ask()[0] == 200
    assert ("look the tenant up", "ClientError") in told(caplog)


def test_an_id_that_no_key_of_the_online_table_can_have_is_refused_by_its_place(stack: Stack) -> None:
    longest = "é" * 950
    assert stack.ask(customer_ids=["a", longest])[0] == 200
    status, said = stack.ask(customer_ids=["a", longest + "é"])
    assert status == 400
    assert said["message"] == "customer_ids: the id at place 2 has 1902 bytes, expected at most 1900"
