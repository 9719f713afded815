"""The common part of both planners: pin the versions of Silver's tables, and hand their buckets to workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from propensity.kernel.errors import BadInputError, ConflictError, EvidenceError, RetryableError
from propensity.kernel.sql_text import text
from propensity.lake.domain.as_of_views import SilverShape
from propensity.lake.domain.buckets import bucket_of
from propensity.lake.domain.run_names import BucketRows, group_buckets
from propensity.lake.domain.run_records import ItemSource, TrainingPlan
from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.silver_tables import datasets_used, shape_of, silver_table
from propensity.lake.taken_back import retracted
from propensity.pack.current import contract_of, pack_info
from propensity.pack.domain.definition import Definition, PackInfo
from propensity.ports import DataFile, Ports, Snapshot, Sql

NEWEST = SilverAt()


@dataclass(frozen=True, slots=True)
class Pins:
    """The Silver that a run sees.

    `shapes` has the shape of each dataset that the run's SQL names. `snapshots` has the table of each of these datasets
    that has a table, because files of the dataset came. `bucket_count` is the number of buckets that all these tables
    are spread over.
    """

    snapshots: Mapping[str, Snapshot]
    shapes: Mapping[str, SilverShape]
    bucket_count: int

    def versions(self) -> dict[str, int]:
        return {dataset: snapshot.version for dataset, snapshot in sorted(self.snapshots.items())}

    def retracted(self) -> dict[str, list[list[str]]]:
        """The files of each dataset that were taken back, as a plan keeps them: (content_id, at) each."""
        return {dataset: [list(file) for file in shape.retracted] for dataset, shape in sorted(self.shapes.items())}

    def groups(self, rows_per_item: int) -> list[list[int]]:
        """The buckets of each work item, as `group_buckets` gives them."""
        rows: Counter[int] = Counter()
        for snapshot in self.snapshots.values():
            for file in snapshot.files:
                rows[int(file.partition["bucket"])] += file.rows
        return group_buckets([BucketRows(bucket, count) for bucket, count in rows.items()], rows_per_item)

    def sources(self, buckets: Sequence[int]) -> dict[str, ItemSource]:
        """The sources of a work item: per dataset the shape, and the keys of the files of these buckets."""
        return {
            dataset: ItemSource(
                shape=shape,
                keys=[
                    key
                    for bucket in buckets
                    if dataset in self.snapshots
                    for key in self.snapshots[dataset].file_keys(bucket=str(bucket))
                ],
            )
            for dataset, shape in sorted(self.shapes.items())
        }


def pin_silver(ports: Ports, definition: Definition, at: SilverAt = NEWEST) -> Pins:
    """Pin a version of each dataset that a definition names, and the files taken back, as `pin_datasets` does.

    Raises EvidenceError where none of these datasets has a table yet.
    """
    pins = pin_datasets(ports, datasets_used(definition, pack_info(ports).datasets), at)
    if not pins.snapshots:
        raise EvidenceError(
            f"model {definition.model.name}: Silver holds none of {', '.join(pins.shapes)}"
            f"{f' in {at.said()}' if at.said() else ''}; drop files into the landing bucket first"
        )
    return pins


def pin_datasets(ports: Ports, datasets: Iterable[str], at: SilverAt = NEWEST) -> Pins:
    """Pin a version of each dataset, and the files that were taken back by then.

    `at` says which Silver: the newest, that of a time, versions by number, or a plan's. Raises BadInputError for a
    dataset that the pack does not have, and NotFoundError for a version that never was. Versions may be spread over
    different numbers of buckets. Then it raises RetryableError for the newest Silver, since a re-bucketing is under
    way, and ConflictError for any other Silver.
    """
    info = pack_info(ports)
    versions = at.versions
    unknown = sorted(set(versions or ()) - set(info.datasets))
    if unknown:
        raise BadInputError(f"silver_versions: no dataset {', '.join(unknown)}, expected {', '.join(info.datasets)}")
    snapshots, shapes = {}, {}
    for dataset in datasets:
        taken_back = retracted(ports.lake, dataset) if at.retracted is None else at.retracted.get(dataset, ())
        if at.as_of_time is not None:
            taken_back = [
                (content_id, instant)
                for content_id, instant in taken_back
                if datetime.fromisoformat(instant) <= at.as_of_time
            ]
        shapes[dataset] = shape_of(contract_of(ports, dataset), taken_back)
        if versions is not None and dataset not in versions:
            continue  # the dataset had no table when the run was planned
        snapshot = ports.tables.snapshot(
            silver_table(dataset), version=versions[dataset] if versions else None, as_of_time=at.as_of_time
        )
        if snapshot is not None:
            snapshots[dataset] = snapshot
    return Pins(snapshots, shapes, _bucket_count(snapshots, info, at))


def pins_of_plan(ports: Ports, plan: TrainingPlan) -> Pins:
    """The versions that a plan pinned, in the shapes that it pinned, whatever the pack and its contracts say by now.

    Raises NotFoundError for a version of a table that no longer exists.
    """
    found = {
        dataset: ports.tables.snapshot(silver_table(dataset), version=number) for dataset, number in plan.silver.items()
    }
    snapshots = {dataset: snapshot for dataset, snapshot in found.items() if snapshot is not None}
    return Pins(snapshots, plan.shapes or {}, _bucket_count(snapshots, pack_info(ports), plan.pinned))


def _bucket_count(snapshots: Mapping[str, Snapshot], info: PackInfo, at: SilverAt) -> int:
    # a table that does not say its number of buckets is spread as the pack says
    bucket_counts = {dataset: snapshot.buckets or info.buckets for dataset, snapshot in snapshots.items()}
    counts = set(bucket_counts.values())
    if len(counts) < 2:
        return counts.pop() if counts else info.buckets
    listed = ", ".join(f"{count} buckets ({dataset})" for dataset, count in bucket_counts.items())
    message = f"Silver is spread over {listed}"
    if at.said() is None:
        raise RetryableError(f"{message}: it is being re-bucketed; try again, or run rebucket_silver to its end")
    raise ConflictError(f"{message} in {at.said()}: it was being re-bucketed; ask for another time or other versions")


def tenant_keys(ports: Ports, sql: Sql, snapshot: Snapshot, tenant_id: str) -> list[str]:
    """The lake keys of the files that can hold rows of a tenant.

    Where the pack spreads by tenant, these are the files of its bucket.
    """
    info = pack_info(ports)
    if info.partition_key != "tenant" or not all("bucket" in file.partition for file in snapshot.files):
        return snapshot.file_keys()
    [(bucket,)] = sql.rows(f"select {bucket_of(text(tenant_id), snapshot.buckets or info.buckets)}")
    return snapshot.file_keys(bucket=str(bucket))


def score_files(sql: Sql, scores: Snapshot, model: str, key: str) -> Iterator[DataFile]:
    """The files of gold/scores that can hold scores by a model of the rows of a partition key: a tenant, or an entity.

    Files that were written before a re-bucketing lie in another bucket.
    """
    buckets: dict[str, str] = {}
    for file in scores.files:
        count = file.partition["bucket_count"]
        if count not in buckets:
            [(bucket,)] = sql.rows(f"select {bucket_of(text(key), int(count))}")
            buckets[count] = str(bucket)
        if file.partition["model"] == model and file.partition["bucket"] == buckets[count]:
            yield file
