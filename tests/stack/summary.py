"""The demo's summary. Rows in are counted in the files, all other figures come from the lake."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import yaml
from rich.console import Console
from rich.table import Table

from tests.stack.lake import Lake, rows_in_file
from tests.stack.planted import identity_found, identity_lines, served_found, served_lines
from tests.stack.scenarios import Scenario, Scored
from tests.stack.tenants import auc_within, between_and_within, tenant_figures, tenant_rows

SERVED_SHARE = 0.05  # the default of `gates.as_served_share`
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
    planted: dict[str, Any] = {}
    if scenario.people and scenario.manifest:
        planted["identity"] = identity_found(lake, scenario.people, scenario.manifest)
        planted["as_served"] = {
            one.model: served_found(lake, _run(lake, one), scenario.manifest, SERVED_SHARE) for one in scenario.scored
        }
    return {
        "pack": pack,
        "seconds": {},
        "datasets": datasets,
        "models": {name: figures for name, (figures, _) in models.items()},
        "gap_fill": gap,
        "drift": {name: drift for name, (_, drift) in models.items()},
        **planted,
        "versions": {name: version(name) for name in VERSIONS},
    }


def _run(lake: Lake, one: Scored) -> str:
    """The batch of a model."""
    [receipt_key] = [
        key
        for key in lake.keys(f"runs/score/{one.model}/{one.as_of.isoformat()}-v")
        if key.endswith("-batch/receipt.json")
    ]
    return receipt_key.removesuffix("/receipt.json")


def _model(one: Scored, scenario: Scenario, lake: Lake, out: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    run = _run(lake, one)
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

    def value(segment: str, measure: str, bound: str = "value") -> float | None:
        found = segments.get(segment, {}).get(measure)
        return found[bound] if found else None

    best = best_possible(scenario.truth, one.model, scores) if scenario.truth else {}
    figures = {
        "version": match["version"],
        "family": lineage["family"],
        "as_of": match["as_of"],
        "horizon_days": yaml.safe_load(lake.file(f"{folder}/definition/model.yaml").read_text())["horizon_days"],
        "population": everyone["rate"]["n"],
        "positives": everyone["rate"]["positives"],
        "auc_within": value("all", "auc_within"),
        "auc_within_low": value("all", "auc_within", "low"),
        "auc_within_high": value("all", "auc_within", "high"),
        "best_possible_auc_within": best.get("auc_within"),
        "lift_of_lists": value("all", "lift_of_lists"),
        "observed_over_expected": value("all", "observed_over_expected"),
        "observed_over_expected_low": value("all", "observed_over_expected", "low"),
        "observed_over_expected_high": value("all", "observed_over_expected", "high"),
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
        "best_possible_auc": best.get("auc"),
        "parity_max_abs": metrics["parity"]["max_abs"],
        "tenants": tenant_figures(tenant_outcomes(lake, run)),
    }
    figures |= between_and_within(figures)
    over = {column["name"]: round(column["psi"], 3) for column in drift["columns"] if column["over"]}
    return figures, {"features": drift["features"], "over_threshold": drift["over_threshold"], "over": over}


def _export(lake: Lake, run: str, out: Path) -> None:
    """Write a run's scores as a consumer gets them."""
    listed = ", ".join(f"'{path}'" for path in lake.table_files("gold/scores"))
    with duckdb.connect() as connection:
        connection.execute(
            "copy (select tenant_id, customer_id, as_of, score, percentile, decile, unranked_reason, reasons "
            f"from read_parquet([{listed}], union_by_name = true, hive_partitioning = false) where run = '{run}' "
            f"order by tenant_id, customer_id) to '{out}' (format parquet)"
        )


def tenant_outcomes(lake: Lake, run: str) -> list[tuple[Any, ...]]:
    """Of each customer of a run whose outcome could be seen: tenant, score, outcome, unranked reason and rung.

    A lake whose models have no ladder has no column of rungs; the rung is None then.
    """
    return lake.query(
        "select tenant_id, g.score, g.converted, g.unranked_reason, s.rung "
        "from g join (select * from s union all by name select null::varchar as rung where false) s "
        "using (run, tenant_id, customer_id) "
        f"where run = '{run}' order by tenant_id, customer_id",
        g=lake.table_files("gold/ground_truth"),
        s=lake.table_files("gold/scores"),
    )


