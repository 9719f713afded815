"""The catalogue of features, and the difference of two feature sets, on a lake with a champion and its batch."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from propensity.features.describe_features import describe_features
from propensity.features.domain.coverage import Share, counted
from propensity.features.domain.coverage import coverage_of as merged
from propensity.features.report_features import compare_feature_sets, newest_catalogue
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.pack.current import pack_definition
from propensity.registry.versions import load_version
from tests.kit.world import World
from tests.stack.automotive import AS_OF

DAY = AS_OF.isoformat()


@pytest.fixture(scope="module")
def catalogued(scored: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = scored.copy(tmp_path_factory.mktemp("catalogued"))
    with pytest.raises(NotFoundError, match="no catalogue of features yet"):
        newest_catalogue(world)
    assert describe_features(world, slot="2025-07-07T05:00:00Z")["problems"] == []
    return world


def edited(world: World, feature: str, **fields: Any) -> None:
    """Change fields of a feature in the world's pack."""
    files = dict(world.pack_files)
    for path in [path for path in files if path.startswith("features/") and path.endswith(".yaml")]:
        group = yaml.safe_load(files[path])
        for one in group["features"]:
            if one["name"] == feature:
                one |= fields
                files[path] = yaml.safe_dump(group, sort_keys=False)
    assert files != world.pack_files
    world.pack_files = files


def test_the_catalogue_says_of_each_feature_whose_it_is_where_it_comes_from_and_who_uses_it(catalogued: World) -> None:
    [only] = newest_catalogue(catalogued)["feature_sets"]
    definition = pack_definition(catalogued, "service")
    assert only["feature_set"] == definition.feature_set
    assert only["models"] == [
        {"model": "service", "in_pack": True, "versions": [1], "champion": 1},
        {"model": "buy", "in_pack": True, "versions": [], "champion": None},
    ]
    assert [one["name"] for one in only["features"]] == list(definition.feature_names)
    lease = next(one for one in only["features"] if one["name"] == "months_to_lease_end")
    assert lease["lineage"]["columns"] == ["leases.ends_on"]
    assert (lease["owner"], lease["unit"], lease["group"]) == ("dealer-analytics", "months", "vehicle")
    assert sorted(lease["used_by"]) == ["buy", "service"]
    assert lease["since"] == {
        "feature_set": definition.feature_set,
        "model": "service",
        "version": 1,
        "as_of": load_version(catalogued.lake, "service", 1).lineage["as_of"],
    }
    assert only["queries"]["buy"]["target"]["datasets"] == ["sales"]


def test_coverage_and_freshness_are_those_of_the_runs_rows(catalogued: World) -> None:
    [only] = newest_catalogue(catalogued)["feature_sets"]
    features = {one["name"]: one for one in only["features"]}
    table = f"features/{only['feature_set']}"
    [(rows, known)] = catalogued.query("select count(*), count(months_to_lease_end) from f", f=table)
    shares = catalogued.query(
        "select count(months_to_lease_end) / count(*), count(*) from f group by tenant_id order by all", f=table
    )
    training, batch = features["months_to_lease_end"]["coverage"]
    assert (training["run"], batch["run"], batch["as_of"]) == ("training", "batch", DAY)
    assert batch["overall"] == {"share": known / rows, "known": known, "rows": rows}
    assert (batch["least_tenant"]["share"], batch["least_tenant"]["rows"]) == shares[0]
    assert training["overall"]["rows"] > rows
    # a default does not make a value known: the number of vehicles is unknown for who keeps none
    kept = features["vehicles_kept"]["coverage"][1]["overall"]
    assert kept["rows"] == rows
    [(named,)] = catalogued.query("select count(vehicle_age_years) from f", f=table)
    assert kept["known"] == named < rows
    [newest] = [one for one in features["months_since_purchase"]["freshness"] if one["run"] == "batch"]
    [(event, known_at)] = catalogued.query(
        f"""select strftime(max(_event_time) at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ'),
            strftime(max(_known_at) at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ')
        from s where _event_time < '{DAY} 00:00:00+00' and _known_at < '{DAY} 00:00:00+00'""",
        s="silver/sales",
    )
    assert (newest["dataset"], newest["newest"], newest["known_at"]) == ("sales", event, known_at)
    assert 0 <= newest["days_behind"] < 10


