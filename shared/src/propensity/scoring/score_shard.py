"""score_shard: compute the probabilities of one work item's rows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from propensity.lake.domain.run_records import ScoreItem, ScoreResult
from propensity.lake.json_objects import read_record
from propensity.lake.run_files import record_result
from propensity.ports import Ports
from propensity.registry.artifact import load_artifact
from propensity.registry.versions import load_version

BATCH = 32_768  # rows in memory at once: more rows cost memory and save no time


def score_shard(ports: Ports, *, item: str) -> dict[str, Any]:
    """Write `item.scored_out`: tenant_id, customer_id, bucket, as_of, raw, score, in the order of the features' rows.

    For a version with a ladder, the file also has the rung that scored each row.
    """
    work = read_record(ports.lake, item, ScoreItem)
    version = load_version(ports.lake, work.model, work.version)
    artifact = load_artifact(ports, version, work.calibration)
    names, who = artifact.definition.feature_names, ["tenant_id", "customer_id", "bucket", "as_of"]
    rows = 0
    with tempfile.TemporaryDirectory() as folder:
        features, scored = Path(folder) / "features.parquet", Path(folder) / "scored.parquet"
        ports.lake.download(work.out, features)
        with ports.frame_streams.writer(scored) as out:
            for part in ports.frame_streams.batches(features, list(dict.fromkeys([*who, *names])), BATCH):
                tenants = part.coded("tenant_id")
                each = np.array(tenants.texts, dtype=object)[tenants.codes]
                raw, score = artifact.score(part.matrix(names), each)
                rungs = artifact.rungs(each)
                ladder = {} if rungs is None else {"rung": rungs}
                out.write({**{name: part.as_read(name) for name in who}, "raw": raw, "score": score, **ladder})
                rows += len(part)
        ports.lake.upload_new(work.scored_out, scored)
    record_result(ports.lake, work, ScoreResult(rows=rows, scored=work.scored_out))
    return {}
