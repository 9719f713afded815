"""Lists whose making is cut off, throttled, overtaken by another list, or gone on with by another release."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from propensity.delivery import list_files as module
from propensity.delivery.build_export import build_export
from propensity.delivery.domain.order import export_folder
from propensity.delivery.request_export import request_export, show_export
from propensity.kernel.errors import RetryableError
from propensity.lake.gold_tables import EXPORTS
from tests.kit.faults import Crash, fused, insist
from tests.kit.registries import crown, let_leave
from tests.kit.replays import Meeting
from tests.kit.shop import DAY, TENANTS, Shop, stocked

TENANT = TENANTS[0]
AT = f"{DAY}T09:00:00+00:00"
DESK: dict[str, Any] = {
    "name": "desk",
    "description": "Who is called, and who is no longer called.",
    "channel": None,
    "mode": "delta",
    "max_rows": 40,
    "columns": [{"name": "who", "source": "score.customer_id"}, {"name": "score", "source": "score.score"}],
}
NOBODY = "select distinct tenant_id, customer from orders where false"
OFTEN = "select tenant_id, customer from orders group by all having count(*) > 4"


def deploy(shop: Shop, sql: str = NOBODY, **fields: Any) -> None:
    """Deploy a destination and a rule that suppresses."""
    rule = {"name": "kept_off", "action": "suppress", "description": "d", "sql": sql}
    files = {"destinations/desk.yaml": yaml.safe_dump(DESK | fields), "rules.yaml": yaml.safe_dump({"rules": [rule]})}
    shop.pack_files = {**shop.pack_files, **files}


@pytest.fixture(scope="module")
def scored_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = stocked(tmp_path_factory.mktemp("lists"))
    version = shop.train("reorder", f"{DAY}")["version"]
    crown(shop.lake, "reorder", version)
    let_leave(shop.lake, "reorder", version)
    shop.score("reorder", f"{DAY}")
    deploy(shop)
    return shop


@pytest.fixture
def shop(scored_shop: Shop, tmp_path: Path) -> Shop:
    other = scored_shop.copied(tmp_path)
    deploy(other)
    return other


def ask(shop: Shop, key: str = "k", at: str = AT, **body: Any) -> str:
    asked = {"model": "reorder", "destination": "desk", "holdout": 0.2, **body}
    return str(request_export(shop, TENANT, asked, key=key, by="arn:anna", at=at, request_id=key)["export"])


def make(shop: Shop, export: str) -> dict[str, Any]:
    build_export(shop, tenant=TENANT, export=export)
    return show_export(shop, TENANT, export)


def rows(shop: Shop, answer: dict[str, Any]) -> list[dict[str, str]]:
    """The rows of a list's files, each of which is the file of its receipt."""
    found: list[dict[str, str]] = []
    for file in answer["receipt"]["files"]:
        body = shop.lake.get(f"{export_folder(TENANT, answer['export'])}/{file['file']}")
        assert (hashlib.sha256(body).hexdigest(), len(body)) == (file["sha256"], file["bytes"])
        part = list(csv.DictReader(io.StringIO(body.decode())))
        assert len(part) == file["rows"]
        found += part
    return found


def places(shop: Shop, export: str) -> dict[str, str]:
    """The arm of each customer in gold/exports, each of whom stands there once."""
    if shop.tables.snapshot(EXPORTS) is None:
        return {}
    found = shop.query(f"select customer_id, arm from e where export = '{export}'", e=EXPORTS)
    assert len({customer for customer, _ in found}) == len(found)
    return dict(found)


def adds_up(shop: Shop, answer: dict[str, Any]) -> None:
    """The receipt, the files and gold/exports say the same."""
    receipt, arms = answer["receipt"], places(shop, answer["export"])
    assert sum(receipt["arms"].values()) == receipt["population"] == len(arms) > 0
    assert Counter(arms.values()) == {arm: count for arm, count in receipt["arms"].items() if count}
    written = rows(shop, answer)
    added = [row["who"] for row in written if row.get("operation", "add") == "add"]
    assert len(added) == len(set(added)) == (receipt["added"] if receipt["mode"] == "delta" else len(added))
    assert {arms[customer] for customer in added} <= {"exported"}


def unseen_or_whole(shop: Shop, export: str) -> None:
    """A list that died has no receipt and hands out nothing, or it is whole."""
    answer = show_export(shop, TENANT, export)
    if answer["state"] == "ready":
        adds_up(shop, answer)
    else:
        assert "files" not in answer
        assert len(places(shop, export)) in (0, population(shop))


def population(shop: Shop) -> int:
    [(count,)] = shop.query(f"select count(distinct customer_id) from s where tenant_id = '{TENANT}'", s="gold/scores")
    return int(count)


