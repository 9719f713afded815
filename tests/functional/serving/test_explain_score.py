"""explain_score: what held for a customer on a day, by when tables and ledger were written."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.lake.gold_tables import SCORES, SCORES_PARTITION, may_hold_day_until
from propensity.registry.domain.ledger import ledger_key, version_folder
from propensity.registry.domain.ledger import model_standing as standing
from propensity.registry.versions import append_to_ledger as append_line
from propensity.registry.versions import load_version
from propensity.release.domain.promotion import Request
from propensity.release.domain.promotion import registration_line as settle
from propensity.release.manage_registry import roll_back
from propensity.serving.explain_score import Question, _held, explain_score
from propensity.serving.log_inference import log_inference
from tests.kit.handlers import CONTEXT, event, handler
from tests.kit.registries import TECHNICAL
from tests.kit.world import World
from tests.stack.automotive import AS_OF

MODEL = "service"
DAY = AS_OF.isoformat()
Person = tuple[str, str]


def at(world: World, key: str, moment: str) -> None:
    """Make an object as if it had been written at this time."""
    stamp = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    os.utime(world.folder / key, (stamp, stamp))


@pytest.fixture(scope="module")
def story(scored: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Person]:
    """Version 1 is champion and scores on 1 July. Version 2 becomes champion on 10 July, scores on 1 August, and is
    rolled back on 15 August."""
    world = scored.copy(tmp_path_factory.mktemp("story"))
    lake, first, second = world.lake, version_folder(MODEL, 1), version_folder(MODEL, 2)
    for key in list(lake.keys(f"{first}/")):
        lake.put(f"{second}/{key.removeprefix(f'{first}/')}", lake.get(key))
    asked = Request(MODEL, 2, "run 2", "w", "2025-07-10", load_version(lake, MODEL, 2).gates(lake))
    append_line(lake, MODEL, lambda known: settle(asked, "automatic", standing(known).champion, known))
    run = world.score(MODEL, "2025-08-01")["run"]
    roll_back(world, MODEL, by=TECHNICAL, why="w", at="2025-08-15", from_version=2)
    at(world, f"{first}/lineage.json", "2025-06-30T02:00")
    for line in (1, 2, 3):  # champion, and released by two people
        at(world, ledger_key(MODEL, line), "2025-06-30T02:00")
    at(world, f"runs/score/{MODEL}/{DAY}-v000001-batch/receipt.json", "2025-07-01T03:30")
    at(world, f"{second}/lineage.json", "2025-07-10T02:00")
    at(world, ledger_key(MODEL, 4), "2025-07-10T02:00")
    at(world, f"{run}/receipt.json", "2025-08-01T03:30")
    at(world, ledger_key(MODEL, 5), "2025-08-15T09:00")
    [person] = world.query(
        "select tenant_id, customer_id from scores group by all having count(*) = 2 order by 1, 2 limit 1",
        scores=SCORES,
    )
    return world, person


def asked(story: tuple[World, Person], day: str, **other: Any) -> dict[str, Any]:
    world, (tenant, customer) = story
    body = {"customer_id": customer, "model": MODEL, "day": day, **other}
    return explain_score(world, Question.parse(body.pop("tenant_id", tenant), body))


@pytest.mark.parametrize(
    ("day", "champion", "held"),
    [
        ("2025-06-30", 1, None),
        ("2025-07-01", 1, (1, DAY, "production")),
        ("2025-07-09", 1, (1, DAY, "production")),
        # version 2 is champion and has scored nobody: the shop still had the older list
        ("2025-07-10", 2, (1, DAY, "archived")),
        ("2025-08-01", 2, (2, "2025-08-01", "production")),
        # rolled back: the newest score of the champion counts, not the newest of all
        ("2025-08-15", 1, (1, DAY, "production")),
    ],
)
def test_what_held_is_the_champions_newest_score_that_was_committed_by_then(
    story: tuple[World, Person], day: str, champion: int, held: tuple[int, str, str] | None
) -> None:
    answer = asked(story, day)
    assert answer["champion"] == champion
    found = answer["held"]
    assert (found and (found["model_version"], found["as_of"], found["stage_then"])) == held


def test_a_challengers_score_never_held() -> None:
    row = {"as_of": DAY, "committed_at": f"{DAY}T03:00:00+00:00", "run": "r", "model_version": 1, "source": "champion"}
    challenger = {**row, "as_of": "2025-07-02", "model_version": 2, "source": "challenger"}
    question = Question("t", "c", MODEL, date(2025, 7, 20))
    assert _held([row, challenger], 1, question) == _held([row, challenger], 3, question) == row


def test_a_score_is_told_as_the_table_has_it_with_where_it_comes_from(story: tuple[World, Person]) -> None:
    world, (tenant, customer) = story
    [row] = world.query(
        "select score, percentile, decile, [r.text for r in reasons], feature_set, run from scores "
        f"where tenant_id = '{tenant}' and customer_id = '{customer}' and as_of = '{DAY}'",
        scores=SCORES,
    )
    answer = asked(story, DAY)
    [told] = answer["scores"]
    assert told == answer["held"]
    names = ("score", "percentile", "decile", "reasons", "feature_set", "run")
    assert tuple(told[name] for name in names) == row
    assert (told["source"], told["stage_now"], told["committed_at"]) == (
        "champion",
        "production",
        "2025-07-01T03:30:00+00:00",
    )
    lineage = load_version(world.lake, MODEL, 1).lineage
    assert told["lineage"]["silver"] == lineage["silver"]
    assert told["lineage"]["trained_as_of"] == DAY
    assert set(told["table_versions"]) == set(lineage["silver"])


def test_a_score_that_was_made_later_for_the_day_is_listed_and_did_not_hold(
    story: tuple[World, Person], tmp_path: Path
) -> None:
    world = story[0].copy(tmp_path)
    at(world, f"runs/score/{MODEL}/{DAY}-v000001-batch/receipt.json", "2025-07-03T03:30")
    answer = asked((world, story[1]), DAY)
    assert answer["held"] is None
    assert [score["committed_at"] for score in answer["scores"]] == ["2025-07-03T03:30:00+00:00"]
    # without the receipt, which may have expired, only the run's as-of day is known
    world.lake.remove(f"runs/score/{MODEL}/{DAY}-v000001-batch/receipt.json")
    assert asked((world, story[1]), DAY)["held"]["committed_at"] is None


def test_compaction_changes_no_answer(story: tuple[World, Person], tmp_path: Path) -> None:
    world = story[0].copy(tmp_path)
    before = asked(story, "2025-08-01")
    assert world.tables.compact(SCORES) > 0
    assert asked((world, story[1]), "2025-08-01") == before
    assert may_hold_day_until("a/part-00000.parquet", "2025-07-01")
    assert not may_hold_day_until("a/2025-07-02-x.parquet", "2025-07-01")


def test_a_customer_of_the_same_name_at_another_tenant_is_another(story: tuple[World, Person], tmp_path: Path) -> None:
    world, (tenant, customer) = story[0].copy(tmp_path), story[1]
    before = asked(story, DAY)
    snapshot = world.tables.snapshot(SCORES)
    assert snapshot is not None
    [mine] = [file for file in snapshot.files if f"{DAY}-" in file.path and _holds(world, file.path, customer)]
    # in the same partition, as if two tenants shared a bucket
    sql, path = world.sql(), f"{world.folder}/{SCORES}/{mine.path}"
    other = sql.stream(
        f"select * replace ('other' as tenant_id, 0.99 as score), '{MODEL}' as model, "
        f"{mine.partition['bucket_count']}::integer as bucket_count, {mine.partition['bucket']}::integer as bucket "
        f"from read_parquet('{path}', hive_partitioning = false) where customer_id = '{customer}'"
    )
    world.tables.append(SCORES, other, partition_by=SCORES_PARTITION)
    sql.close()
    assert asked((world, story[1]), DAY) == before
    assert asked(story, DAY, tenant_id="other")["scores"] == []
    assert tenant != "other"


def _holds(world: World, path: str, customer: str) -> bool:
    found = duckdb.execute(
        f"select count(*) from read_parquet('{world.folder}/{SCORES}/{path}') where customer_id = '{customer}'"
    ).fetchall()
    return found != [(0,)]


def test_what_is_wrong_with_a_question_is_named(story: tuple[World, Person]) -> None:
    with pytest.raises(NotFoundError, match="never registered; expected one of buy, service"):
        asked(story, DAY, model="nothing")
    with pytest.raises(BadInputError, match="day is 'July', expected a day"):
        asked(story, "July")
    with pytest.raises(BadInputError, match="customer_id: expected text"):
        asked(story, DAY, customer_id=7)
    with pytest.raises(BadInputError, match="tenant: expected 1 to 64 letters"):
        asked(story, DAY, tenant_id="a/b")
    assert asked(story, DAY, customer_id="x' or true --")["scores"] == []


def test_what_was_answered_on_demand_that_day_is_told_with_its_source(
    story: tuple[World, Person], tmp_path: Path
) -> None:
    world, (tenant, customer) = story[0].copy(tmp_path), story[1]
    score = {"customer_id": customer, "score": 0.4, "decile": 9, "source": "champion"}
    message = {"model": MODEL, "model_version": 1, "tenant_id": tenant}
    moments = ("2025-07-01T23:59:59.500Z", "2025-07-02T00:00:00Z")
    log_inference(
        world,
        [
            {
                **message,
                "request_id": str(number),
                "answered_at": moment,
                "scores": [score, {**score, "customer_id": "x"}],
            }
            for number, moment in enumerate(moments)
        ],
    )
    [told] = asked((world, story[1]), DAY)["answers"]
    assert told == {
        "answered_at": "2025-07-01T23:59:59.500Z",
        "model_version": 1,
        "score": 0.4,
        "decile": 9,
        "source": "champion",
    }
    # what was written before the day began cannot be an answer of the day
    for key in world.lake.keys("gold/inference_log/"):
        if key.endswith(".parquet"):
            at(world, key, "2025-06-30T00:00")
    assert asked((world, story[1]), DAY)["answers"] == []
    assert Question.parse("t", {"customer_id": "c", "model": "m", "day": DAY}).end.date() == date(2025, 7, 2)


def test_the_handler_answers_from_s3_and_logs_nobody(
    story: tuple[World, Person], aws: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    world, (tenant, customer) = story
    sent = event("explain_score")
    function = handler("explain_score")
    empty = function(sent, CONTEXT)
    assert (empty["statusCode"], "never registered" in empty["body"]) == (404, True)
    for prefix in ("registry/", "gold/scores/", "runs/score/"):
        for key in world.lake.keys(prefix):
            aws.s3.put_object(Bucket="lake", Key=key, Body=world.lake.get(key))
    sent["pathParameters"]["tenant"] = tenant
    body = {**json.loads(sent["body"]), "customer_id": customer}
    answer = function({**sent, "body": json.dumps(body)}, CONTEXT)
    assert answer["statusCode"] == 200
    told = json.loads(answer["body"])
    assert [score["score"] for score in told["scores"]] == [asked(story, DAY)["scores"][0]["score"]]
    # all of it was written today, so on the day itself nothing held
    assert (told["held"], told["champion"], told["answers"]) == (None, None, [])
    assert told["scores"][0]["stage_then"] is None
    today = function({**sent, "body": json.dumps({**body, "day": datetime.now(UTC).date().isoformat()})}, CONTEXT)
    assert json.loads(today["body"])["held"]["as_of"] == DAY
    assert caplog.records
    assert all(customer not in record.getMessage() + str(vars(record)) for record in caplog.records)
