"""build_features: computes the feature matrix of one work item, and for training its labels.

An item is a group of Silver's buckets, as of one or more dates. The item names the sources, the definition, the dates
and the file to write. So the same item gives the same bytes under the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from propensity.features.domain.columns import known_column
from propensity.features.domain.coverage import counted
from propensity.features.earlier_rows import write_earlier
from propensity.features.labels import COLUMNS, count_rows, mark_rows
from propensity.features.silver_session import SilverSession
from propensity.kernel.sql_text import quote, read_files, text
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.buckets import bucket_of
from propensity.lake.domain.current_scores import counting, fresh
from propensity.lake.domain.run_names import parse_day
from propensity.lake.domain.run_records import BuildItem, BuildResult
from propensity.lake.json_objects import read_record
from propensity.lake.kept_files import keep_first
from propensity.lake.run_files import record_result
from propensity.lake.session import download
from propensity.pack.domain.definition import Definition
from propensity.ports import ObjectStore, Ports, Sql

_COUNTED = "features_counted"


def build_features(ports: Ports, *, item: str) -> dict[str, Any]:
    """Write the item's features to `item.out`, and its counts to the run's results.

    The file is sorted by as_of, tenant, customer. Its columns are tenant_id, customer_id VARCHAR, bucket INTEGER, as_of
    DATE, and one FLOAT per feature (NULL where unknown).
    For training the file also has label, _treated TINYINT, _draw DOUBLE, and a VARCHAR per slice. Where the model's
    ladder has segments, segment VARCHAR is the tenant's segment as of the row's date. Where the model has a filter,
    chosen TINYINT says whether the filter would have chosen the customer on that date.
    With an earlier batch, `item.earlier.out` has what the same customers were then, in the same order.
    The result counts the rows that training leaves out, by reason, and has all tenants' segments as of the run's day.
    """
    work = read_record(ports.lake, item, BuildItem)
    definition = read_definition(ports.lake, work.definition, work.model)
    with ports.sql() as sql:
        session = SilverSession(sql, ports.lake, work.sources, definition)
        days = [parse_day(day, "as_of") for day in work.as_of]
        known_by = parse_day(work.known_by, "known_by") if work.known_by else None
        coverage = FeatureCounts(sql, definition)
        population: dict[str, int] = {}
        for number, day in enumerate(days):
            session.cut(day)
            session.features("features")
            if known_by:
                session.slices("features")
                in_item = _in_item(work)
                population[day.isoformat()] = _count(sql, f"features f where {in_item}")
                mark_rows(session, definition.model, work, day, known_by, in_item)
                session.segments("segments")
                if definition.model.filter:
                    session.filtered("filtered")
            _keep(sql, number, day, definition, work, labelled=known_by is not None)
            coverage.add("features f", _in_item(work))
        counts = _write(sql, ports.lake, work, definition, labelled=known_by is not None)
        counts |= coverage.to_json(whole=work.partition_key == "tenant")
        counts["newest"] = session.newest(days[-1])
        if known_by:
            counts["arrived"] = session.arrived(days[-1])
            counts |= {"population_by_date": population, **count_rows(session, known_by)}
        if known_by and definition.has_segments:
            counts["segments"] = session.segments_on(known_by)
    record_result(ports.lake, work, BuildResult(**counts, features=work.out))
    return {}


def _keep(sql: Sql, number: int, day: date, definition: Definition, work: BuildItem, *, labelled: bool) -> None:
    """Add the rows of one as-of date to the item's rows, table `rows_kept`."""
    names = ", ".join(f"f.{quote(name)}" for name in definition.feature_names)
    columns = [f"m.{name}" for name in COLUMNS] + [f"f.{quote(part.column)}" for part in definition.model.slices]
    marks = "".join(f", {column}" for column in columns) if labelled else ""
    join = "join marked m on m.reason is null and (m.tenant_id, m.customer_id) = (f.tenant_id, f.customer_id)"
    segment = ""
    if labelled and definition.has_segments:
        segment = "s.segment, "
        join += " left join segments s on s.tenant_id = f.tenant_id"
    if labelled and definition.model.filter:
        marks += ", (w.customer_id is not null)::tinyint as chosen"
        join += " left join filtered w on (w.tenant_id, w.customer_id) = (f.tenant_id, f.customer_id)"
    target = "insert into rows_kept" if number else "create or replace temp table rows_kept as"
    sql.execute(
        f"{target} select f.tenant_id, f.customer_id, {_bucket(work)} as bucket, {segment}"
        f"{text(day.isoformat())}::date as as_of, {names}{marks} "
        f"from features f {join if labelled else ''} where {_in_item(work)}"
    )