@pytest.mark.parametrize("error", [Crash, lambda: RetryableError("SlowDown; try again")], ids=["killed", "throttled"])
def test_a_list_that_fails_at_any_write_is_unseen_and_ends_as_if_nothing_had_been(
    shop: Shop, tmp_path_factory: pytest.TempPathFactory, error: Callable[[], BaseException]
) -> None:
    whole = shop.copied(tmp_path_factory.mktemp("undisturbed"))
    deploy(whole)
    expected = make(whole, ask(whole))
    assert len(expected["receipt"]["files"]) > 1
    export, asking = insist(shop, lambda: ask(shop), error)
    answer, making = insist(shop, lambda: make(shop, export), error, lambda: unseen_or_whole(shop, export))
    print(f"{asking + making} tries")
    assert making > 6
    assert answer == expected
    adds_up(shop, answer)
    assert places(shop, export) == places(whole, export)


@pytest.mark.parametrize("left", [0, 1, 3, 5, 11], ids=["asked", "planned", "decided", "a file", "committed"])
def test_a_list_that_another_release_goes_on_with_is_of_one_piece(
    shop: Shop, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release after the kill has other columns, other rules, and writes other bytes."""
    export = ask(shop)
    died = Meeting(left, end)
    try:
        with fused(shop, died):
            make(shop, export)
    except Crash:
        pass
    planned = any(True for _ in shop.lake.keys(f"{export_folder(TENANT, export)}/plan"))
    deploy(shop, sql=OFTEN, max_rows=7, columns=[{"name": "customer", "source": "score.customer_id"}])
    monkeypatch.setitem(module._FORMATS, "csv", f"{module._FORMATS['csv']}, force_quote *")
    answer = make(shop, export)
    columns = {tuple(row) for row in rows(shop, answer)}
    if planned:
        assert columns == {("who", "score", "operation")}
        adds_up(shop, answer)
    else:
        assert columns == {("customer", "operation")}


def end() -> None:
    raise Crash


@pytest.mark.parametrize("left", [0, 1, 3, 10], ids=["asked", "planned", "decided", "files"])
def test_of_two_lists_that_meet_one_sees_the_other_and_deltas_in_order_are_the_list(shop: Shop, left: int) -> None:
    """Wherever the second list comes in between, the first is as if it had been made after it, or before it."""
    began = make(shop, ask(shop, "begun", filter={"top": 60}))
    first = ask(shop, "first", f"{DAY}T10:00:00+00:00", filter={"top": 40}, not_within_days=None)
    second = ask(shop, "second", f"{DAY}T10:00:00+00:00", filter={"deciles": [9, 8]}, holdout=0.5)
    whole = [shop.lake, shop.tables, shop.online]
    answers: dict[str, Any] = {}

    def meet() -> None:
        other = Shop(shop.folder)
        other.pack_files = shop.pack_files
        answers["second"] = make(other, second)

    with fused(shop, Meeting(left, meet)):
        answers["first"] = make(shop, first)
    assert [shop.lake, shop.tables, shop.online] == whole
    answers.setdefault("second", make(shop, second))
    # it was asked for before the two, which were asked for in one second, and it is made after them
    answers["last"] = make(shop, ask(shop, "last", f"{DAY}T09:30:00+00:00", filter={"top": 20}))
    made = [began, *answers.values()]
    for answer in made:
        adds_up(shop, answer)
    assert sorted(answer["receipt"]["nth"] for answer in made) == [1, 2, 3, 4]
    listed: set[str] = set()
    ever: set[str] = set()
    held: set[str] = set()
    for answer in sorted(made, key=lambda one: int(one["receipt"]["nth"])):
        for row in rows(shop, answer):
            assert (row["who"] in listed) == (row["operation"] == "remove")
            (listed.remove if row["operation"] == "remove" else listed.add)(row["who"])
        arms = places(shop, answer["export"])
        assert listed == {customer for customer, arm in arms.items() if arm == "exported"}
        held |= {customer for customer, arm in arms.items() if arm == "held_out"}
        ever |= listed
    assert held
    assert not held & ever


def test_a_list_after_an_empty_one_adds_everybody_again(shop: Shop) -> None:
    who: list[Sequence[tuple[str, str]]] = []
    for key, rule in (("full", NOBODY), ("empty", OFTEN.replace("> 4", "> 0")), ("again", NOBODY)):
        deploy(shop, sql=rule)
        answer = make(shop, ask(shop, key))
        adds_up(shop, answer)
        who.append(sorted((row["who"], row["operation"]) for row in rows(shop, answer)))
    added, removed, again = who
    assert added == again
    assert removed == [(customer, "remove") for customer, _ in added]
    assert added