def test_a_catalogue_names_no_tenant_and_no_person_and_a_second_run_of_the_day_changes_nothing(
    catalogued: World,
) -> None:
    keys = sorted(catalogued.lake.keys("catalogue/"))
    assert keys == ["catalogue/2025-07-07.html", "catalogue/2025-07-07.json"]
    before = [catalogued.lake.get(key) for key in keys]
    describe_features(catalogued, slot="2025-07-07")
    assert [catalogued.lake.get(key) for key in keys] == before
    people = catalogued.query("select distinct unnest([tenant_id, customer_id]) from s", s="gold/scores")
    words = set(b"".join(before).decode().replace('"', " ").replace("<", " ").replace(">", " ").split())
    assert not words & {name for (name,) in people}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.links: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self._inside == "h2" and data.strip():
            self.headings.append(data.strip())


def test_the_page_has_a_section_per_feature_and_asks_for_nothing_from_elsewhere(catalogued: World) -> None:
    page = _Reader()
    page.feed(catalogued.lake.get("catalogue/2025-07-07.html").decode())
    definition = pack_definition(catalogued, "service")
    assert page.headings == [f"Feature set {definition.feature_set}", *definition.feature_names]
    assert page.links == []


def test_what_the_pack_changed_since_the_champion_is_told_by_feature(catalogued: World, tmp_path: Path) -> None:
    world = catalogued.copy(tmp_path)
    edited(world, "purchases", default=1, description="Vehicles bought")
    edited(world, "months_since_purchase", owner="privacy", reason=None)
    path = "features/relation.sql"
    sql = world.pack_files[path].replace("min(sold_on) as first_on", "min(sold_on) + 1 as first_on")
    world.pack_files = {**world.pack_files, path: sql.replace("b.purchases >= 2", "b.purchases /* so far */  >=  2")}
    told = compare_feature_sets(world, before="service@1", after="service")
    assert (told["same_version"], told["added"], told["removed"], told["order_changed"]) == (False, [], [], False)
    changed = {one["name"]: one for one in told["changed"]}
    assert sorted(changed) == ["months_since_purchase", "purchases", "tenure_years"]
    assert changed["purchases"]["fields"] == {
        "default": {"from": 0.0, "to": 1.0},
        "description": {"from": "Vehicles bought here", "to": "Vehicles bought"},
    }
    assert changed["months_since_purchase"]["fields"]["owner"] == {"from": "dealer-analytics", "to": "privacy"}
    assert {name: one["meaning"] for name, one in changed.items()} == {
        "purchases": True,
        "tenure_years": True,
        "months_since_purchase": False,
    }
    assert list(told["sql"]) == ["relation"]
    assert len([line for line in told["sql"]["relation"] if line.startswith("+ ")]) == 1
    assert sorted(told["used_by"]["purchases"]) == ["buy", "service", "service@1"]
    # the catalogue of a later day has both sets, and says since when each feature has its present meaning
    describe_features(world, slot="2025-07-14")
    sets = {one["feature_set"]: one for one in newest_catalogue(world)["feature_sets"]}
    assert list(sets) == [told["from"], told["to"]]
    since = {one["name"]: one["since"] for one in sets[told["to"]]["features"]}
    assert (since["purchases"], since["tenure_years"]) == (None, None)
    assert since["months_since_purchase"]["version"] == since["visits_6m"]["version"] == 1


def test_text_that_means_the_same_is_no_other_version(catalogued: World, tmp_path: Path) -> None:
    world = catalogued.copy(tmp_path)
    for path in [path for path in world.pack_files if path.startswith("features/") and path.endswith(".sql")]:
        again = "/* said again */\n" + world.pack_files[path].replace("\n", " -- so\n\n  ")
        world.pack_files = {**world.pack_files, path: again}
    edited(world, "visits_6m", description="Visits in half a year")
    told = compare_feature_sets(world, before="service@1", after="service")
    assert told["same_version"]
    assert told["sql"] == {}
    assert [(one["name"], one["meaning"]) for one in told["changed"]] == [("visits_6m", False)]
    same = compare_feature_sets(world, before=told["from"], after="buy")
    assert (same["changed"], same["added"], same["removed"]) == ([], [], [])


