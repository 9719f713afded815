"""commit_run: one Delta commit makes a whole run visible; without the commit nothing of the run is visible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from propensity.kernel.errors import IncompleteRunError
from propensity.kernel.sql_text import text
from propensity.lake.domain.run_records import BuildResult, LabelResult, Receipt, ScoringPlan
from propensity.lake.gold_tables import SCORES, SCORES_PARTITION, feature_table
from propensity.lake.json_objects import dumps, parse_record, write_once
from propensity.lake.run_files import read_plan, results_of
from propensity.lake.session import download
from propensity.ports import DataFile, Ports
from propensity.registry.versions import load_version
from propensity.scoring.domain.sanity import Forced
from propensity.scoring.sanity_check import check_batch, forced_of


def commit_run(ports: Ports, *, run: str, force: object = None, execution: str | None = None) -> dict[str, Any]:
    """Commit the features and the scores of a run, write its receipt and return the receipt.

    The receipt has the population, `had` (scored before), `new` (scored by this run), `failed`, and the coverage in [0,
    1]. A second call finds the transaction in the table's log and gives the same receipt. Raises IncompleteRunError
    where a result is missing, or where the counts of an item's steps differ. Raises SanityError for a batch whose
    figures are beyond the limits of the model's YAML, unless somebody forces it: `force` says `by` whom and the
    `reason`, and both stand in the receipt beside the execution. Raises BadInputError where a force lacks one of them.
    """
    forced = Forced.parse(force, execution)
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
    features_version = None
    if run not in ports.tables.committed(SCORES, [run]):
        if plan.scope == "batch":
            check_batch(ports, run, plan, labelled, forced)
        features_version = _commit(ports, run, plan, built, labelled)
    population, had = sum(result.population for result in built), sum(result.had for result in built)
    new = sum(result.rows for result in labelled)
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
        features_version=features_version or _features_version(ports, plan),
        forced=forced_of(ports.lake, run),
    )
    written = write_once(ports.lake, f"{run}/receipt.json", dumps(receipt))
    return parse_record(written, f"{run}/receipt.json", Receipt).to_json()


def _commit(
    ports: Ports, run: str, plan: ScoringPlan, built: Sequence[BuildResult], labelled: Sequence[LabelResult]
) -> int | None:
    """Make the files of the run visible. Returns the version of the table of features that has them."""
    files = [file for result in labelled for file in result.files]
    if not files:
        return None  # every customer of the population had a score already
    model, table, added = plan.model, _feature_table(ports, plan), None
    with ports.sql() as sql:
        [sample] = download(sql, ports.lake, [built[0].features], "features")
        # the features are committed first, because the commit of the scores makes the run visible
        if run not in ports.tables.committed(table, [run]):
            added = ports.tables.add_files(
                table,
                [_data_file(table, result) for result in built if result.rows],
                schema=sql.stream(f"select * from read_parquet({text(sample)}) limit 0"),
                transactions=[run],
            )
        [sample] = download(sql, ports.lake, [f"{SCORES}/{files[0].path}"], "scores")
        ports.tables.add_files(
            SCORES,
            [
                DataFile(
                    file.path,
                    file.rows,
                    file.size,
                    {"model": model, "bucket_count": str(file.bucket_count), "bucket": str(file.bucket)},
                )
                for file in files
            ],
            schema=sql.stream(
                f"select *, {text(model)} as model, 0::integer as bucket_count, 0::integer as bucket "
                f"from read_parquet({text(sample)}) limit 0"
            ),
            partition_by=SCORES_PARTITION,
            transactions=[run],
        )
    return added


def _features_version(ports: Ports, plan: ScoringPlan) -> int | None:
    """Return the newest version of the run's table of features, for a call that finds the run committed."""
    snapshot = ports.tables.snapshot(_feature_table(ports, plan))
    return None if snapshot is None else snapshot.version


def _feature_table(ports: Ports, plan: ScoringPlan) -> str:
    return feature_table(str(load_version(ports.lake, plan.model, plan.version).lineage["feature_set"]))


def _data_file(table: str, result: BuildResult) -> DataFile:
    return DataFile(result.features.removeprefix(f"{table}/"), result.rows, result.bytes)
