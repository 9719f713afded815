"""label_shard: write the final files of one work item, with place, reasons and movement beside each score."""

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
from propensity.lake.kept_files import keep_first
from propensity.lake.run_files import read_plan, record_result
from propensity.ports import Coded, Frame, Ports
from propensity.registry.artifact import REASONS, Artifact, load_artifact
from propensity.registry.domain.reason_texts import Sentences
from propensity.registry.versions import load_version
from propensity.scoring.label_columns import place_columns, shown_reasons
from propensity.scoring.movement import EarlierReader, movement_columns
from propensity.scoring.rank_run import read_ranks
from propensity.scoring.score_shard import BATCH
from propensity.scoring.tallies import Tallies
from propensity.stats.list_places import Ranks


def label_shard(ports: Ports, *, item: str) -> dict[str, Any]:
    """Write one file per bucket below gold/scores. Each file becomes visible when commit_run adds it to the table."""
    work = read_record(ports.lake, item, ScoreItem)
    ranks = read_ranks(ports, work.run)
    plan = read_plan(ports.lake, work.run, ScoringPlan)
    version = load_version(ports.lake, work.model, work.version)
    artifact = load_artifact(ports, version, work.calibration)
    with tempfile.TemporaryDirectory() as folder:
        features, scored = Path(folder) / "features.parquet", Path(folder) / "scored.parquet"
        ports.lake.download(work.out, features)
        ports.lake.download(work.scored_out, scored)
        names = artifact.definition.feature_names
        ladder = ["rung"] if artifact.ladder else []
        shown = ["tenant_id", "customer_id", "as_of", "raw", "score", *ladder]
        streams, sentences = ports.frame_streams, Sentences()
        pairs = zip(
            streams.batches(features, names, BATCH),
            streams.batches(scored, [*shown, "bucket"], BATCH),
            strict=True,
        )
        earlier, tallies = EarlierReader.of(ports, work, plan, names, Path(folder)), Tallies()
        with streams.parted_writer(Path(folder)) as files:
            for part, scores in pairs:
                columns = {name: scores.as_read(name) for name in shown}
                columns |= _labels(artifact, scores, part.matrix(names), ranks, sentences, earlier, tallies)
                columns |= _provenance(artifact, work, plan, len(scores))
                files.write(scores.values("bucket"), columns)
        written = []
        for bucket, (path, rows) in files.files.items():
            name = score_file(work.model, work.bucket_count, bucket, work.stem)
            keep_first(ports.lake, f"{SCORES}/{name}", path)
            written.append(
                LabelledFile(
                    path=name, bucket_count=work.bucket_count, bucket=bucket, rows=rows, size=path.stat().st_size
                )
            )
    rows = sum(file.rows for file in written)
    found = LabelResult(files=written, rows=rows, features=len(names), tenants=tallies.records())
    record_result(ports.lake, work, found)
    return {}


def _labels(
    artifact: Artifact,
    scores: Frame,
    matrix: Any,
    ranks: Mapping[str, Ranks],
    sentences: Sentences,
    earlier: EarlierReader | None,
    tallies: Tallies,
) -> dict[str, Any]:
    tenants = scores.coded("tenant_id")
    each = np.array(tenants.texts, dtype=object)[tenants.codes]
    places = place_columns(tenants, scores.values("score"), ranks)
    percentiles = places["percentile"]
    then = None if earlier is None else earlier.next(tenants)
    tallies.add(tenants, scores.values("score"), percentiles, matrix, then)
    compared = None if then is None else then.compared(artifact, tenants, percentiles, ranks)
    past = None if compared is None else compared.past()
    reasons, methods, movers = artifact.reasons_and_movers(matrix, each, REASONS, sentences, past)
    return {
        **places,
        **shown_reasons(artifact, reasons, methods),
        **movement_columns(compared, len(scores), movers, artifact.definition.feature_names),
    }


def _provenance(artifact: Artifact, work: ScoreItem, plan: ScoringPlan, rows: int) -> dict[str, Any]:
    """Return the columns that say where a score comes from; they are the same in all rows of a work item."""
    numbers = {"model_version": artifact.version.number, "calibration": artifact.calibration_number}
    facts = {
        "feature_set": artifact.version.lineage["feature_set"],
        "table_versions": json.dumps(dict(plan.silver), sort_keys=True),
        "run": work.run,
        "scope": work.scope,
        "source": "champion",
    }
    return {
        **{name: np.full(rows, number, dtype=np.int32) for name, number in numbers.items()},
        **{name: Coded(np.zeros(rows, dtype=np.int32), [text]) for name, text in facts.items()},
    }
