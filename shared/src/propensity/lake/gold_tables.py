"""Names of the Gold tables and of the files that runs put into them."""

from __future__ import annotations

import re

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
SCORES = "gold/scores"
# the number of buckets too: a customer's bucket is another one after a re-bucketing
SCORES_PARTITION = ("model", "bucket_count", "bucket")
GROUND_TRUTH = "gold/ground_truth"
MATCHBACK = "gold/matchback"
DRIFT = "gold/drift"
INFERENCE_LOG = "gold/inference_log"
ORPHANS = "gold/orphans"
REFERENCES = "gold/references"
IDENTITIES = "gold/identities"
QUARANTINE = "gold/quarantine"
QUARANTINE_PARTITION = ("month",)

GOLD = (
    SCORES,
    GROUND_TRUTH,
    MATCHBACK,
    DRIFT,
    INFERENCE_LOG,
    ORPHANS,
    REFERENCES,
    IDENTITIES,
    QUARANTINE,
)


def feature_table(feature_set: str) -> str:
    """Scoring runs' features: one table per feature-set version, since its columns are the set's."""
    return f"features/{feature_set}"


def score_file(model: str, bucket_count: int, bucket: int, stem: str) -> str:
    """Path below gold/scores; the stem begins with the run's day, so that a planner can prune by name."""
    return f"model={model}/bucket_count={bucket_count}/bucket={bucket}/{stem}.parquet"


def score_file_day(key: str) -> str:
    return key.rsplit("/", 1)[1][:10]


def may_hold_day_until(key: str, day: str) -> bool:
    """Whether a file of gold/scores can hold rows as of a day or before: a compacted one does not say of which days."""
    named = score_file_day(key)
    return named <= day or not _DAY.fullmatch(named)
