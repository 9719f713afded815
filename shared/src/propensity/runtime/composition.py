"""Builds the ports of a deployed function. Each port is built when it is first used.

An adapter is imported inside its factory, so that a function needs only the layers of the ports it uses.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache, cached_property
from importlib.util import find_spec
from time import perf_counter
from typing import Any

from propensity.ports import (
    DownloadAccess,
    Frames,
    FrameStreams,
    Metrics,
    Model,
    ObjectStore,
    OnlineTable,
    QueryLineage,
    Queue,
    ReasonModel,
    SqlFactory,
    Tables,
    Trainer,
    UploadAccess,
    Workbooks,
    Workflows,
)
from propensity.runtime.logging import log_fault
from propensity.runtime.pack_files import pack_files
from propensity.runtime.settings import Settings, settings


class AwsPorts:
    """The ports over AWS, built from the settings."""

    def __init__(self, chosen: Settings, environment: Mapping[str, str]) -> None:
        self._settings = chosen
        self._environment = environment

    @property
    def pack(self) -> str:
        return self._settings.need("pack")

    @property
    def pack_files(self) -> Mapping[str, str]:
        return pack_files(self.pack)

    @property
    def rows_per_item(self) -> int:
        return self._settings.rows_per_item

    @cached_property
    def landing(self) -> ObjectStore:
        return self._store("landing_bucket")

    @cached_property
    def lake(self) -> ObjectStore:
        return self._store("lake_bucket")

    @cached_property
    def tables(self) -> Tables:
        from propensity.adapters.delta_tables import DeltaTables, storage_options

        return DeltaTables(f"s3://{self._settings.need('lake_bucket')}", storage_options(self._environment))

    @property
    def sql(self) -> SqlFactory:
        from propensity.adapters.duckdb_sql import DuckDbSql

        return DuckDbSql

    @cached_property
    def promote_queue(self) -> Queue:
        return self._queue("promote_queue_url")

    @cached_property
    def inference_queue(self) -> Queue:
        return self._queue("inference_queue_url")

    @cached_property
    def workflows(self) -> Workflows:
        from propensity.adapters.step_functions import StepFunctions

        machines = {
            "train_model": self._settings.train_machine_arn,
            "score_population": self._settings.score_machine_arn,
            "export_list": self._settings.export_machine_arn,
            "backtest_model": self._settings.backtest_machine_arn,
        }
        return StepFunctions(_client("stepfunctions"), machines)

    @cached_property
    def online(self) -> OnlineTable:
        from propensity.adapters.dynamo_online import DynamoOnline

        return DynamoOnline(_client("dynamodb"), self._settings.need("online_table"))

    @cached_property
    def metrics(self) -> Metrics:
        from propensity.adapters.emf_metrics import EmfMetrics

        return EmfMetrics()

    @property
    def frames(self) -> Frames:
        # functions that train have arro3, because pyarrow does not fit beside scikit-learn
        if find_spec("pyarrow"):
            from propensity.adapters.frames import ArrowFrames

            return ArrowFrames()
        from propensity.adapters.arro3_frames import Arro3Frames

        return Arro3Frames()

    @property
    def frame_streams(self) -> FrameStreams:
        from propensity.adapters.frames import ArrowFrames

        return ArrowFrames()

    @property
    def trainer(self) -> Trainer:
        from propensity.adapters.sklearn_trainer import SklearnTrainer

        return SklearnTrainer()

    def stopwatch(self) -> float:
        return perf_counter()

    def tell_fault(self, step: str, error: Exception, **fields: str | int) -> None:
        log_fault(step, error, **fields)

    def scorer(self, onnx: bytes) -> Model:
        from propensity.adapters.onnx_scorer import OnnxScorer

        return OnnxScorer(onnx)

    def reason_model(self, onnx: bytes) -> ReasonModel:
        from propensity.adapters.onnx_scorer import OnnxReasons

        return OnnxReasons(onnx)

    @cached_property
    def upload_access(self) -> UploadAccess:
        from propensity.adapters.s3_upload_access import S3UploadAccess

        return S3UploadAccess(
            _client("s3"), self._settings.need("landing_bucket"), seconds=self._settings.upload_link_seconds
        )

    @cached_property
    def download_access(self) -> DownloadAccess:
        from propensity.adapters.s3_download_access import S3DownloadAccess

        return S3DownloadAccess(
            _client("s3"), self._settings.need("lake_bucket"), seconds=self._settings.download_link_seconds
        )

    @property
    def query_lineage(self) -> QueryLineage:
        from propensity.adapters.sqlglot_lineage import SqlglotLineage

        return SqlglotLineage()

    @property
    def workbooks(self) -> Workbooks:
        from propensity.adapters.calamine_workbooks import CalamineWorkbooks

        return CalamineWorkbooks()

    def _store(self, setting: str) -> ObjectStore:
        from propensity.adapters.s3_store import S3Store

        return S3Store(_client("s3"), self._settings.need(setting))

    def _queue(self, setting: str) -> Queue:
        from propensity.adapters.sqs_queue import SqsQueue

        return SqsQueue(_client("sqs"), self._settings.need(setting))


@cache
def ports() -> AwsPorts:
    return AwsPorts(settings(), os.environ)


@cache
def _client(service: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "max_attempts": 5},
        # the bucket's name is in the path, not in the host: the name may hold dots, and a local endpoint has no such
        # hosts
        s3={"addressing_style": "path"},
        # not every region signs links by version 4 unless it is demanded, and encrypted buckets need version 4
        signature_version="s3v4" if service == "s3" else None,
        # boto3's validation looks at each attribute of each item: a write of 25 scores takes 3.9 ms with it, 1.7 ms
        # without
        parameter_validation=service != "dynamodb",
    )
    return boto3.client(service, config=config)
