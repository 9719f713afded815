"""The demo's summary. Rows in are counted in the files, all other figures come from the lake."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import yaml
from rich.console import Console
from rich.table import Table

from tests.stack.lake import Lake, rows_in_file
from tests.stack.scenarios import Scenario, Scored

VERSIONS = ("duckdb", "deltalake", "pyarrow", "onnxruntime", "scikit-learn", "skl2onnx")


def count_datasets(scenario: Scenario, lake: Lake) -> dict[str, dict[str, int]]:
    """For each dataset the files and rows that were dropped, and the rows in each zone once all is promoted."""
    files: Counter[str] = Counter()
    rows_in: Counter[str] = Counter()
    for drop in scenario.drops:
        files[drop.dataset] += 1
        rows_in[drop.dataset] += rows_in_file(drop.path)
    return {name: {"files": files[name], "rows_in": rows_in[name], **lake.counts(name)} for name in sorted(files)}


def summarise(
    pack: str,
    scenario: Scenario,
    lake: Lake,
    datasets: dict[str, dict[str, int]],
    receipt: dict[str, Any],
    out: Path,
) -> dict[str, Any]:
    """The summary without its seconds. Writes each model's scores, card and matchback to `out`."""
    models = {scored.model: _model(scored, scenario, lake, out) for scored in scenario.scored}
    gap = {name: receipt[name] for name in ("population", "had", "new", "failed", "coverage")}
    return {
        "pack": pack,
        "seconds": {},
        "datasets": datasets,
        "models": {name: figures for name, (figures, _) in models.items()},
        "gap_fill": gap,
        "drift": {name: drift for name, (_, drift) in models.items()},
        "versions": {name: version(name) for name in VERSIONS},
    }


def _model(one: Scored, scenario: Scenario, lake: Lake, out: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    [receipt_key] = [
        key
        for key in lake.keys(f"runs/score/{one.model}/{one.as_of.isoformat()}-v")
        if key.endswith("-batch/receipt.json")
    ]
    run = receipt_key.removesuffix("/receipt.json")
    match = lake.json(f"{run}/matchback-{one.known_by.isoformat()}.json")
    drift = lake.json(f"{run}/drift.json")
    folder = f"registry/{one.model}/versions/{match['version']:06d}"
    metrics, lineage = lake.json(f"{folder}/metrics.json"), lake.json(f"{folder}/lineage.json")
    scores = out / f"scores-{one.model}.parquet"
    _export(lake, run, scores)
    shutil.copyfile(lake.file(f"{folder}/card.html"), out / f"card-{one.model}.html")
    (out / f"matchback-{one.model}.json").write_text(json.dumps(match, indent=1) + "\n")
    segments = match["segments"]
    everyone = segments["all"]

    def value(segment: str, measure: str) -> float | None:
        found = segments.get(segment, {}).get(measure)
        return found["value"] if found else None

    figures = {
        "version": match["version"],
        "family": lineage["family"],
        "as_of": match["as_of"],
        "horizon_days": yaml.safe_load(lake.file(f"{folder}/definition/model.yaml").read_text())["horizon_days"],
        "population": everyone["rate"]["n"],
        "positives": everyone["rate"]["positives"],
        "auc_within": value("all", "auc_within"),
        "lift_of_lists": value("all", "lift_of_lists"),
        "observed_over_expected": value("all", "observed_over_expected"),
        "unranked": sum(match.get("unranked", {}).values()),
        "auc": everyone["auc"]["value"],
        "auc_low": everyone["auc"]["low"],
        "auc_high": everyone["auc"]["high"],
        "average_precision": value("all", "average_precision"),
        "brier": value("all", "brier"),
        "brier_skill": value("all", "brier_skill"),
        "calibration_slope": value("all", "calibration_slope"),
        "ece": value("all", "ece"),
        "lift_top_decile": value("top_decile", "lift"),
        "filter_size": segments["filter"]["rate"]["n"] if "filter" in segments else None,
        "lift_filter": value("filter", "lift"),
        "lift_at_filter_size": value("model_at_filter_size", "lift"),
        "best_possible_auc": best_possible_auc(scenario.truth, one.model, scores) if scenario.truth else None,
        "parity_max_abs": metrics["parity"]["max_abs"],
    }
    return figures, {"features": drift["features"], "over_threshold": drift["over_threshold"]}


def _export(lake: Lake, run: str, out: Path) -> None:
    """Write a run's scores as a consumer gets them."""
    listed = ", ".join(f"'{path}'" for path in lake.table_files("gold/scores"))
    with duckdb.connect() as connection:
        connection.execute(
            "copy (select tenant_id, customer_id, as_of, score, percentile, decile, unranked_reason, reasons "
            f"from read_parquet([{listed}], union_by_name = true, hive_partitioning = false) where run = '{run}' "
            f"order by tenant_id, customer_id) to '{out}' (format parquet)"
        )


def best_possible_auc(truth: Path, model: str, scores: Path) -> float:
    """The AUC that the true probabilities would have had, over the customers who were scored."""
    with duckdb.connect() as connection:
        [(auc,)] = connection.execute(
            f"""with r as (
                select outcome, rank() over (order by probability)
                    + (count(*) over (partition by probability) - 1) / 2.0 as place
                from '{truth}' join '{scores}' using (tenant_id, customer_id) where model = '{model}')
            select (sum(place) filter (outcome) - count(*) filter (outcome) * (count(*) filter (outcome) + 1) / 2.0)
                / (count(*) filter (outcome) * count(*) filter (not outcome)) from r"""
        ).fetchall()
        return float(auc)


def table(summary: dict[str, Any], console: Console) -> None:
    rows = Table("dataset", "files", "rows in", "bronze", "quarantine", "silver", title="\nData")
    for name, one in summary["datasets"].items():
        rows.add_row(name, *(f"{one[key]:,}" for key in ("files", "rows_in", "bronze", "quarantine", "silver")))
    console.print(rows)
    models = Table(
        "model", "family", "as of", "n", "buyers", "AUC (95 %)", "lift, top decile", "slope", "ECE", title="\nModels"
    )
    for name, one in summary["models"].items():
        models.add_row(
            f"{name} v{one['version']}",
            one["family"],
            one["as_of"],
            f"{one['population']:,}",
            f"{one['positives']:,}",
            f"{one['auc']:.3f} ({one['auc_low']:.3f}–{one['auc_high']:.3f})",
            f"{one['lift_top_decile']:.2f}",
            f"{one['calibration_slope']:.2f}",
            f"{one['ece']:.3f}",
        )
    console.print(models)
    for name, one in summary["models"].items():
        if one["filter_size"]:
            best = one["best_possible_auc"]  # only generated data has one
            console.print(
                f"{name}: the manual filter's {one['filter_size']:,} customers: lift {one['lift_filter']:.2f}; "
                f"the model's best {one['filter_size']:,}: {one['lift_at_filter_size']:.2f}"
                + (f"; AUC {one['auc']:.3f} of a best possible {best:.3f}" if best else "")
            )
    gap = summary["gap_fill"]
    console.print(
        f"gap-fill: {gap['population']:,} customers, {gap['had']:,} had a score, {gap['new']:,} scored now, "
        f"{gap['failed']} failed, coverage {gap['coverage']:.1%}"
    )
