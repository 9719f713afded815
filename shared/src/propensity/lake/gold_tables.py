"""The names of the Gold tables, and of the files that runs put into these tables."""

from __future__ import annotations

import re

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
SCORES = "gold/scores"
# bucket_count is a level too, because a re-bucketing moves a customer to another bucket
SCORES_PARTITION = ("model", "bucket_count", "bucket")
GROUND_TRUTH = "gold/ground_truth"
MATCHBACK = "gold/matchback"
DRIFT = "gold/drift"
AS_SERVED = "gold/as_served"
INFERENCE_LOG = "gold/inference_log"
ORPHANS = "gold/orphans"
REFERENCES = "gold/references"
IDENTITIES = "gold/identities"
EXPORTS = "gold/exports"
EXPORTS_PARTITION = ("model",)
RECALLS = "gold/recalls"
REVIEWS = "gold/review"
QUARANTINE = "gold/quarantine"
QUARANTINE_PARTITION = ("month",)

GOLD = (
    SCORES,
    GROUND_TRUTH,
    MATCHBACK,
    DRIFT,
    AS_SERVED,
    INFERENCE_LOG,
    ORPHANS,
    REFERENCES,
    IDENTITIES,
    EXPORTS,
    RECALLS,
    REVIEWS,
    QUARANTINE,
)


def feature_table(feature_set: str) -> str:
    """The table of the features that scoring runs computed. Each feature set has a table with its columns."""
    return f"features/{feature_set}"


def feature_file(feature_set: str, stem: str, index: int) -> str:
    """The key of the features of one work item of a scoring run. The stem is the run's (`run_names.file_stem`)."""
    return f"{feature_table(feature_set)}/{stem}-{index:04d}.parquet"


def score_file(model: str, bucket_count: int, bucket: int, stem: str) -> str:
    """The path of a score file below gold/scores.

    The stem begins with the run's day, so that a planner can pick files by name.
    """
    return f"model={model}/bucket_count={bucket_count}/bucket={bucket}/{stem}.parquet"


def score_file_day(key: str) -> str:
    """The day that a score file's name begins with, as YYYY-MM-DD. A compacted file has no day."""
    return key.rsplit("/", 1)[1][:10]


def may_hold_day_until(key: str, day: str) -> bool:
    """Whether a file of gold/scores can hold rows as of a day or earlier.

    A compacted file can, since no day names it.
    """
    named = score_file_day(key)
    return named <= day or not _DAY.fullmatch(named)
