"""The scorer of record batches gives what the batch committed, bit for bit, however the rows are cut into batches."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from propensity.kernel.errors import BadInputError, ConflictError, NotFoundError
from propensity.lake.json_objects import dumps
from propensity.registry.artifact import load_artifact
from propensity.registry.calibrations import CalibrationFile, add_calibration
from propensity.registry.versions import load_version
from propensity.runtime.record_batches import VersionScorer, version_scorer
from propensity.stats.calibration import Calibration
from propensity.stats.list_places import Ranks
from tests.functional.ladder.test_ladder_scoring import PLACES, with_ladder
from tests.kit.record_batches import by_customer, committed, features_of, of_trees
from tests.kit.world import World
from tests.stack.automotive import AS_OF

DAY = AS_OF.isoformat()
RUN = f"runs/score/service/{DAY}-v000001-batch"
LADDERED = RUN.replace("v000001", "v000002")


def folder(world: World, number: int = 1) -> Path:
    return world.folder / f"registry/service/versions/{number:06d}"


def batches(table: pa.Table, rows: int) -> Iterator[pa.RecordBatch]:
    return iter(table.combine_chunks().to_batches(max_chunksize=rows))


def scored_by(scorer: VersionScorer, table: pa.Table, rows: int = 1_000) -> list[dict[str, Any]]:
    return [row for batch in scorer(batches(table, rows)) for row in batch.to_pylist()]


def shuffled(table: pa.Table) -> pa.Table:
    return table.take(pa.array(np.random.default_rng(4).permutation(len(table))))


@pytest.fixture(scope="module")
def trees(history: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A lake in which boosted trees scored everyone: sums of leaves are where batches could differ."""
    return of_trees(history, tmp_path_factory.mktemp("trees"), "service", DAY)


@pytest.mark.parametrize("rows", [7, 64, 1_000, 100_000])
@pytest.mark.parametrize(("world", "method"), [("scored", "exact"), ("trees", "shapley")])
def test_every_column_is_what_the_batch_committed(
    request: pytest.FixtureRequest, world: str, method: str, rows: int
) -> None:
    there: World = request.getfixturevalue(world)
    scorer = version_scorer(folder(there), run=there.folder / RUN)
    found = by_customer(scored_by(scorer, shuffled(features_of(there, RUN)), rows))
    expected = committed(there, RUN, scorer.schema.names)
    assert len(expected) > 1_000
    assert {row["reason_method"] for row in expected.values()} == {method}
    assert found == expected


def test_a_customer_alone_is_scored_as_in_the_batch(trees: World) -> None:
    scorer = version_scorer(folder(trees), run=trees.folder / RUN)
    some = shuffled(features_of(trees, RUN)).slice(0, 50)
    expected = committed(trees, RUN, scorer.schema.names)
    for row in scored_by(scorer, some, 1):
        assert row == expected[row["tenant_id"], row["customer_id"]]


@pytest.mark.parametrize("places", PLACES, ids=lambda places: "-".join(one["rung"] for one in places.values()))
def test_a_ladder_scores_each_tenant_by_its_rung(
    trained: World, tmp_path: Path, places: dict[str, dict[str, Any]]
) -> None:
    world = with_ladder(trained, tmp_path, places)
    world.score("service", DAY)
    scorer = version_scorer(folder(world, 2), run=world.folder / LADDERED)
    found = by_customer(scored_by(scorer, shuffled(features_of(world, LADDERED)), 333))
    assert {row["rung"] for row in found.values()} == {place["rung"] for place in places.values()}
    assert found == committed(world, LADDERED, scorer.schema.names)


