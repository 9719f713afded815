"""Gap runs are complete: afterwards each customer has one current score by the champion, whoever else was at work."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from propensity.features.build_features import build_features
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.lake.domain.current_scores import NEWEST_FIRST
from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.gold_tables import SCORES
from propensity.scoring.commit_run import commit_run
from propensity.scoring.label_shard import label_shard
from propensity.scoring.plan_scoring import ScoreAge, plan_scoring
from propensity.scoring.publish_scores import publish_scores
from propensity.scoring.rank_run import rank_run
from propensity.scoring.score_shard import score_shard
from tests.kit.faults import Crash, light
from tests.kit.registries import crown
from tests.kit.shop import Shop, orders

BATCH, GAP = "2025-04-01", "2025-04-15"
Row = tuple[str, str, date, int, str, str, float]  # tenant, customer, as_of, version, scope, run, score


@pytest.fixture(scope="module")
def batched(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Two tenants, a version that is champion, and its batch."""
    shop = Shop(tmp_path_factory.mktemp("gaps"))
    for tenant in ("north", "south"):
        shop.land("orders", tenant, [row for row in orders(tenant, customers=40) if row[2] < BATCH])
    shop.promote()
    crown(shop.lake, "reorder", shop.train("reorder", BATCH)["version"])
    shop.score("reorder", BATCH)
    return shop


def welcome(shop: Shop, tenant: str, customers: int, day: str = "2025-04-03", name: str = "new") -> None:
    shop.land("orders", tenant, [(f"{name}-{n}", f"{name.upper()}{n}", day) for n in range(customers)], name)
    shop.promote()


def people(shop: Shop, until: str) -> set[tuple[str, str]]:
    """Who had ordered before a day, by Silver's own rows."""
    found = shop.query(f"select distinct tenant_id, customer from o where day < date '{until}'", o="silver/orders")
    return {(tenant, customer) for tenant, customer in found}


def scores(shop: Shop) -> list[Row]:
    return shop.query("select tenant_id, customer_id, as_of, model_version, scope, run, score from s", s=SCORES)


