"""The versions of tables that maintenance keeps, because a registered model or an open run pins them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta

from propensity.lake.domain.run_names import batch_day
from propensity.lake.domain.run_records import Plan, Receipt
from propensity.lake.gold_tables import GOLD, SCORES, feature_table
from propensity.lake.json_objects import find_record, parse_record, read_json
from propensity.lake.silver_tables import silver_table
from propensity.pack.current import pack_info
from propensity.ports import Ports
from propensity.registry.batches import batch_runs
from propensity.registry.domain.ledger import REGISTRY
from propensity.registry.versions import load_version, version_numbers

OPEN = timedelta(days=60)  # runs of the last two months may still be resumed


def pinned_versions(ports: Ports, day: date) -> tuple[Mapping[str, set[int]], list[str]]:
    """Return (the versions to keep, per table; the names of all tables)."""
    pinned: defaultdict[str, set[int]] = defaultdict(set)
    tables = {silver_table(dataset) for dataset in pack_info(ports).datasets}
    tables |= set(GOLD)
    models = {key.split("/")[1] for key in ports.lake.keys(f"{REGISTRY}/")}
    for model in models:
        for number in version_numbers(ports.lake, model):
            provenance = load_version(ports.lake, model, number).provenance
            tables.add(feature_table(provenance.feature_set))
            for dataset, version in provenance.silver.items():
                pinned[silver_table(dataset)].add(version)
    # the batches that runs are compared with, or that the next run will be: their own files of features stay
    compared = {run for model in models for run in _newest_batches(ports, model)}
    for key in ports.lake.keys("runs/"):
        if key.endswith("/plan.json"):
            written = read_json(ports.lake, key)
            if date.fromisoformat(written["as_of"]) < day - OPEN:
                continue
            plan = parse_record(written, key, Plan)
            for dataset, version in plan.silver.items():
                pinned[silver_table(dataset)].add(version)
            if plan.scores_version is not None:
                pinned[SCORES].add(plan.scores_version)
            if isinstance(earlier := written.get("earlier"), dict):
                compared.add(earlier["run"])
    for run in compared:
        table, kept = _features_of(ports, run)
        if kept is not None:
            pinned[table].add(kept)
    return pinned, sorted(tables)


def _newest_batches(ports: Ports, model: str) -> list[str]:
    """Return the batches of the newest day on which the model, by any version, scored everybody."""
    runs = batch_runs(ports, model)
    newest = max(map(batch_day, runs), default=None)
    return [run for run in runs if batch_day(run) == newest]


def _features_of(ports: Ports, run: str) -> tuple[str, int | None]:
    """Return the table of a run's features, and a version that has its own files; None where no receipt says it."""
    receipt = find_record(ports.lake, f"{run}/receipt.json", Receipt)
    if receipt is None:
        return "", None
    version = load_version(ports.lake, receipt.model, receipt.version)
    return feature_table(version.provenance.feature_set), receipt.features_version
