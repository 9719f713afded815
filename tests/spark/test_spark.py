"""Local Spark scores a run's features with the version's folder, and gives what the run committed, bit for bit."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propensity.runtime.record_batches import version_scorer
from tests.functional.ladder.test_ladder_scoring import PLACES, with_ladder
from tests.kit.record_batches import Rows, by_customer, committed, features_of, of_trees
from tests.kit.world import World
from tests.stack.automotive import AS_OF

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/how-to/score-on-spark.md"
SPARK = "pyspark==4.3.0"
# Spark's workers score with these, and a comparison of bits asks for the versions that the stack has
SAME = ("numpy", "onnxruntime", "pyarrow", "pydantic", "pyyaml")
DAY = AS_OF.isoformat()


def pinned() -> list[str]:
    lines = (ROOT / "requirements/dev.txt").read_text()
    return [found for name in SAME for found in re.findall(rf"^{name}==[\w.]+", lines, re.MULTILINE)]


def on_spark(folders: dict[str, str]) -> None:
    packages = [SPARK, "pandas", *pinned()]
    assert len(packages) == 2 + len(SAME)
    uv = shutil.which("uv") or str(ROOT / ".tools/bin/uv")
    command = [uv, "run", "--no-project", "--quiet", "--python", "3.13"]
    command += [option for package in packages for option in ("--with", package)]
    command += ["python", str(ROOT / "tests/kit/spark_scores.py"), json.dumps(folders)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "shared/src")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]


def sql_of_the_page() -> str:
    [found] = re.findall(r"^ *```sql\n(.*?)^ *```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def rows_of(folder: Path) -> Rows:
    return by_customer(row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist())


def compare(world: World, number: int, folder: Path) -> Rows:
    """Score a run's features on Spark and hold each row against the run's; the rows with the page's own places."""
    run = f"runs/score/service/{DAY}-v{number:06d}-batch"
    version = world.folder / f"registry/service/versions/{number:06d}"
    features = features_of(world, run)
    (folder / "features").mkdir(parents=True)
    for part in range(3):
        pq.write_table(features.take(pa.array(range(part, len(features), 3))), folder / f"features/{part}.parquet")
    names = ("features", "out", "placed")
    folders = {"version": str(version), "run": str(world.folder / run), "places": sql_of_the_page()}
    on_spark(folders | {name: str(folder / name) for name in names})
    expected = committed(world, run, version_scorer(version, run=world.folder / run).schema.names)
    assert len(expected) > 1_000
    assert rows_of(folder / "out") == expected
    return rows_of(folder / "placed")


def test_scores_places_and_reasons_are_those_of_the_batch(history: World, tmp_path: Path) -> None:
    # sums of leaves are where engines could differ
    world = of_trees(history, tmp_path / "world", "service", DAY)
    placed = compare(world, 1, tmp_path / "spark")
    assert {row["reason_method"] for row in placed.values()} == {"shapley"}
    # the list of a whole population can be made on Spark too, by the SQL of the page
    assert len({row["percentile"] for row in placed.values()}) > 90
    for row in placed.values():
        assert (row["own_percentile"], row["own_decile"]) == (row["percentile"], row["decile"])


@pytest.mark.parametrize("places", PLACES, ids=lambda places: "-".join(one["rung"] for one in places.values()))
def test_so_they_are_where_tenants_have_models_of_their_own(
    trained: World, tmp_path: Path, places: dict[str, dict[str, Any]]
) -> None:
    world = with_ladder(trained, tmp_path / "world", places)
    world.score("service", DAY)
    placed = compare(world, 2, tmp_path / "spark")
    assert {row["rung"] for row in placed.values()} == {place["rung"] for place in places.values()}