def test_features_that_come_and_go_are_told(catalogued: World, tmp_path: Path) -> None:
    world = catalogued.copy(tmp_path)
    with world.edited("models/buy.yaml") as model:
        model["features"] = ["relation", "vehicle"]
    edited(world, "vehicle_age_years", missing_indicator=True)
    told = compare_feature_sets(world, before="service@1", after="buy")
    assert "visits_6m" in told["removed"]
    assert told["added"] == []
    assert told["order_changed"]
    assert told["sql"]["service_history"][2].startswith("@@")
    assert told["used_by"]["visits_6m"] == ["service@1"]
    back = compare_feature_sets(world, before="buy", after="service@1")
    assert back["added"] == told["removed"]


def test_a_query_that_cannot_be_traced_is_a_problem_that_is_told_and_not_the_end(
    catalogued: World, tmp_path: Path
) -> None:
    world = catalogued.copy(tmp_path)
    path = "features/relation.sql"
    world.pack_files = {**world.pack_files, path: world.pack_files[path].replace("max(sold_on)", "max(sold_on_2)")}
    problems = describe_features(world, slot="2025-07-21")["problems"]
    assert any("feature group relation" in one and "sold_on_2" in one for one in problems)
    catalogue = newest_catalogue(world)
    assert catalogue["problems"] == problems
    traced = {one["name"]: one["lineage"] is not None for one in catalogue["feature_sets"][-1]["features"]}
    assert (traced["months_since_purchase"], traced["purchases"], traced["visits_6m"]) == (False, False, True)
    world.pack_files = {**world.pack_files, path: "select from where"}
    told = compare_feature_sets(world, before="service@1", after="service")
    assert told["problems"][0].startswith("service: feature group relation: cannot be read as SQL")
    assert "+select from where" in told["sql"]["relation"]
    assert "Could not be traced" in world.lake.get("catalogue/2025-07-21.html").decode()


def test_what_is_no_feature_set_is_told(catalogued: World) -> None:
    with pytest.raises(BadInputError, match="from and to: expected both"):
        compare_feature_sets(catalogued, before=None, after="buy")
    with pytest.raises(BadInputError, match="to is 'Buy!', expected"):
        compare_feature_sets(catalogued, before="buy", after="Buy!")
    for name in ("service@9", "lease", "0123456789ab"):
        with pytest.raises(NotFoundError, match=f"from: no feature set '{name}'"):
            compare_feature_sets(catalogued, before=name, after="buy")


def test_runs_from_before_there_were_counts_say_nothing_of_coverage(scored: World, tmp_path: Path) -> None:
    world = scored.copy(tmp_path)
    for key in list(world.lake.keys("runs/")):
        if "/results/build_features/" in key:
            old = {
                name: one for name, one in json.loads(world.lake.get(key)).items() if name not in ("coverage", "newest")
            }
            world.lake.put(key, json.dumps(old).encode())
    describe_features(world, slot=DAY)
    [only] = newest_catalogue(world)["feature_sets"]
    assert {(len(one["coverage"]), len(one["freshness"])) for one in only["features"]} == {(0, 0)}


TENANTS = st.lists(st.tuples(st.integers(1, 500), st.floats(0, 1)), min_size=1, max_size=12)


@given(TENANTS, st.integers(1, 4))
def test_coverage_is_the_same_however_tenants_are_spread_over_items(
    tenants: list[tuple[int, float]], items: int
) -> None:
    counts = [(rows, round(rows * share)) for rows, share in tenants]
    together = merged([{"coverage": counted(["f"], counts, whole=True)}])["f"]
    spread = [{"coverage": counted(["f"], counts[start::items], whole=True)} for start in range(items)]
    assert merged(spread)["f"] == together
    assert together.overall == Share(sum(known for _, known in counts), sum(rows for rows, _ in counts))
    assert together.least is not None
    assert together.least.value == min(known / rows for rows, known in counts) <= together.overall.value
    assert merged([*spread, {}]) == {}
    split = [{"coverage": counted(["f"], counts, whole=False)}]
    assert merged(split)["f"].least is None
