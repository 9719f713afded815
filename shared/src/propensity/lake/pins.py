"""What both planners do: pin Silver's versions and hand buckets of it to workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from propensity.kernel.errors import BadInputError, ConflictError, EvidenceError, RetryableError
from propensity.kernel.sql_text import text
from propensity.lake.domain.as_of_views import SilverShape
from propensity.lake.domain.buckets import bucket_of
from propensity.lake.domain.run_names import BucketRows, group_buckets
from propensity.lake.domain.run_records import Source, TrainingPlan
from propensity.lake.domain.time_travel import SilverAt
from propensity.lake.silver_tables import datasets_used, shape_of, silver_table
from propensity.lake.taken_back import retracted
from propensity.pack.current import contract_of, pack_info
from propensity.pack.domain.definition import Definition, PackInfo
from propensity.ports import Ports, Snapshot, Sql

NEWEST = SilverAt()


@dataclass(frozen=True, slots=True)
class Pins:
    """Silver as a run sees it: the shape of each dataset that its SQL names, and a snapshot where any of it came.

    `bucket_count` is over how many buckets all the snapshots are spread.
    """

    snapshots: Mapping[str, Snapshot]
    shapes: Mapping[str, SilverShape]
    bucket_count: int

    def versions(self) -> dict[str, int]:
        return {dataset: snapshot.version for dataset, snapshot in sorted(self.snapshots.items())}

    def retracted(self) -> dict[str, list[list[str]]]:
        """The files that were taken back, as a plan keeps them."""
        return {dataset: [list(one) for one in shape.retracted] for dataset, shape in sorted(self.shapes.items())}

    def groups(self, rows_per_item: int) -> list[list[int]]:
        rows: Counter[int] = Counter()
        for snapshot in self.snapshots.values():
            for file in snapshot.files:
                rows[int(file.partition["bucket"])] += file.rows
        return group_buckets([BucketRows(bucket, count) for bucket, count in rows.items()], rows_per_item)

    def sources(self, buckets: Sequence[int]) -> dict[str, Source]:
        """What a work item says of each dataset: its shape and the files of these buckets."""
        return {
            dataset: Source(
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
    """Pin a version of each dataset that a definition names, and what was taken back: `pin_datasets`.

    Raises EvidenceError where there is no data.
    """
    pins = pin_datasets(ports, datasets_used(definition, pack_info(ports).datasets), at)
    if not pins.snapshots:
        raise EvidenceError(
            f"model {definition.model.name}: Silver holds none of {', '.join(pins.shapes)}"
            f"{f' in {at.said()}' if at.said() else ''}; drop files into the landing bucket first"
        )
    return pins


def pin_datasets(ports: Ports, datasets: Iterable[str], at: SilverAt = NEWEST) -> Pins:
    """Pin a version of each dataset, and what was taken back by then: the newest, those asked for, or a plan's.

    Raises BadInputError for a dataset that the pack does not have, NotFoundError for a version that never was, and
    where the versions are spread over different numbers of buckets RetryableError (of the newest: a re-bucketing is
    under way) or ConflictError.
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
            taken_back = [one for one in taken_back if datetime.fromisoformat(one[1]) <= at.as_of_time]
        shapes[dataset] = shape_of(contract_of(ports, dataset), taken_back)
        if versions is not None and dataset not in versions:
            continue  # nothing of it had come when the run was planned
        snapshot = ports.tables.snapshot(
            silver_table(dataset), version=versions[dataset] if versions else None, as_of_time=at.as_of_time
        )
        if snapshot is not None:
            snapshots[dataset] = snapshot
    return Pins(snapshots, shapes, _bucket_count(snapshots, info, at))


def pins_of_plan(ports: Ports, plan: TrainingPlan) -> Pins:
    """What a plan pinned, in the shapes that it pinned, whatever pack and contracts say by now.

    Raises NotFoundError for a version of a table that is not there any more.
    """
    found = {
        dataset: ports.tables.snapshot(silver_table(dataset), version=number) for dataset, number in plan.silver.items()
    }
    snapshots = {dataset: snapshot for dataset, snapshot in found.items() if snapshot is not None}
    return Pins(snapshots, plan.shapes or {}, _bucket_count(snapshots, pack_info(ports), plan.pinned))


def _bucket_count(snapshots: Mapping[str, Snapshot], info: PackInfo, at: SilverAt) -> int:
    # a lake from before tables said so was spread as its pack says
    said = {dataset: snapshot.buckets or info.buckets for dataset, snapshot in snapshots.items()}
    counts = set(said.values())
    if len(counts) < 2:
        return counts.pop() if counts else info.buckets
    told = "Silver is spread over " + ", ".join(f"{count} buckets ({dataset})" for dataset, count in said.items())
    if at.said() is None:
        raise RetryableError(f"{told}: it is being re-bucketed; try again, or run rebucket_silver to its end")
    raise ConflictError(f"{told} in {at.said()}: it was being re-bucketed; ask for another time or other versions")


def tenant_keys(ports: Ports, sql: Sql, snapshot: Snapshot, tenant_id: str) -> list[str]:
    """Lake keys of the files that can hold rows of a tenant; of its bucket only, where the pack spreads by tenant."""
    info = pack_info(ports)
    if info.partition_key != "tenant" or not all("bucket" in file.partition for file in snapshot.files):
        return snapshot.file_keys()
    [(bucket,)] = sql.rows(f"select {bucket_of(text(tenant_id), snapshot.buckets or info.buckets)}")
    return snapshot.file_keys(bucket=str(bucket))