def _bucket(work: BuildItem) -> str:
    key = "tenant_id" if work.partition_key == "tenant" else "customer_id"
    return bucket_of(f"f.{key}", work.bucket_count)


def _in_item(work: BuildItem) -> str:
    """The condition on features `f` that the customer's bucket is one of the item's.

    A population query may give customers of other buckets, to whom rows of the item only refer. Such customers are the
    work of other items.
    """
    return f"{_bucket(work)} in ({', '.join(str(bucket) for bucket in work.buckets)})"


def _write(sql: Sql, lake: ObjectStore, work: BuildItem, definition: Definition, *, labelled: bool) -> dict[str, Any]:
    """Write the item's rows to its file. Returns the counts of the rows, as fields of `BuildResult`."""
    population = _count(sql, "rows_kept")
    had = 0
    if work.scored is not None and work.scored_version is not None:
        had = _drop_scored(sql, lake, work, work.scored, work.scored_version)
    path = sql.scratch / "out.parquet"
    sql.execute(
        "copy (select * from rows_kept order by as_of, tenant_id, customer_id) "
        f"to {text(str(path))} (format parquet, compression zstd)"
    )
    keep_first(lake, work.out, path)
    if work.earlier is not None:
        write_earlier(sql, lake, work.earlier, definition.feature_names)
    positives = sql.rows("select coalesce(sum(label), 0) from rows_kept")[0][0] if labelled else None
    by_date = sql.rows("select as_of, count(*) from rows_kept group by as_of order by as_of")
    return {
        "population": population,
        "had": had,
        "rows": population - had,
        "positives": positives if positives is None else int(positives),
        "by_date": {day.isoformat(): count for day, count in by_date},
        "by_bucket": {
            str(bucket): count
            for bucket, count in sql.rows("select bucket, count(*) from rows_kept group by bucket order by bucket")
        },
        "bytes": path.stat().st_size,
        "columns": list(definition.feature_names),
        "chosen": labelled and definition.model.filter is not None,
    }


def _drop_scored(sql: Sql, lake: ObjectStore, work: BuildItem, keys: Sequence[str], version: int) -> int:
    """Delete the rows of customers who already have a score by this version, for a gap run.

    A score as of a later day is none on the run's day. Returns how many rows were deleted.
    """
    before = _count(sql, "rows_kept")
    paths = download(sql, lake, keys, "scored")
    if paths:
        [day] = [parse_day(day, "as_of") for day in work.as_of]
        counts = counting(day, version)
        if work.scored_since:
            # the files of a table that was compacted also hold older scores
            counts += f" and {fresh(parse_day(work.scored_since, 'scored_since'), None)}"
        if work.fresh_from:
            counts += f" and {fresh(parse_day(work.fresh_from, 'fresh_from'), work.fresh_tenant)}"
        sql.execute(
            f"delete from rows_kept using (select distinct tenant_id, customer_id from {read_files(paths)} "
            f"where {counts}) s "
            "where s.tenant_id = rows_kept.tenant_id and s.customer_id = rows_kept.customer_id"
        )
    return before - _count(sql, "rows_kept")


def _count(sql: Sql, source: str) -> int:
    return int(sql.rows(f"select count(*) from {source}")[0][0])


class FeatureCounts:
    """The number of customers of whom each feature is known, by tenant, over the as-of dates of an item.

    The customers are counted where the feature is computed, because a later default hides that the value was not known.
    Missingness indicators are not counted.
    """

    def __init__(self, sql: Sql, definition: Definition) -> None:
        self._sql = sql
        self._features = [feature for group in definition.groups for feature in group.features]
        columns = "".join(f", n{place} bigint" for place, _ in enumerate(self._features))
        sql.execute(f"create or replace temp table {_COUNTED} (tenant_id varchar, customers bigint{columns})")

    def add(self, table: str, condition: str) -> None:
        """Count the rows of a table that `SilverSession.features` made."""
        known = "".join(
            f", count(*) filter ({quote(known_column(feature))})"
            if feature.default is not None
            else f", count({quote(feature.name)})"
            for feature in self._features
        )
        self._sql.execute(
            f"insert into {_COUNTED} select tenant_id, count(*){known} "
            f"from {table} where {condition} group by tenant_id"
        )

    def to_json(self, *, whole: bool) -> dict[str, Any]:
        """The counts as `coverage`, in the form that `counted` gives."""
        sums = "".join(f", sum(n{place})::bigint" for place, _ in enumerate(self._features))
        rows = self._sql.rows(
            f"select sum(customers)::bigint{sums} from {_COUNTED} group by tenant_id order by tenant_id"
        )
        return {"coverage": counted([feature.name for feature in self._features], rows, whole=whole)}
