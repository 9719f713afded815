"""score_shard: compute the probabilities of one work item's rows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from propensity.lake.domain.run_records import ScoreItem, ScoreResult
from propensity.lake.json_objects import read_record
from propensity.lake.run_files import record_result
from propensity.ports import Ports
from propensity.registry.artifact import load_artifact
from propensity.registry.versions import load_version


def score_shard(ports: Ports, *, item: str) -> dict[str, Any]:
    """Write `item.scored_out`: tenant_id, customer_id, bucket, as_of, raw, score, in the order of the features' rows.

    For a version with a ladder, the file also has the rung that scored each row.
    """
    work = read_record(ports.lake, item, ScoreItem)
    version = load_version(ports.lake, work.model, work.version)
    artifact = load_artifact(ports, version, work.calibration)
    with tempfile.TemporaryDirectory() as folder:
        features = Path(folder) / "features.parquet"
        ports.lake.download(work.out, features)
        who = ports.frames.read(features, ["tenant_id", "customer_id", "bucket", "as_of"])
        matrix = ports.frames.matrix(features, artifact.definition.feature_names)
        raw, score = artifact.score(matrix, who["tenant_id"])
        rungs = artifact.rungs(who["tenant_id"])
        ladder = {} if rungs is None else {"rung": rungs}
        scored = Path(folder) / "scored.parquet"
        ports.frames.write(scored, {**who, "raw": raw, "score": score, **ladder})
        ports.lake.upload_new(work.scored_out, scored)
    record_result(ports.lake, work, ScoreResult(rows=len(score), scored=work.scored_out))
    return {}
