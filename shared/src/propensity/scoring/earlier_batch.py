"""The batch before a scoring run, and which of its files can hold the customers of a work item.

Its scores are read from its run folder and its features from the files that it wrote, so that nothing is sorted or
moved between work items: all rows of a customer lie in one bucket in both runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from propensity.lake.domain.run_names import (
    cuts_key,
    earlier_key,
    file_stem,
    item_key,
    plan_key,
    run_version,
    scored_key,
)
from propensity.lake.domain.run_records import EarlierBatch, EarlierRows, ScoreItem, ScoringPlan
from propensity.lake.gold_tables import feature_file
from propensity.lake.json_objects import read_record
from propensity.lake.run_files import read_plan
from propensity.ports import ObjectStore, Ports
from propensity.registry.batches import earlier_batches
from propensity.registry.versions import Version, load_version


def find_earlier(ports: Ports, champion: Version, day: date) -> EarlierBatch | None:
    """Return the newest batch of the model before a day whose rows are still there; None without one.

    Runs expire (stack parameter RunsDays), and a batch that has lost a file of its scores or its cut points is passed
    over. Features may have been removed after a compaction; the batch then has fewer items in `kept`.
    """
    for batch in earlier_batches(ports, champion.model, day, champion.number):
        run, there = batch.run, set(ports.lake.keys(f"{batch.run}/"))
        if not {plan_key(run), cuts_key(run), item_key(run, 1)} <= there:
            continue
        plan = read_plan(ports.lake, run, ScoringPlan)
        items = range(1, len(plan.groups) + 1)
        if not all(scored_key(run, number) in there for number in items):
            continue
        version = run_version(run)
        return EarlierBatch(
            run=run,
            as_of=batch.as_of,
            version=version,
            calibration=plan.calibration,
            bucket_count=read_record(ports.lake, item_key(run, 1), ScoreItem).bucket_count,
            kept=_kept(ports, champion, load_version(ports.lake, champion.model, version), run, items),
        )
    return None


def _kept(ports: Ports, champion: Version, version: Version, run: str, items: Sequence[int]) -> list[int] | None:
    feature_set = str(version.lineage["feature_set"])
    if feature_set != champion.lineage["feature_set"]:
        return None
    stem = file_stem(run)
    there = set(ports.lake.keys(feature_file(feature_set, stem, 0).removesuffix("0000.parquet")))
    return [number for number in items if feature_file(feature_set, stem, number) in there]


def earlier_of_items(
    store: ObjectStore, plan: ScoringPlan, run: str, bucket_count: int, feature_set: str
) -> list[EarlierRows | None]:
    """Return for each work item of a plan where it finds its customers in the earlier batch; None where there was none.

    A re-bucketing in between moved customers to other buckets, and then every file can hold them.
    """
    earlier = plan.earlier
    if earlier is None:
        return [None] * len(plan.groups)
    then, stem = read_plan(store, earlier.run, ScoringPlan).groups, file_stem(earlier.run)
    moved = earlier.bucket_count != bucket_count
    found: list[EarlierRows | None] = []
    for number, buckets in enumerate(plan.groups, start=1):
        items = [place for place, group in enumerate(then, start=1) if moved or not set(buckets).isdisjoint(group)]
        features = None
        if earlier.kept is not None:
            features = [feature_file(feature_set, stem, place) for place in items if place in earlier.kept]
        scored = [scored_key(earlier.run, place) for place in items]
        found.append(EarlierRows(scored=scored, features=features, out=earlier_key(run, number)))
    return found
