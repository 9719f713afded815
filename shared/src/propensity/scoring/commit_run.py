"""commit_run: one Delta commit makes a whole run visible; without the commit nothing of the run is visible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from propensity.kernel.errors import IncompleteRunError, RetryableError
from propensity.kernel.sql_text import text
from propensity.lake.domain.run_records import BuildResult, LabelResult, Receipt, ScoringPlan
from propensity.lake.gold_tables import SCORES, SCORES_PARTITION, feature_table
from propensity.lake.json_objects import dumps, write_once
from propensity.lake.run_files import read_plan, results_of
from propensity.lake.session import download
from propensity.ports import DataFile, Ports, Sql
from propensity.registry.versions import load_version
from propensity.scoring.overtaken import settled, tell_publisher, transaction, without_known

_TRIES = 100  # commits of others, of any model, that may come between a look and the commit


def commit_run(ports: Ports, *, run: str) -> dict[str, Any]:
    """Commit the features and the scores of a run, write its receipt and return the receipt.

    The receipt has the population, `had` (scored before), `new` (scored by this run), `failed`, and the coverage in [0,
    1]. Whom another run scored on the same day while a gap run was at work counts as `had`, and is not added again. A
    second call finds the transaction in the table's log and gives the same receipt. Raises IncompleteRunError where a
    result is missing, or where the counts of an item's steps differ, and RetryableError where others commit all the
    time.
    """
    plan = read_plan(ports.lake, run, ScoringPlan)
    count = len(plan.groups)
    built = results_of(ports.lake, run, BuildResult, count)
    labelled = results_of(ports.lake, run, LabelResult, count)
    for features, labels in zip(built, labelled, strict=True):
        if features.rows != labels.rows or labels.rows != sum(file.rows for file in labels.files):
            raise IncompleteRunError(
                f"{run}: {features.features} has {features.rows} rows, its labelled files {labels.rows}; "
                "nothing was committed"
            )
    if run in ports.tables.committed(SCORES, [run]):
        left = settled(ports, run, labelled)
    else:
        left = _commit(ports, run, plan, built, labelled)
    tell_publisher(ports, run, left, labelled)
    population, new = sum(result.population for result in built), sum(result.rows for result in left)
    overtaken = sum(result.rows for result in labelled) - new
    had = sum(result.had for result in built) + overtaken
    receipt = Receipt(
        run=run,
        model=plan.model,
        version=plan.version,
        as_of=plan.as_of,
        scope=plan.scope,
        population=population,
        had=had,
        new=new,
        failed=population - had - new,
        coverage=(had + new) / population if population else 1.0,
        items=f"{run}/items.json",
    )
    write_once(ports.lake, f"{run}/receipt.json", dumps(receipt))
    return receipt.to_json()


def _commit(
    ports: Ports, run: str, plan: ScoringPlan, built: Sequence[BuildResult], labelled: Sequence[LabelResult]
) -> Sequence[LabelResult]:
    """Make the run's files part of the tables. Returns the files that the table of scores got."""
    if not any(result.files for result in labelled):
        return labelled  # every customer of the population had a score already
    with ports.sql() as sql:
        # the features are committed first, because the commit of the scores makes the run visible
        _add_features(ports, sql, run, plan, built)
        if plan.scope == "batch":
            _add_scores(ports, sql, plan, labelled, [run], None)
            return labelled
        lost: RetryableError | None = None
        for _ in range(_TRIES):
            now = ports.tables.snapshot(SCORES)
            if now is None:
                break
            left = without_known(ports, sql, run, plan, labelled, now)
            names = [run] if left is labelled else [run, transaction(run, now.version)]
            try:
                _add_scores(ports, sql, plan, left, names, now.version)
            except RetryableError as error:
                lost = error
                if run in ports.tables.committed(SCORES, [run]):
                    return settled(ports, run, labelled)
                continue
            return left
    raise RetryableError(f"{run}: not committed in {_TRIES} tries; try again") from lost


def _add_features(ports: Ports, sql: Sql, run: str, plan: ScoringPlan, built: Sequence[BuildResult]) -> None:
    version = load_version(ports.lake, plan.model, plan.version)
    table = feature_table(str(version.lineage["feature_set"]))
    if run in ports.tables.committed(table, [run]):
        return
    [sample] = download(sql, ports.lake, [built[0].features], "features")
    ports.tables.add_files(
        table,
        [_data_file(table, result) for result in built if result.rows],
        schema=sql.stream(f"select * from read_parquet({text(sample)}) limit 0"),
        transactions=[run],
    )


def _add_scores(
    ports: Ports,
    sql: Sql,
    plan: ScoringPlan,
    left: Sequence[LabelResult],
    names: Sequence[str],
    after: int | None,
) -> None:
    """Commit the files, for a gap run only where nobody committed after the version that it looked at."""
    files = [file for result in left for file in result.files]
    if not files:
        return  # others have scored every customer meanwhile
    [sample] = download(sql, ports.lake, [f"{SCORES}/{files[0].path}"], "scores")
    ports.tables.add_files(
        SCORES,
        [
            DataFile(
                file.path,
                file.rows,
                file.size,
                {"model": plan.model, "bucket_count": str(file.bucket_count), "bucket": str(file.bucket)},
            )
            for file in files
        ],
        schema=sql.stream(
            f"select *, {text(plan.model)} as model, 0::integer as bucket_count, 0::integer as bucket "
            f"from read_parquet({text(sample)}) limit 0"
        ),
        partition_by=SCORES_PARTITION,
        transactions=names,
        version=after,
    )


def _data_file(table: str, result: BuildResult) -> DataFile:
    return DataFile(result.features.removeprefix(f"{table}/"), result.rows, result.bytes)
