"""The scores of a gap run that other runs have not made meanwhile: what is left of its files when it commits.

Two gap runs that meet plan to score the same customers. Whoever commits second leaves these customers out, so that
gold/scores has each customer once per day, version and scope.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from propensity.kernel.errors import IncompleteRunError
from propensity.kernel.sql_text import read_files, text
from propensity.lake.domain.current_scores import counting
from propensity.lake.domain.run_names import parse_day, result_key
from propensity.lake.domain.run_records import CommitResult, LabelledFile, LabelResult, ScoringPlan
from propensity.lake.gold_tables import SCORES, may_hold_day_until, score_file_day
from propensity.lake.json_objects import dumps, find_record
from propensity.lake.kept_files import keep_first
from propensity.lake.run_files import write_result
from propensity.lake.session import download
from propensity.ports import Ports, Snapshot, Sql

_STEP = CommitResult.step


def without_known(
    ports: Ports, sql: Sql, run: str, plan: ScoringPlan, labelled: Sequence[LabelResult], now: Snapshot
) -> Sequence[LabelResult]:
    """Return the files of each item without the customers whom the table, as it is now, has already.

    Where there are such customers, the files without them are written, and the answer is kept as that of an attempt to
    commit after version `now.version`. Otherwise the answer is `labelled` itself.
    """
    keys = _others(ports, plan, now)
    if not keys or not any(result.files for result in labelled):
        return labelled
    day = parse_day(plan.as_of, "as_of")
    others = read_files(download(sql, ports.lake, keys, f"others-{now.version}"))
    known = f"known_at_{now.version}"
    sql.execute(
        f"create or replace temp table {known} as select distinct tenant_id, customer_id from {others} "
        f"where {counting(day, plan.version)} and as_of = {text(day.isoformat())}::date and run <> {text(run)}"
    )
    left = []
    for result in labelled:
        rest = [_left(ports, sql, file, known, now.version) for file in result.files]
        files = [file for file in rest if file.rows]
        left.append(CommitResult(files=files, rows=sum(file.rows for file in files)))
    if [result.rows for result in left] == [result.rows for result in labelled]:
        return labelled
    for index, result in enumerate(left, start=1):
        write_result(ports.lake, run, _attempt(now.version), index, result)
    return left


def transaction(run: str, after: int) -> str:
    """The name in the table's log that says which attempt of a run was committed: the one after this version."""
    return f"{run} {_attempt(after)}"


def _attempt(after: int) -> str:
    """The name of an attempt, as a step of the run."""
    return f"{_STEP}-{after:020d}"


def settled(ports: Ports, run: str, labelled: Sequence[LabelResult]) -> Sequence[LabelResult]:
    """Return the files that the commit of a committed run added.

    Raises IncompleteRunError where a part of what the commit added is not told.
    """
    folder = f"{run}/results/"
    steps = {key.removeprefix(folder).split("/")[0] for key in ports.lake.keys(f"{folder}{_STEP}-")}
    names = {f"{run} {step}": step for step in steps}
    done = [names[name] for name in ports.tables.committed(SCORES, names)]
    if not done:
        return labelled
    found = []
    for index in range(1, len(labelled) + 1):
        result = find_record(ports.lake, result_key(run, done[0], index), CommitResult)
        if result is None:
            raise IncompleteRunError(f"{run}: step {done[0]} lacks the result of item {index}; redrive the execution")
        found.append(result)
    return found


def tell_publisher(ports: Ports, run: str, left: Sequence[LabelResult], labelled: Sequence[LabelResult]) -> None:
    """Say which files publish_scores takes, where they are not those that label_shard wrote."""
    if left is not labelled:
        for index, result in enumerate(left, start=1):
            ports.lake.put_new(result_key(run, _STEP, index), dumps(result))


def _others(ports: Ports, plan: ScoringPlan, now: Snapshot) -> list[str]:
    """The keys of the files that came since the plan and can hold scores of the run's day."""
    planned = ports.tables.snapshot(SCORES, version=plan.scores_version)
    known = {file.path for file in planned.files} if planned else set()
    return [
        f"{now.root}/{file.path}"
        for file in now.files
        if file.partition["model"] == plan.model
        and file.path not in known
        and score_file_day(file.path) >= plan.as_of
        and may_hold_day_until(file.path, plan.as_of)
    ]


def _left(ports: Ports, sql: Sql, file: LabelledFile, known: str, version: int) -> LabelledFile:
    """The file without the known customers, in the order of its rows; the file itself where it has none of them."""
    [path] = download(sql, ports.lake, [f"{SCORES}/{file.path}"], f"own-{version}-{file.bucket}")
    own = read_files([path])
    same = "(k.tenant_id, k.customer_id) = (o.tenant_id, o.customer_id)"
    rest = f"from {own} o where not exists (select 1 from {known} k where {same})"
    [(rows,)] = sql.rows(f"select count(*) {rest}")
    if rows == file.rows:
        return file
    # the version says what was known, so a second try writes the same bytes under the same name
    name = f"{file.path.removesuffix('.parquet')}-after-{version}.parquet"
    out = Path(path).with_name(f"rest-{version}.parquet")
    sql.execute(
        f"copy (select o.* {rest} order by o.tenant_id, o.customer_id) to {text(str(out))} "
        "(format parquet, compression zstd)"
    )
    if rows:
        keep_first(ports.lake, f"{SCORES}/{name}", out)
    return LabelledFile(
        path=name, bucket_count=file.bucket_count, bucket=file.bucket, rows=int(rows), size=out.stat().st_size
    )
