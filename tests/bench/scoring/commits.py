"""A run of ten thousand shards, made visible by one commit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from propensity.lake.domain.run_names import plan_key
from propensity.lake.domain.run_records import BuildResult, LabelledFile, LabelResult, ScoringPlan
from propensity.lake.gold_tables import SCORES, feature_table, score_file
from propensity.lake.json_objects import dumps
from propensity.lake.run_files import write_result
from propensity.scoring.commit_run import commit_run
from tests.bench.measure import Claim
from tests.bench.scoring.apart import apart, most_memory
from tests.bench.scoring.models import LINEAR
from tests.bench.scoring.prepare import DAY, MODEL, PACK, RUN, definition, register_side
from tests.fakes.folder_store import FolderStore
from tests.kit.world import World

FILES = 10_000
_ROWS = 100  # per shard, as the results say; the files are not read


def claims(work: Path, runs: int, files: int = FILES) -> list[Claim]:
    """Seconds by the clock, and memory."""
    made = work / "shards"
    apart(make_results, made, files)
    costs = []
    for number in range(runs):
        folder = work / f"commit-{number}"
        shutil.copytree(made, folder)
        costs.append(apart(commit, folder))
        assert costs[-1].result == files * _ROWS
        shutil.rmtree(folder)
    seconds = sorted(cost.seconds for cost in costs)[runs // 2]
    name = f"{files:,} shard files committed, with their features"
    return [
        Claim.of(f"{name}: seconds", seconds, None, None, runs),
        Claim.of(f"{name}: peak memory in MB", most_memory(costs), None, 1_024, runs),
    ]


def make_results(folder: Path, files: int) -> None:
    """Write a run whose workers are done: plan, results, and the two files that the commit reads columns from."""
    lake = FolderStore(folder)
    register_side(lake, LINEAR)
    groups = [[one] for one in range(files)]
    plan = ScoringPlan(model=MODEL, version=1, scope="batch", as_of=DAY, silver={}, groups=groups)
    lake.put_new(plan_key(RUN), dumps(plan))
    table = feature_table(definition().feature_set)
    for index in range(1, files + 1):
        features = f"{table}/{DAY}-bench-{index:05d}.parquet"
        built = BuildResult(population=_ROWS, rows=_ROWS, bytes=9_000, features=features)
        write_result(lake, RUN, built.step, index, built)
        path = score_file(MODEL, files, index - 1, f"{DAY}-bench-{index:05d}")
        file = LabelledFile(path=path, bucket_count=files, bucket=index - 1, rows=_ROWS, size=9_000)
        labelled = LabelResult(files=[file], rows=_ROWS)
        write_result(lake, RUN, labelled.step, index, labelled)
    scores = f"{SCORES}/{score_file(MODEL, files, 0, f'{DAY}-bench-00001')}"
    for key, column in ((f"{table}/{DAY}-bench-00001.parquet", "x"), (scores, "score")):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"tenant_id": ["t"], "customer_id": ["c"], column: [0.5]}), folder / key)


def commit(folder: Path) -> int:
    """Commit the run; how many customers it scored."""
    return int(commit_run(World(PACK, folder), run=RUN)["new"])