def best_possible(truth: Path, model: str, scores: Path) -> dict[str, float]:
    """The AUCs that the true probabilities would have had over the customers who were scored: `auc`, `auc_within`."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select tenant_id, probability, outcome from '{truth}' join '{scores}' using (tenant_id, customer_id) "
            f"where model = '{model}' order by tenant_id, customer_id"
        ).fetchall()
    pooled = [("all", probability, outcome) for _, probability, outcome in rows]
    return {"auc": auc_within(pooled), "auc_within": auc_within(rows)}


def table(summary: dict[str, Any], console: Console) -> None:
    rows = Table("dataset", "files", "rows in", "bronze", "quarantine", "silver", title="\nData")
    for name, one in summary["datasets"].items():
        rows.add_row(name, *(f"{one[key]:,}" for key in ("files", "rows_in", "bronze", "quarantine", "silver")))
    console.print(rows)
    for name, one in summary["models"].items():
        title = f"\n{name} v{one['version']}, {one['family']}, as of {one['as_of']}: each tenant's own list"
        tenants = Table("tenant", "n", "buyers", "AUC (95 %)", "O/E (95 %)", "lift, top tenth", "rung", "unranked")
        tenants.title = title
        for row in tenant_rows(one):
            tenants.add_row(*row)
        console.print(tenants)
    within = Table(
        *("model", "n", "buyers", "AUC within tenants (95 %)", "lift of lists", "O/E (95 %)", "unranked"),
        title="\nModels, within tenants",
    )
    pooled = Table(
        *("model", "AUC (95 %)", "within × share + between × share", "lift, top decile", "slope", "ECE", "Brier skill"),
        title="\nModels, pooled: between + within tenants",
    )
    for name, one in summary["models"].items():
        within.add_row(
            name,
            f"{one['population']:,}",
            f"{one['positives']:,}",
            _interval(one, "auc_within", 3) + _of(one["best_possible_auc_within"]),
            f"{one['lift_of_lists']:.2f}",
            _interval(one, "observed_over_expected", 2),
            f"{one['unranked']:,}",
        )
        pooled.add_row(
            name,
            _interval(one, "auc", 3) + _of(one["best_possible_auc"]),
            _parts(one),
            f"{one['lift_top_decile']:.2f}",
            f"{one['calibration_slope']:.2f}",
            f"{one['ece']:.3f}",
            f"{one['brier_skill']:.3f}",
        )
    console.print(within)
    console.print(pooled)
    for line in _lines(summary):
        console.print(line, soft_wrap=True)


def _interval(one: dict[str, Any], name: str, digits: int) -> str:
    value, low, high = (one[key] for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def _parts(one: dict[str, Any]) -> str:
    """The pooled AUC as the mean of its two parts. A pack with one tenant has one part."""
    within = f"{one['auc_within']:.3f} × {one['pairs_within']:.0%}"
    if one["auc_between"] is None:
        return within
    return f"{within} + {one['auc_between']:.3f} × {1 - one['pairs_within']:.0%}"


def _of(best: float | None) -> str:
    """Only generated data has a best possible figure."""
    return f" of {best:.3f}" if best else ""


def _lines(summary: dict[str, Any]) -> Iterator[str]:
    for name, one in summary["models"].items():
        if one["filter_size"]:
            yield (
                f"{name}: the manual filter's {one['filter_size']:,} customers: lift {one['lift_filter']:.2f}; "
                f"the model's best {one['filter_size']:,}: {one['lift_at_filter_size']:.2f}"
            )
    gap = summary["gap_fill"]
    yield (
        f"gap-fill: {gap['population']:,} customers, {gap['had']:,} had a score, {gap['new']:,} scored now, "
        f"{gap['failed']} failed, coverage {gap['coverage']:.1%}"
    )
    if "identity" in summary:
        yield from identity_lines(summary["identity"])
    for model, found in summary.get("as_served", {}).items():
        yield from served_lines(model, found)
