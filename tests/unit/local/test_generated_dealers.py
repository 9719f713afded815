"""The generated dealers are unlike each other, and the manifest says in what."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.stack.automotive import AS_OF, Generated, generate
from tests.stack.automotive.feeds import LATE_DAYS, OLD
from tests.stack.automotive.people import DIRT, WRONG


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generate(tmp_path_factory.mktemp("dealers"), dealers=9, customers=5_000)


@pytest.fixture(scope="module")
def manifest(made: Generated) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(made.manifest.read_text())
    return told


def rows(made: Generated, phase: str, key: str) -> list[dict[str, str]]:
    [path] = [drop.path for drop in made.phases[phase] if drop.key == key]
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(raw.decode().splitlines()))


@pytest.mark.parametrize("model", ["buy", "service"])
def test_true_rates_differ_by_a_factor_of_five(manifest: dict[str, Any], made: Generated, model: str) -> None:
    *dealers, small = manifest["dealers"]
    rates = [dealer[model]["rate"] for dealer in dealers]
    assert max(rates) / min(rates) > 5
    told = duckdb.execute(
        f"select avg(probability) from '{made.truth}' where model = '{model}' group by tenant_id order by tenant_id"
    ).fetchall()
    assert [*rates, small[model]["rate"]] == pytest.approx([rate for (rate,) in told], abs=1e-4)


def test_the_last_dealer_has_too_few_customers_for_a_list(manifest: dict[str, Any]) -> None:
    *dealers, small = manifest["dealers"]
    assert 0 < small["customers"] < 20
    assert min(dealer["customers"] for dealer in dealers) > 100


def test_a_dealer_s_visits_of_the_last_days_come_with_the_outcomes_only(
    made: Generated, manifest: dict[str, Any]
) -> None:
    [late] = manifest["late"]
    place = f"{late['dataset']}/tenant_id={late['tenant_id']}"
    since = AS_OF - timedelta(days=LATE_DAYS)
    assert not any(drop.key.startswith(place) for drop in made.phases["gap"])
    known = [row["recorded_at"] for row in rows(made, "history", f"{place}/history-2.csv")]
    assert max(known) < since.isoformat()
    # a correction of a late visit lands before it, in every run
    assert made.phases["outcomes"][-2].key == f"{place}/outcomes-2.csv"
    days = [date.fromisoformat(row["recorded_at"][:10]) for row in rows(made, "outcomes", f"{place}/outcomes-2.csv")]
    assert sum(since <= day < AS_OF for day in days) >= late["rows"] > 20


def test_an_export_says_something_else_under_the_days_of_the_first_one(
    made: Generated, manifest: dict[str, Any]
) -> None:
    assert [one["phase"] for one in manifest["changed"]] == ["history", "outcomes"]
    [tenant] = {one["tenant_id"] for one in manifest["changed"]}
    first = {
        row["vin"].strip().upper(): row
        for row in rows(made, "history", f"vehicles/tenant_id={tenant}/history-1.csv.gz")
    }
    for one in manifest["changed"]:
        assert made.phases[one["phase"]][-1].key == one["key"], "whatever it changes has to arrive before it"
        again = [row for row in rows(made, one["phase"], one["key"]) if row["vin"] in first]
        changed = [row for row in again if row["first_registered_on"] == OLD]
        assert len(changed) > 10
        assert len(changed) == pytest.approx(one["changed"], abs=5)  # faulty vehicle numbers are not found again
        assert {row["recorded_at"] == first[row["vin"]]["recorded_at"] for row in again} == {True}


def test_every_planted_pair_is_true_or_false_as_the_manifest_says(made: Generated, manifest: dict[str, Any]) -> None:
    people = {
        (tenant, customer): (person, household)
        for tenant, customer, person, household in duckdb.execute(f"select * from '{made.people}'").fetchall()
    }
    kinds = Counter(pair["kind"] for pair in manifest["pairs"])
    assert set(kinds) == {*DIRT, *WRONG, "household"}
    assert min(kinds.values()) >= 10
    for pair in manifest["pairs"]:
        first, second = (people[pair["tenant_id"], customer] for customer in pair["customers"])
        assert (first[0] == second[0], first[1] == second[1]) == (pair["same_person"], pair["same_household"]), pair


def test_dealers_are_alike_where_that_is_asked_for(tmp_path: Path) -> None:
    told = json.loads(generate(tmp_path, dealers=6, customers=3_000, alike=True).manifest.read_text())
    rates = [dealer["service"]["rate"] for dealer in told["dealers"]]
    assert max(rates) / min(rates) < 1.3
    assert (told["late"], told["changed"]) == ([], [])


def test_equal_seeds_give_equal_files(made: Generated, tmp_path: Path) -> None:
    again = generate(tmp_path, dealers=9, customers=5_000)
    for phase, drops in made.phases.items():
        assert [drop.path.read_bytes() for drop in again.phases[phase]] == [drop.path.read_bytes() for drop in drops]
    assert again.manifest.read_bytes() == made.manifest.read_bytes()