def test_hundreds_of_tenants_in_one_batch_are_ranked_each_by_its_own_list(scored: World) -> None:
    features = features_of(scored, RUN)
    names = [f"dealer {number}" for number in range(300)]
    many = features.set_column(
        features.schema.get_field_index("tenant_id"),
        "tenant_id",
        pa.array([names[row % 300] for row in range(len(features))]),
    )
    plain = version_scorer(folder(scored))
    scores = {row["customer_id"]: row["score"] for row in scored_by(plain, features)}
    # each list has its own cut, so that its customers are in percentile 1 or 100
    cuts = {name: 0.05 + place / 1_000 for place, name in enumerate(names)}
    ranks = {name: Ranks(50, (cut,) * 99) for name, cut in cuts.items()} | {names[0]: Ranks(5, unranked="ties")}
    scorer = VersionScorer(
        plain.model, plain.number, plain.calibration, plain.feature_names, ranks, plain.threads, plain.files
    )
    found = scored_by(scorer, many)
    assert len(found) == len(features)
    for row in found:
        assert row["score"] == scores[row["customer_id"]]
        if row["tenant_id"] == names[0]:
            assert (row["percentile"], row["decile"], row["unranked_reason"]) == (None, None, "ties")
        else:
            high = row["score"] >= cuts[row["tenant_id"]]
            assert (row["percentile"], row["decile"]) == ((100, 10) if high else (1, 1))


def test_batches_without_rows_give_batches_without_rows(scored: World) -> None:
    scorer = version_scorer(folder(scored), run=scored.folder / RUN)
    features = features_of(scored, RUN).slice(0, 20)
    none = pa.RecordBatch.from_pylist([], schema=features.schema)
    found = list(scorer(chain([none], batches(features, 10), [none])))
    assert [len(batch) for batch in found] == [0, 10, 10, 0]
    assert all(batch.schema == scorer.schema for batch in found)
    assert list(scorer(iter([]))) == []


def test_missing_values_and_other_types_of_numbers_are_scored_as_the_stack_would(scored: World) -> None:
    scorer, features = version_scorer(folder(scored)), features_of(scored, RUN).slice(0, 200)
    names = list(scorer.feature_names)
    nothing = {name: pa.nulls(200, pa.float32()) for name in names}
    artifact = load_artifact(scored, load_version(scored.lake, "service", 1))
    tenants = np.array(features["tenant_id"].to_pylist(), dtype=object)
    ids = {name: features[name] for name in ("tenant_id", "customer_id", "as_of")}
    _, expected = artifact.score(np.full((200, len(names)), np.nan, dtype=np.float32), tenants)
    assert [row["score"] for row in scored_by(scorer, pa.table(ids | nothing))] == expected.tolist()
    # an engine may have whole numbers, yes and no, large strings
    whole = {name: pc.fill_null(features[name], 0).cast(pa.int64(), safe=False) for name in names}
    whole[names[0]] = pa.array(np.arange(200) % 2 == 0)
    matrix = np.column_stack([column.to_numpy(zero_copy_only=False).astype(np.float32) for column in whole.values()])
    _, expected = artifact.score(matrix, tenants)
    large = {name: column.cast(pa.large_string()) if name != "as_of" else column for name, column in ids.items()}
    assert [row["score"] for row in scored_by(scorer, pa.table(large | whole))] == expected.tolist()


def test_a_later_calibration_is_given_by_its_file(scored: World, tmp_path: Path) -> None:
    world = scored.copy(tmp_path)
    version = load_version(world.lake, "service", 1)
    steeper = Calibration("sigmoid", (0.0, 1.0), (0.5, 2.0), 100, 50)
    file = CalibrationFile(
        model="service", version=1, number=1, by="anna", why="test", at="2025-07-02", calibration=steeper.to_json()
    )
    assert add_calibration(world.lake, version, file)
    path = tmp_path / "registry/service/calibrations/000001/000001.json"
    scorer = version_scorer(folder(world), calibration=path)
    row, *_ = found = scored_by(scorer, features_of(world, RUN).slice(0, 100))
    assert row["calibration"] == 1
    assert [row["score"] for row in found] == steeper.apply(np.array([row["raw"] for row in found])).tolist()
    with pytest.raises(ConflictError, match="version 1 calibration 0, expected service version 1 calibration 1"):
        version_scorer(folder(world), calibration=path, run=tmp_path / RUN)
    renamed = tmp_path / "copy"
    shutil.copytree(folder(world), renamed)
    with pytest.raises(ConflictError, match="of model service version 1, expected one of service version 2"):
        version_scorer(renamed, calibration=path, number=2)


