"""publish_scores: copy a committed run's scores and feature vectors to the online table, item by item."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

from propensity.kernel.sql_text import quote, read_files
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_names import result_key
from propensity.lake.domain.run_records import CommitResult, LabelResult, PublishResult, ScoreItem
from propensity.lake.gold_tables import SCORES
from propensity.lake.json_objects import find_record, read_record
from propensity.lake.run_files import record_result
from propensity.lake.session import download
from propensity.ports import OnlineScore, Ports, Sql

_BATCH = 5_000


def publish_scores(ports: Ports, *, item: str) -> dict[str, Any]:
    """Write one work item's scores to the online table. A second call writes the same rows."""
    work = read_record(ports.lake, item, ScoreItem)
    # commit_run left out whom another run had scored meanwhile, and whose score that run publishes
    labelled: LabelResult | None = find_record(
        ports.lake, result_key(work.run, CommitResult.step, work.index), CommitResult
    )
    if labelled is None:
        labelled = read_record(ports.lake, result_key(work.run, LabelResult.step, work.index), LabelResult)
    definition = read_definition(ports.lake, work.definition, work.model)
    published = 0
    with ports.sql() as sql:
        keys = [f"{SCORES}/{file.path}" for file in labelled.files]
        if keys:
            scores = read_files(download(sql, ports.lake, keys, "scores"))
            features = read_files(download(sql, ports.lake, [work.out], "features"))
            # a run that was labelled by an earlier release has no reasons why somebody is unranked: all are ranked
            described = {row[0] for row in sql.rows(f"describe select * from {scores}")}
            unranked = "s.unranked_reason" if "unranked_reason" in described else "null::varchar"
            vector = ", ".join(f"coalesce(f.{quote(name)}, 'nan'::float)" for name in definition.feature_names)
            sql.execute(
                "create temp table published as select s.tenant_id, s.customer_id, s.model_version, s.score, "
                f"s.percentile, s.decile, {unranked} as unranked_reason, s.calibration, "
                "s.as_of::varchar as as_of, s.run, s.feature_set, "
                f"[one.text for one in s.reasons] as reasons, [{vector}] as vector "
                f"from {scores} s join {features} f using (tenant_id, customer_id)"
            )
            for batch in _batches(sql, work.model):
                ports.online.put_many(batch)
                published += len(batch)
    record_result(ports.lake, work, PublishResult(rows=published))
    return {}


def _batches(sql: Sql, model: str) -> Iterator[list[OnlineScore]]:
    [(count,)] = sql.rows("select count(*) from published")
    for start in range(0, count, _BATCH):
        rows = sql.rows(f"select * from published order by tenant_id, customer_id limit {_BATCH} offset {start}")
        yield [
            OnlineScore(
                tenant_id=tenant,
                customer_id=customer,
                model=model,
                version=version,
                score=score,
                percentile=percentile,
                decile=decile,
                unranked_reason=unranked_reason,
                calibration=calibration,
                as_of=as_of,
                run=run,
                feature_set=feature_set,
                reasons=tuple(reasons),
                vector=array("f", vector).tobytes(),
            )
            for (
                tenant,
                customer,
                version,
                score,
                percentile,
                decile,
                unranked_reason,
                calibration,
                as_of,
                run,
                feature_set,
                reasons,
                vector,
            ) in rows
        ]
