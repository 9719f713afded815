"""What the customers of a work item were in the earlier batch: their scores, and the features that these came from."""

from __future__ import annotations

from collections.abc import Sequence

from propensity.kernel.sql_text import quote, read_files, text
from propensity.lake.domain.run_records import EarlierRows
from propensity.lake.session import download
from propensity.ports import ObjectStore, Sql


def write_earlier(sql: Sql, lake: ObjectStore, earlier: EarlierRows, names: Sequence[str]) -> None:
    """Write `earlier.out`: a row for each row of table `rows_kept`, in the order of the item's own features.

    `_score` DOUBLE is the score that the customer had then, NULL for one who was not scored. `_kept` TINYINT is 1 where
    the features of then are still there: one FLOAT per feature. Where the feature set was another, there are no
    features. Where nobody of the item was scored then, the earlier features are not read: a gap run has few rows.
    """
    scored = download(sql, lake, earlier.scored, "earlier_scored")
    nobody = "(select ''::varchar as tenant_id, ''::varchar as customer_id, 0::double as score limit 0)"
    sql.execute(
        "create temp table earlier_score as select tenant_id, customer_id, score "
        f"from {read_files(scored) if scored else nobody} semi join rows_kept using (tenant_id, customer_id)"
    )
    columns, join = "0::tinyint as _kept", ""
    if earlier.features is not None:
        _features(sql, lake, earlier.features, names)
        columns = "coalesce(f._kept, 0)::tinyint as _kept" + "".join(f", f.{quote(name)}" for name in names)
        join = "left join earlier_feature f on (f.tenant_id, f.customer_id) = (k.tenant_id, k.customer_id)"
    path = sql.scratch / "earlier.parquet"
    sql.execute(
        f"copy (select k.tenant_id, k.customer_id, s.score as _score, {columns} from rows_kept k "
        "left join earlier_score s on (s.tenant_id, s.customer_id) = (k.tenant_id, k.customer_id) "
        f"{join} order by k.as_of, k.tenant_id, k.customer_id) "
        f"to {text(str(path))} (format parquet, compression zstd)"
    )
    lake.upload_new(earlier.out, path)


def _features(sql: Sql, lake: ObjectStore, keys: Sequence[str], names: Sequence[str]) -> None:
    """Make table `earlier_feature` of the customers of table `earlier_score`."""
    columns = "".join(f", {quote(name)} float" for name in names)
    sql.execute(f"create temp table earlier_feature (tenant_id varchar, customer_id varchar, _kept tinyint{columns})")
    if keys and sql.rows("select count(*) from earlier_score")[0][0]:
        listed = "".join(f", {quote(name)}::float" for name in names)
        files = read_files(download(sql, lake, keys, "earlier_features"))
        sql.execute(
            f"insert into earlier_feature select tenant_id, customer_id, 1::tinyint{listed} "
            f"from {files} semi join earlier_score using (tenant_id, customer_id)"
        )
