"""A tenant leaves: only the models and the record stay of it, and nothing changes for the other tenants."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from propensity.erasure.erase_customer import erase_customer
from propensity.erasure.erase_tenant import erase_tenant
from propensity.ingest.promote_silver import BronzeFile, promote_silver
from propensity.ingest.validate_upload import Upload, validate_upload
from propensity.kernel.errors import ConflictError
from propensity.kernel.tenant import tenant_of
from propensity.registry.versions import load_champion
from propensity.serving.serve_scores import ScoreRequest, load_serving, serve_scores
from tests.kit.world import LANDING, World
from tests.stack.automotive import AS_OF

DAY = AS_OF.isoformat()
GONE, STAYS = "dealer_01", "dealer_02"
TICKET = {"request": "OFFBOARD-1", "why": "left", "by": "support", "at": "2026-11-21T09:00:00Z"}


@pytest.fixture(scope="module")
def world(scored: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = scored.copy(tmp_path_factory.mktemp("lake"))
    world.landing.put(f"customers/tenant_id={GONE}/never-validated.csv", b"x")
    world.put(f"customers/tenant_id={GONE}/refused.csv", b"who\nC0000001\n")
    return world


def rows_of(world: World, tenant: str) -> dict[str, list[str]]:
    """A tenant's rows in each Parquet file that names tenants, files of old table versions included."""
    found = {}
    for key in world.lake.keys(""):
        if key.endswith(".parquet") and "_delta_log" not in key and tenant_of(key) in (None, tenant):
            rows = pq.read_table(io.BytesIO(world.lake.get(key))).to_pylist()
            found[key] = [repr(row) for row in rows if row.get("tenant_id", tenant_of(key)) == tenant]
    return {key: rows for key, rows in found.items() if rows}


def test_everything_of_a_tenant_goes_and_the_others_stay(world: World) -> None:
    before = rows_of(world, STAYS)
    champion = load_champion(world.lake, "service")
    files = {key: world.lake.get(key) for key in world.lake.keys(champion.folder)}
    others_landed = [one for one in world.landing.versions("") if tenant_of(one.key) == STAYS]
    [message, *_] = [
        BronzeFile.parse(json.loads(world.lake.get(key)))
        for key in world.lake.keys(f"validation/customers/tenant_id={GONE}/")
        if b'"accepted"' in world.lake.get(key)
    ]
    landed = next(one for one in world.landing.versions("") if tenant_of(one.key) == GONE)

    answer = erase_tenant(world, tenant_id=GONE, **TICKET)

    assert (answer["subject"], answer["proof"]["hits"]) == ("tenant", 0)
    assert rows_of(world, GONE) == {}
    assert [key for key in world.lake.keys("") if tenant_of(key) == GONE] == []
    assert list(world.landing.versions("")) == others_landed
    assert not any(place[0] == GONE for place in world.online.items)
    after = rows_of(world, STAYS)
    # a file that left the newest version of a table is in it under another name
    assert {key: rows for key, rows in after.items() if key in before} == before
    for table, first in (("silver/customers", 0), ("gold/scores", 1)):
        for version in (first, None):
            read = pa.table(DeltaTable(str(world.folder / table), version=version).scan())
            assert set(read["tenant_id"].to_pylist()) == {STAYS}, (table, version)
    assert {key: world.lake.get(key) for key in world.lake.keys(champion.folder)} == files
    assert erase_tenant(world, tenant_id=GONE, **TICKET) == answer
    # an event or a message that is delivered again changes nothing
    kept = list(world.lake.keys(""))
    assert promote_silver(world, [message])["files"] == 0
    upload = Upload(LANDING, landed.key, landed.version_id, landed.etag)
    assert validate_upload(world, upload)["status"] == "erased"
    assert list(world.lake.keys("")) == kept
    # the model still serves the others
    [(customer,)] = world.query("select min(customer_id) from s", s="gold/scores")
    asked = serve_scores(
        world, load_serving(world, "service", 1), ScoreRequest("service", STAYS, (customer,)), request_id="r", at=DAY
    )
    assert asked["scores"][0]["source"] == "champion"
    with pytest.raises(ConflictError, match="was about tenant of tenant dealer_01; give each erasure a reference"):
        erase_customer(world, tenant_id=STAYS, customer_id=customer, **TICKET)


def test_the_record_says_how_much_of_the_training_data_went(world: World, tmp_path: Path) -> None:
    record = json.loads(world.lake.get("audit/erasures/OFFBOARD-1.json"))
    lineage = load_champion(world.lake, "service").lineage
    for dataset, version in lineage["silver"].items():
        table = DeltaTable(str(world.folder / f"silver/{dataset}"), version=version)
        there = pa.table(table.scan()).num_rows
        assert record["pinned"][f"silver/{dataset}"][str(version)] == table.count() - there
    assert not list(tmp_path.iterdir())
