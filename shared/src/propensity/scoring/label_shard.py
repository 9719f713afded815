"""label_shard: write the final files of one work item, with percentile, decile and reasons beside each score."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from propensity.lake.domain.run_records import LabelledFile, LabelResult, ScoreItem, ScoringPlan
from propensity.lake.gold_tables import SCORES, score_file
from propensity.lake.json_objects import read_record
from propensity.lake.run_files import read_plan, record_result
from propensity.ports import Ports
from propensity.registry.artifact import REASONS, Artifact, load_artifact
from propensity.registry.versions import load_version
from propensity.scoring.rank_run import read_ranks
from propensity.stats.list_places import Ranks
from propensity.stats.ranking import decile, rank


def label_shard(ports: Ports, *, item: str) -> dict[str, Any]:
    """Write one file per bucket below gold/scores. Each file becomes visible when commit_run adds it to the table."""
    work = read_record(ports.lake, item, ScoreItem)
    ranks = read_ranks(ports, work.run)
    plan = read_plan(ports.lake, work.run, ScoringPlan)
    version = load_version(ports.lake, work.model, work.version)
    artifact = load_artifact(ports, version, work.calibration)
    files = []
    with tempfile.TemporaryDirectory() as folder:
        features, scored = Path(folder) / "features.parquet", Path(folder) / "scored.parquet"
        ports.lake.download(work.out, features)
        ports.lake.download(work.scored_out, scored)
        matrix = ports.frames.matrix(features, artifact.definition.feature_names)
        columns = dict(ports.frames.read(scored))
        buckets = columns.pop("bucket")
        columns |= _labels(artifact, columns, matrix, ranks)
        columns |= _provenance(artifact, work, plan, len(matrix))
        for bucket in np.unique(buckets):
            rows = buckets == bucket
            path = Path(folder) / f"{bucket}.parquet"
            ports.frames.write(path, {name: values[rows] for name, values in columns.items()})
            name = score_file(work.model, work.bucket_count, int(bucket), work.stem)
            ports.lake.upload_new(f"{SCORES}/{name}", path)
            files.append(
                LabelledFile(
                    path=name,
                    bucket_count=work.bucket_count,
                    bucket=int(bucket),
                    rows=int(rows.sum()),
                    size=path.stat().st_size,
                )
            )
    record_result(ports.lake, work, LabelResult(files=files, rows=len(matrix)))
    return {}


def _labels(artifact: Artifact, columns: Mapping[str, Any], matrix: Any, ranks: Mapping[str, Ranks]) -> dict[str, Any]:
    reasons, methods = artifact.reasons(matrix, columns["tenant_id"], REASONS)
    percentiles, unranked = rank(columns["tenant_id"], columns["score"], ranks)
    return {
        "percentile": percentiles,
        "decile": decile(percentiles),
        "unranked_reason": unranked,
        "reasons": reasons,
        # The method has a column of its own, because the structs in an existing table's list cannot be given another
        # field.
        "reason_method": methods,
    }


def _provenance(artifact: Artifact, work: ScoreItem, plan: ScoringPlan, rows: int) -> dict[str, Any]:
    """Return the columns that say where a score comes from; they are the same in all rows of a work item."""
    facts: dict[str, object] = {
        "model_version": np.int32(artifact.version.number),
        "calibration": np.int32(artifact.calibration_number),
        "feature_set": artifact.version.lineage["feature_set"],
        "table_versions": json.dumps(dict(plan.silver), sort_keys=True),
        "run": work.run,
        "scope": work.scope,
        "source": "champion",
    }
    return {
        name: np.full(rows, value, dtype=np.int32 if isinstance(value, np.integer) else object)
        for name, value in facts.items()
    }
