"""The label step as it was before the reasons of trees had a graph: ablation, and a loop over rows for sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from propensity.adapters.frames import ArrowFrames
from propensity.lake.domain.run_records import ScoreItem
from propensity.lake.json_objects import read_record
from propensity.registry.artifact import REASONS, load_artifact
from propensity.registry.domain.reason_texts import directed, sentence
from propensity.registry.domain.reasons import ablation
from propensity.registry.versions import load_version
from tests.bench.measure import Claim
from tests.bench.scoring.apart import apart, middle_cpu
from tests.bench.scoring.models import TREES_8, made
from tests.bench.scoring.prepare import write_features
from tests.bench.scoring.steps import ITEM, label, ports, score

ROWS = 100_000


def claims(work: Path, runs: int, rows: int = ROWS) -> list[Claim]:
    """Today's label step by turns with the one before."""
    features = work / f"features-{rows}.parquet"
    if not features.exists():
        apart(write_features, features, rows)
    folder = made(work, TREES_8, features)
    apart(score, folder)
    turns = [(apart(label, folder), apart(label_as_before, folder, work / "before.parquet")) for _ in range(runs)]
    ours, before = middle_cpu([one for one, _ in turns]), middle_cpu([two for _, two in turns])
    name = f"{rows:,} rows, {TREES_8.name}: CPU of the label step beside ablation and sentences row by row"
    return [Claim.of(name, ours, before, 0.1, runs)]


def label_as_before(folder: Path, out: Path) -> None:
    """Explain and write the rows of the folder's work item as commit 99836ed did, without its percentiles."""
    held = ports(folder)
    work = read_record(held.lake, ITEM, ScoreItem)
    artifact = load_artifact(held, load_version(held.lake, work.model, work.version), work.calibration)
    frames, features = ArrowFrames(), artifact.definition.features
    matrix = frames.matrix(folder / work.out, artifact.definition.feature_names)
    columns = dict(frames.read(folder / work.scored_out))
    recorded = artifact.explanation["typical"]
    typical = np.array([np.nan if value is None else value for value in recorded], dtype=np.float64)
    parts = ablation(artifact.model.predict, matrix, typical)
    order = np.argsort(-np.abs(parts), axis=1, kind="stable")[:, :REASONS]
    reasons = [
        [
            {
                "feature": features[place].name,
                "contribution": float(parts[row, place]),
                "text": directed(
                    sentence(features[place], float(matrix[row, place]), float(typical[place])),
                    float(parts[row, place]),
                ),
            }
            for place in order[row]
            if abs(parts[row, place]) >= 1e-4
        ]
        for row in range(len(matrix))
    ]
    table = pa.table({**{name: pa.array(values) for name, values in columns.items()}, "reasons": pa.array(reasons)})
    pq.write_table(table, out, compression="zstd")