def current(rows: list[Row], *, version: int = 1, until: str = GAP) -> dict[tuple[str, str], Row]:
    """The newest row of each customer, by other code than the package's."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        _, _, day, by, scope, _, _ = row
        who = (row[0], row[1])
        if by == version and day.isoformat() <= until:
            known = found.get(who)
            if known is None or (day, scope == "batch") > (known[2], known[4] == "batch"):
                found[who] = row
    return found


def steps(shop: Shop, request: str, freshness: ScoreAge, receipts: dict[str, Any], as_of: str = GAP) -> Iterator[str]:
    """A gap run that can be stopped after each of its steps."""
    plan = plan_scoring(shop, model="reorder", as_of=as_of, scope="gap", request=request, freshness=freshness)
    items = shop.items(plan["items"])
    yield "planned"
    for step in (build_features, score_shard):
        for item in items:
            step(shop, item=item)
        yield step.__name__
    rank_run(shop, run=plan["run"])
    for item in items:
        label_shard(shop, item=item)
    yield "labelled"
    receipts[request] = commit_run(shop, run=plan["run"])
    yield "committed"
    for item in items:
        publish_scores(shop, item=item)


ANY_AGE = ScoreAge()


def whole(shop: Shop, request: str, freshness: ScoreAge = ANY_AGE, as_of: str = GAP) -> dict[str, Any]:
    receipts: dict[str, dict[str, Any]] = {}
    for _ in steps(shop, request, freshness, receipts, as_of):
        pass
    return receipts[request]


def assert_complete(shop: Shop, freshness: ScoreAge) -> None:
    """Everybody has one score by the champion that is fresh enough, once per day and version, and so it is online."""
    rows, expected = scores(shop), people(shop, GAP)
    assert max(Counter(row[:4] for row in rows).values()) == 1
    now = current(rows)
    assert now.keys() == expected
    if freshness.days is not None:
        oldest = date.fromisoformat(GAP) - timedelta(days=freshness.days)
        of = [row for row in now.values() if freshness.tenant in (None, row[0])]
        assert min(row[2] for row in of) >= oldest
    online = {(tenant, customer): (one.as_of, one.run, one.score) for (tenant, customer, *_), one in answers(shop)}
    assert online == {who: (row[2].isoformat(), row[5], pytest.approx(row[6])) for who, row in now.items()}


def answers(shop: Shop) -> list[Any]:
    return [((one.tenant_id, one.customer_id), one) for one in shop.online.items.values()]


FRESH = st.sampled_from([ScoreAge(), ScoreAge(7), ScoreAge(7, "north"), ScoreAge(30), ScoreAge(0, "south")])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    newcomers=st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)),
    between=st.integers(0, 2),
    fresh=st.tuples(FRESH, FRESH),
    order=st.lists(st.booleans(), max_size=10),
    compacted=st.booleans(),
    dies=st.none() | st.integers(0, 30),
)
def test_two_gap_runs_that_meet_score_everybody_once(
    batched: Shop,
    tmp_path: Path,
    newcomers: tuple[int, int, int],
    between: int,
    fresh: tuple[ScoreAge, ScoreAge],
    order: list[bool],
    compacted: bool,
    dies: int | None,
) -> None:
    shutil.rmtree(tmp_path / "world", ignore_errors=True)
    shop = batched.copied(tmp_path / "world")
    shop.online.items.update(batched.online.items)
    for tenant, customers in zip(("north", "south", "west"), newcomers, strict=True):
        if customers:
            welcome(shop, tenant, customers)
    receipts: dict[str, Any] = {}
    first, second = steps(shop, "a", fresh[0], receipts), steps(shop, "b", fresh[1], receipts)
    if between and next(first, None):  # who comes after the first plan is the second run's alone
        welcome(shop, "north", between, name="late")
    for turn in order:
        next(first if turn else second, None)
    if compacted:
        shop.tables.compact(SCORES)
    for _ in first:
        pass
    if dies is not None:
        ports = shop.lake, shop.tables
        light(shop, dies)
        try:
            next(second, None)
        except Crash:
            second = steps(shop, "b", fresh[1], receipts)
        shop.lake, shop.tables = ports
    for _ in second:
        pass
    for name, one in receipts.items():
        assert one["population"] == one["had"] + one["new"], name
        assert (one["failed"], one["coverage"]) == (0, 1.0), name
        made = [row for row in scores(shop) if row[5] == one["run"]]
        assert len(made) == one["new"], name
    # a run that was planned first and asks for less can end last: a further pull finds nothing to do
    asked = max(fresh, key=lambda one: (one.days is not None, -(one.days or 0)))
    if any(one.days is not None for one in fresh) or between:
        whole(shop, "c", asked)
    assert_complete(shop, asked)
    before, told = shop.scores_hash(), dict(receipts)
    for request, freshness in zip("ab", fresh, strict=True):
        assert whole(shop, request, freshness) == told[request]
    assert shop.scores_hash() == before
    assert whole(shop, "d", asked)["new"] == 0


def test_who_commits_second_adds_only_whom_the_first_has_not(batched: Shop, tmp_path: Path) -> None:
    shop = batched.copied(tmp_path / "world")
    shop.online.items.update(batched.online.items)
    welcome(shop, "north", 3)
    receipts: dict[str, Any] = {}
    first = steps(shop, "a", ScoreAge(), receipts)
    while next(first) != "labelled":
        pass
    welcome(shop, "south", 2)
    second = steps(shop, "b", ScoreAge(), receipts)
    while next(second) != "labelled":
        pass
    list(first)
    list(second)
    assert (receipts["a"]["had"], receipts["a"]["new"]) == (len(people(shop, GAP)) - 5, 3)
    assert (receipts["b"]["had"], receipts["b"]["new"]) == (len(people(shop, GAP)) - 2, 2)
    assert_complete(shop, ScoreAge())


@pytest.mark.parametrize("left", range(0, 60, 6))
def test_a_commit_that_dies_anywhere_ends_with_the_receipt_of_an_undisturbed_one(
    batched: Shop, tmp_path: Path, left: int
) -> None:
    shop = batched.copied(tmp_path / "world")
    shop.online.items.update(batched.online.items)
    welcome(shop, "north", 3)
    receipts: dict[str, Any] = {}
    runs = [steps(shop, request, ScoreAge(), receipts) for request in "ab"]
    assert [next(run) for run in runs] == ["planned"] * 2
    list(runs[0])
    welcome(shop, "south", 1)  # a commit of others' files is none of scores
    while next(runs[1]) != "labelled":
        pass
    ports = shop.lake, shop.tables
    light(shop, left)
    try:
        next(runs[1])
    except Crash:
        runs[1] = steps(shop, "b", ScoreAge(), receipts)
    shop.lake, shop.tables = ports
    shop.tables.compact(SCORES)
    list(runs[1])
    assert (receipts["b"]["new"], receipts["b"]["failed"]) == (0, 0)
    assert whole(shop, "c")["new"] == 1
    assert_complete(shop, ScoreAge())


def test_a_score_of_a_later_day_or_of_an_older_silver_fills_no_gap(batched: Shop, tmp_path: Path) -> None:
    shop = batched.copied(tmp_path / "world")
    welcome(shop, "north", 2)
    assert whole(shop, "later", as_of="2025-04-20")["new"] == 2
    silver = shop.tables.snapshot("silver/orders")
    assert silver is not None
    old = SilverAt(versions={"orders": silver.version})
    looked_at = shop.score("reorder", GAP, silver=old)
    assert looked_at["new"] == len(people(shop, GAP))
    assert whole(shop, "now")["new"] == 2
    rows = [row for row in scores(shop) if row[5] != looked_at["run"]]
    assert current(rows).keys() == people(shop, GAP)


def test_a_batch_of_the_same_day_counts_before_the_gap_run(batched: Shop, tmp_path: Path) -> None:
    shop = batched.copied(tmp_path / "world")
    welcome(shop, "north", 2)
    whole(shop, "first")
    shop.score("reorder", GAP)
    [(newest,)] = shop.query(
        f"select distinct scope from (from s qualify row_number() over (partition by tenant_id, customer_id "
        f"order by {NEWEST_FIRST}) = 1)",
        s=SCORES,
    )
    assert newest == "batch"
    assert whole(shop, "second")["new"] == 0


def test_scores_of_a_retired_version_fill_no_gap(batched: Shop, tmp_path: Path) -> None:
    shop = batched.copied(tmp_path / "world")
    welcome(shop, "north", 3)
    assert whole(shop, "old")["new"] == 3
    crown(shop.lake, "reorder", shop.train("reorder", "2025-03-31")["version"])
    with pytest.raises(NotFoundError, match="version 2: no batch run on or before"):
        whole(shop, "too-early")
    shop.score("reorder", BATCH)
    assert whole(shop, "new")["new"] == 3
    assert current(scores(shop), version=2).keys() == people(shop, GAP)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"fresh_days": "7"}, "fresh_days is '7', expected a number of days, 0 to 3650"),
        ({"fresh_days": -1}, "fresh_days is '-1'"),
        ({"fresh_days": True}, "fresh_days is 'True'"),
        ({"fresh_days": 1, "fresh_tenant": "a/b"}, "tenant: expected"),
    ],
)
def test_a_wrong_freshness_is_refused_by_field(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        ScoreAge.parse(fields)


def test_a_batch_takes_no_freshness(batched: Shop) -> None:
    with pytest.raises(BadInputError, match="fresh_days: expected only with scope gap"):
        plan_scoring(batched, model="reorder", as_of=GAP, scope="batch", freshness=ScoreAge(3))