def test_the_scorer_travels_to_workers_without_rows_of_customers(trees: World) -> None:
    scorer = version_scorer(folder(trees), run=trees.folder / RUN)
    names = {key.rpartition("000001/")[2].partition("/")[0] for key in scorer.files}
    weighed = {"model.onnx", "reasons.onnx", "calibration.json", "explanation.json", "reference.json"}
    assert names == {"lineage.json", "definition", *weighed}
    features = features_of(trees, RUN).slice(0, 30)
    there = pickle.loads(pickle.dumps(scorer))  # noqa: S301 - our own bytes
    assert scored_by(there, features) == scored_by(scorer, features)
    assert "model.onnx" not in repr(scorer)


def test_the_schema_of_spark_is_that_of_gold(trees: World) -> None:
    ddl = version_scorer(folder(trees), run=trees.folder / RUN).ddl
    assert ddl == (
        "`tenant_id` string, `customer_id` string, `as_of` date, `raw` double, `score` double, `percentile` int, "
        "`decile` int, `unranked_reason` string, "
        "`reasons` array<struct<feature: string, contribution: double, text: string>>, `reason_method` string, "
        "`model_version` int, `calibration` int, `feature_set` string"
    )


def test_rows_that_cannot_be_scored_are_refused_with_the_column_and_what_to_do(scored: World) -> None:
    scorer = version_scorer(folder(scored), run=scored.folder / RUN)
    features = features_of(scored, RUN).slice(0, 10)
    first = scorer.feature_names[0]

    def told(table: pa.Table, kind: type[Exception], match: str) -> None:
        with pytest.raises(kind, match=match):
            scored_by(scorer, table)

    def with_column(name: str, values: Any) -> pa.Table:
        return features.set_column(features.schema.get_field_index(name), name, values)

    told(features.drop_columns([first]), BadInputError, f"the rows lack the columns {first}; select them")
    told(with_column(first, pa.array(["x"] * 10)), BadInputError, f"{first} is string; cast the features to float")
    told(with_column("as_of", pa.array([DAY] * 10)), BadInputError, r"as_of is string, not date32\[day\]")
    missing = pa.array([None, *["dealer_01"] * 9])
    told(with_column("tenant_id", missing), BadInputError, "1 of 10 rows have no tenant_id")
    strangers = pa.array(["new"] * 5 + ["other"] * 5)
    told(with_column("tenant_id", strangers), NotFoundError, "no list of tenant new and 1 more; give the run")


def test_a_folder_that_is_not_the_whole_version_is_refused(scored: World, tmp_path: Path) -> None:
    copy = tmp_path / "mlflow-artifact"
    shutil.copytree(folder(scored), copy)
    with pytest.raises(BadInputError, match="name is no version's number; say it with number="):
        version_scorer(copy)
    assert version_scorer(copy, number=1).feature_names == version_scorer(folder(scored)).feature_names
    with pytest.raises(ConflictError, match="version 1 calibration 0, expected service version 3 calibration 0"):
        version_scorer(copy, number=3, run=scored.folder / RUN)
    (copy / "explanation.json").write_bytes(dumps({"kind": "opaque"}))
    with pytest.raises(ConflictError, match=r"explanation\.json: missing, or not as registered; copy the folder again"):
        version_scorer(copy, number=1)
    (copy / "lineage.json").unlink()
    with pytest.raises(NotFoundError, match=r"lineage\.json: not there"):
        version_scorer(copy, number=1)
