"""A tenant's export has every row of it and of nobody else. It is whole or not there, and always the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.feedback.run_matchback import match_due
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.portal import export_tenant as module
from propensity.portal.export_tenant import export_tenant, slices
from propensity.ports import DataFile
from propensity.serving.log_inference import log_inference
from tests.kit.faults import Crash, light
from tests.kit.world import World
from tests.stack.automotive import KNOWN_BY, Generated

TENANT = "dealer_02"


@pytest.fixture(scope="module")
def lake(scored: World, dealers: Generated, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A lake with scores, matchback and answers: something of everything that an export holds."""
    world = scored.copy(tmp_path_factory.mktemp("lake"))
    world.load(dealers.phases["outcomes"])
    match_due(world, slot=KNOWN_BY.replace(year=KNOWN_BY.year + 1).isoformat())
    score = {"customer_id": "C1", "score": 0.5, "decile": 3, "source": "champion"}
    for number, tenant in enumerate(("dealer_01", TENANT, TENANT)):
        asked = {"request_id": f"r{number}", "answered_at": "2025-07-02T00:00:00Z", "model": "service"}
        log_inference(world, [{**asked, "model_version": 1, "tenant_id": tenant, "scores": [score]}])
    return world


@pytest.fixture
def world(lake: World, tmp_path: Path) -> World:
    return lake.copy(tmp_path)


def manifest(world: World, request: str = "one") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.lake.get(f"exports/{request}/tenant_id={TENANT}/manifest.json"))
    return found


def exported(world: World, request: str = "one") -> dict[str, bytes]:
    return {key.split("/", 2)[2]: world.lake.get(key) for key in world.lake.keys(f"exports/{request}/")}


def test_an_export_holds_every_version_of_every_row_of_the_tenant_and_of_nobody_else(world: World) -> None:
    answer = export_tenant(world, tenant_id=TENANT, request="one")
    told = manifest(world)
    tables = {file["table"]: file for file in told["files"]}
    assert set(tables) == {
        *(f"silver/{dataset}" for dataset in world.datasets),
        "gold/scores",
        "gold/ground_truth",
        "gold/inference_log",
    }
    assert told["left_out"] == ["gold/matchback"]
    for table, file in tables.items():
        path = world.folder / f"exports/one/tenant_id={TENANT}/{file['file']}"
        [(rows,)] = world.query(f"select count(*) from t where tenant_id = '{TENANT}'", t=table)
        inside = duckdb.execute(f"select count(*), count(distinct tenant_id), any_value(tenant_id) from '{path}'")
        assert inside.fetchall() == [(rows, 1, TENANT)], table
        assert (file["rows"], file["bytes"]) == (rows, path.stat().st_size)
        assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        snapshot = world.tables.snapshot(table)
        assert snapshot is not None
        assert told["tables"][table] == snapshot.version
    assert (answer["files"], answer["rows"]) == (len(tables), sum(file["rows"] for file in tables.values()))


def test_silver_s_rows_come_with_their_system_columns_and_scores_with_their_model(world: World) -> None:
    export_tenant(world, tenant_id=TENANT, request="one")
    folder = f"{world.folder}/exports/one/tenant_id={TENANT}"
    wanted = "tenant_id, _key, _row_hash, _known_at::varchar, _event_time::varchar, _content_id, _line, price"
    here = world.query(f"select {wanted} from s where tenant_id = '{TENANT}'", s="silver/sales")
    with duckdb.connect() as elsewhere:
        elsewhere.execute("set timezone = 'UTC'")
        there = elsewhere.execute(f"select {wanted} from '{folder}/sales.parquet'").fetchall()
    assert sorted(there) == sorted(here)
    models = duckdb.execute(f"select distinct model from '{folder}/gold/scores.parquet'").fetchall()
    assert models == [("service",)]


def test_a_second_export_of_one_request_changes_nothing_whatever_came_since(world: World) -> None:
    first = export_tenant(world, tenant_id=TENANT, request="one")
    before = exported(world)
    [report] = world.query("select count(*) from s", s="silver/sales")
    line = "S77777,C0034804,1HGCM82633A004352,2025-05-02,new,loan,31999.00,2025-05-02 18:00:00"
    head = "sale_id,customer_id,vin,sold_on,condition,finance,price,recorded_at"
    world.put(f"sales/tenant_id={TENANT}/late.csv", f"{head}\n{line}\n".encode())
    world.promote()
    assert world.query("select count(*) from s", s="silver/sales") == [(report[0] + 1,)]
    assert export_tenant(world, tenant_id=TENANT, request="one") == first
    assert exported(world) == before
    assert export_tenant(world, tenant_id=TENANT, request="two")["rows"] == first["rows"] + 1


@pytest.mark.parametrize("share", [number / 12 for number in range(12)])
def test_an_export_that_dies_is_not_there_and_going_on_gives_the_same_bytes(
    world: World, tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    undisturbed = world.copy(tmp_path_factory.mktemp("other"))
    fuse = light(undisturbed, 1_000_000)
    export_tenant(undisturbed, tenant_id=TENANT, request="one")
    assert fuse.left is not None
    whole = world.lake, world.tables
    light(world, int(share * (1_000_000 - fuse.left)))
    with pytest.raises(Crash):
        export_tenant(world, tenant_id=TENANT, request="one")
    world.lake, world.tables = whole
    # the manifest is put last: without it there is no export
    assert f"exports/one/tenant_id={TENANT}/manifest.json" not in set(world.lake.keys("exports/"))
    export_tenant(world, tenant_id=TENANT, request="one")
    assert exported(world) == exported(undisturbed)


def test_small_slices_give_the_same_rows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    export_tenant(world, tenant_id=TENANT, request="one")
    monkeypatch.setattr(module, "_SLICE", 1)
    export_tenant(world, tenant_id=TENANT, request="two")
    rows = [{file["file"]: file["rows"] for file in manifest(world, one)["files"]} for one in ("one", "two")]
    assert rows[0] == rows[1]


def test_names_that_are_none_and_tenants_without_rows_are_refused(world: World) -> None:
    for wrong in ({"tenant_id": "a/b", "request": "r"}, {"tenant_id": TENANT, "request": "../r"}):
        with pytest.raises(BadInputError, match="expected 1 to 64 letters"):
            export_tenant(world, **wrong)
    with pytest.raises(NotFoundError, match="dealer_99: no table has a row of it"):
        export_tenant(world, tenant_id="dealer_99", request="r")


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=12), st.integers(0, 15))
def test_every_file_is_in_one_slice_of_one_partition(made: list[tuple[int, int]], size: int) -> None:
    files = [DataFile(f"{number}", 1, size, {"bucket": str(bucket)}) for number, (bucket, size) in enumerate(made)]
    cut = list(slices(files, size))
    assert sorted((file.path for piece in cut for file in piece), key=int) == [file.path for file in files]
    for piece in cut:
        assert len({file.partition["bucket"] for file in piece}) == 1
        assert len(piece) == 1 or sum(file.size for file in piece) <= size
