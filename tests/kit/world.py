"""The use cases wired to a lake in a folder: DuckDB, delta-rs, scikit-learn and onnxruntime are the real ones."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import yaml

from propensity.adapters.calamine_workbooks import CalamineWorkbooks
from propensity.adapters.delta_tables import DeltaTables
from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.adapters.frames import ArrowFrames
from propensity.adapters.onnx_scorer import OnnxReasons, OnnxScorer
from propensity.adapters.sklearn_trainer import SklearnTrainer
from propensity.adapters.sqlglot_lineage import SqlglotLineage
from propensity.evaluation.evaluate_candidate import evaluate_candidate
from propensity.features.build_features import build_features
from propensity.ingest.promote_silver import BronzeFile, promote_silver
from propensity.ingest.validate_upload import Upload, validate_upload
from propensity.ladder.evaluate_ladder import evaluate_ladder
from propensity.ladder.fit_ladder import fit_ladder
from propensity.lake.domain.as_of_views import current_view
from propensity.lake.silver_tables import shape_of
from propensity.pack.current import contract_of
from propensity.release.check_replay import check_replay
from propensity.release.register_model import register_model
from propensity.release.replay_version import replay_version
from propensity.runtime.logging import log_fault
from propensity.runtime.pack_files import pack_files
from propensity.scoring.commit_run import commit_run
from propensity.scoring.label_shard import label_shard
from propensity.scoring.plan_scoring import plan_scoring
from propensity.scoring.publish_scores import publish_scores
from propensity.scoring.rank_run import rank_run
from propensity.scoring.score_shard import score_shard
from propensity.training.fit_candidate import fit_candidate
from propensity.training.plan_training import plan_training
from tests.fakes.folder_store import FolderStore
from tests.fakes.memory import (
    MemoryDownloadAccess,
    MemoryMetrics,
    MemoryOnline,
    MemoryQueue,
    MemoryStore,
    MemoryUploadAccess,
    MemoryWorkflows,
)
from tests.stack.scenarios import Drop

LANDING = "landing"


class World:
    """The ports of one pack over one folder, and the steps of the workflows as the state machines run them."""

    def __init__(self, pack: str, folder: Path, rows_per_item: int = 200_000) -> None:
        self.pack = pack
        self.pack_files = pack_files(pack)
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.rows_per_item = rows_per_item
        self.landing = MemoryStore()
        self.lake = FolderStore(folder)
        self.tables = DeltaTables(str(folder))
        self.sql = DuckDbSql
        self.workbooks = CalamineWorkbooks()
        self.promote_queue = MemoryQueue()
        self.inference_queue = MemoryQueue()
        self.workflows = MemoryWorkflows()
        self.online = MemoryOnline()
        self.metrics = MemoryMetrics()
        self.frames = self.frame_streams = ArrowFrames()
        self.trainer = SklearnTrainer()
        self.upload_access = MemoryUploadAccess(self.landing)
        self.download_access = MemoryDownloadAccess()
        self.query_lineage = SqlglotLineage()

    def with_dates(self, count: int) -> World:
        """The same world, whose models train on so many as-of dates. The pack's own number would take longer."""
        for path in [path for path in self.pack_files if path.startswith("models/")]:
            with self.edited(path) as model:
                assert "as_of_count" in model["training"], path
                model["training"]["as_of_count"] = count
        return self

    @contextmanager
    def edited(self, path: str) -> Iterator[dict[str, Any]]:
        """A YAML file of the pack, parsed, to change in place; the pack that ships stays as it is."""
        parsed = yaml.safe_load(self.pack_files[path])
        yield parsed
        self.pack_files = {**self.pack_files, path: yaml.safe_dump(parsed)}

    def copy(self, folder: Path) -> World:
        """Another world of the same content, what landed and what is online included."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        other = World(self.pack, folder, self.rows_per_item)
        other.pack_files = self.pack_files
        landed = list(self.landing.versions(""))
        for info in sorted(landed, key=lambda info: info.last_modified):
            other.landing.put(info.key, self.landing.get(info.key, info.version_id))
        assert list(other.landing.versions("")) == landed
        other.online.items.update(self.online.items)
        return other

    def tell_fault(self, step: str, error: Exception, **fields: str | int) -> None:
        log_fault(step, error, **fields)

    def stopwatch(self) -> float:
        """Stands still, for a measured time is the one thing in a training that a rerun would not repeat."""
        return 0.0

    def reason_model(self, onnx: bytes) -> OnnxReasons:
        return OnnxReasons(onnx)

    def scorer(self, onnx: bytes) -> OnnxScorer:
        return OnnxScorer(onnx)

    def drop(self, drop: Drop) -> dict[str, Any]:
        """Validate a file of a scenario; its report."""
        return self.put(drop.key, drop.path.read_bytes())

    def put(self, key: str, body: bytes) -> dict[str, Any]:
        """Put a file under a key of the landing bucket and validate it; its report."""
        self.landing.put(key, body)
        info = self.landing.head(key)
        return validate_upload(self, Upload(LANDING, key, info.version_id, info.etag))

    def promote(self, batch: int = 100) -> None:
        """Work off the promote queue, a batch of messages at a time, one commit per dataset."""
        files = [BronzeFile.parse(message) for message in self.promote_queue.messages]
        self.promote_queue.messages.clear()
        for start in range(0, len(files), batch):
            part = files[start : start + batch]
            for dataset in sorted({file.dataset for file in part}):
                promote_silver(self, [file for file in part if file.dataset == dataset])

    def load(self, drops: Iterable[Drop]) -> list[dict[str, Any]]:
        """Bring files of a scenario to Silver; their reports."""
        reports = [self.drop(drop) for drop in drops]
        self.promote()
        return reports

    def items(self, key: str) -> list[str]:
        """The items of a list that a planner wrote."""
        return [item["item"] for item in json.loads(self.lake.get(key))]

    def train(self, model: str, as_of: str) -> dict[str, Any]:
        """A whole training; what register_model answers."""
        plan = self.prepare(model, as_of)
        self.fit(plan)
        return self.register(plan["run"])

    def prepare(self, model: str, as_of: str, **planned: Any) -> dict[str, Any]:
        """A training up to its features; what plan_training answers."""
        plan = plan_training(self, model=model, as_of=as_of, **planned)
        self.build(plan)
        return plan

    def build(self, plan: Mapping[str, Any]) -> None:
        for item in self.items(plan["build_items"]):
            build_features(self, item=item)

    def feature_keys(self, plan: Mapping[str, Any]) -> list[str]:
        """The feature files of a training, one for each item."""
        return [json.loads(self.lake.get(item))["out"] for item in self.items(plan["build_items"])]

    def fit(self, plan: Mapping[str, Any]) -> None:
        """Fit the candidates and choose one."""
        for item in self.items(plan["fit_items"]):
            fit_candidate(self, item=item)
        self.evaluate(plan["run"])

    def evaluate(self, run: str) -> None:
        """Choose a candidate, and make the ladder where the model has one."""
        if evaluate_candidate(self, run=run)["ladder"]:
            fit_ladder(self, run=run)
            evaluate_ladder(self, run=run)

    def register(self, run: str) -> dict[str, Any]:
        return register_model(self, run=run, at="2025-07-01T03:10:00Z")

    def replay(self, model: str, version: int, request: str) -> dict[str, Any]:
        """A version's training once more; the report of check_replay."""
        plan = replay_version(self, model=model, version=version, request=request)
        self.build(plan)
        self.fit(plan)
        answer = check_replay(self, run=plan["run"])
        report: dict[str, Any] = json.loads(self.lake.get(answer["report"]))
        assert answer["same"] == report["same"]
        return report

    def score(
        self, model: str, as_of: str, scope: str = "batch", request: str = "pull", **planned: Any
    ) -> dict[str, Any]:
        """A whole scoring run; its receipt."""
        answers = {name: step() for name, step in self.scoring(model, as_of, scope, request, **planned)}
        return answers["commit_run"]

    def scoring(
        self, model: str, as_of: str, scope: str = "batch", request: str = "pull", **planned: Any
    ) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
        """The calls of a scoring run, with the names of their functions. Take the next one when one has succeeded."""
        asked = {"model": model, "as_of": as_of, "scope": scope, "request": request, **planned}
        plan: dict[str, Any] = {}

        def planning() -> dict[str, Any]:
            plan.update(plan_scoring(self, **asked))
            return plan

        yield "plan_scoring", planning
        items = self.items(plan["items"])
        for item in items:
            yield "build_features", partial(build_features, self, item=item)
        for item in items:
            yield "score_shard", partial(score_shard, self, item=item)
        yield "rank_run", partial(rank_run, self, run=plan["run"])
        for item in items:
            yield "label_shard", partial(label_shard, self, item=item)
        yield "commit_run", partial(commit_run, self, run=plan["run"])
        for item in items:
            yield "publish_scores", partial(publish_scores, self, item=item)

    def query(self, sql: str, **tables: str) -> list[tuple[Any, ...]]:
        """Rows of a query in DuckDB's SQL. `s="gold/scores"` lets it read that table by the name `s`."""
        with DuckDbSql() as session:
            for name, table in tables.items():
                snapshot = self.tables.snapshot(table)
                assert snapshot is not None, table
                listed = ", ".join(f"'{self.folder}/{key}'" for key in snapshot.file_keys())
                session.execute(
                    f"create view {name} as select * from read_parquet([{listed}], union_by_name = true, "
                    "hive_partitioning = false)"
                )
            return session.rows(sql)

    def silver_hash(self, dataset: str, known_before: str | None = None) -> str:
        """Hash of the sorted rows of a dataset's current view, or of the view as known before a day."""
        shape = shape_of(contract_of(self, dataset))
        columns = ", ".join(f'"{name}"::varchar' for name, _ in shape.columns)
        view = current_view(shape, "silver")
        if known_before:
            view = current_view(shape, f"(select * from silver where _known_at < timestamptz '{known_before}')")
        return content_hash(self.query(f"select tenant_id, {columns} from ({view})", silver=f"silver/{dataset}"))

    def scores_hash(self) -> str:
        columns = "tenant_id, customer_id, as_of, score, percentile, decile, reasons, model_version, run"
        return content_hash(self.query(f"select {columns} from scores", scores="gold/scores"))

    @cached_property
    def datasets(self) -> list[str]:
        return sorted(
            path.split("/")[1].removesuffix(".yaml") for path in self.pack_files if path.startswith("contracts/")
        )


def content_hash(rows: Iterable[tuple[Any, ...]]) -> str:
    digest = hashlib.sha256()
    for row in sorted(repr(row) for row in rows):
        digest.update(row.encode())
    return digest.hexdigest()
