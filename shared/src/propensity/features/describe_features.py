"""describe_features: writes the catalogue of features, as JSON for machines and as a page for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from propensity.features.domain.catalogue import CATALOGUE, Run, Usage, entry, page
from propensity.features.domain.coverage import coverage_of, freshest
from propensity.features.feature_sets import FeatureSets, Use
from propensity.kernel.errors import IncompleteRunError
from propensity.kernel.pages import to_html
from propensity.lake.domain.run_names import parse_day
from propensity.lake.json_objects import dumps, is_planned, read_json, write_once
from propensity.lake.run_files import read_results
from propensity.ports import Ports
from propensity.registry.batches import last_batch
from propensity.registry.versions import load_version


def describe_features(ports: Ports, *, slot: str) -> dict[str, Any]:
    """Write `catalogue/<day>.json` and `.html` of the slot's day.

    A day keeps the first catalogue that was written for it. The catalogue describes the feature sets of the pack and of
    the champions. A query that cannot be traced is among the `problems`, and its features have no lineage.
    """
    day = parse_day(slot, "slot")
    sets = FeatureSets(ports)
    champions = sets.champions()
    listed: dict[str, list[Use]] = {}
    for use in sets.uses():
        listed.setdefault(use.feature_set, []).append(use)
    described = [
        _describe(ports, sets, version, uses, champions, day)
        for version, uses in listed.items()
        if any(use.number is None or champions.get(use.model) == use.number for use in uses)
    ]
    catalogue = {"pack": ports.pack, "day": day.isoformat(), "feature_sets": described, "problems": sets.problems}
    kept = json.loads(write_once(ports.lake, f"{CATALOGUE}/{day.isoformat()}.json", dumps(catalogue)))
    ports.lake.put_new(f"{CATALOGUE}/{day.isoformat()}.html", to_html(page(kept)).encode())
    features = len({feature["name"] for feature_set in described for feature in feature_set["features"]})
    return {"day": day.isoformat(), "feature_sets": len(described), "features": features, "problems": sets.problems}


def _describe(
    ports: Ports, sets: FeatureSets, version: str, uses: Sequence[Use], champions: Mapping[str, int], day: date
) -> dict[str, Any]:
    newest = uses[-1]
    usage = [
        Usage(
            model=model,
            in_pack=any(use.number is None for use in uses if use.model == model),
            versions=tuple(use.number for use in uses if use.model == model and use.number is not None),
            champion=champions.get(model),
        )
        for model in dict.fromkeys(use.model for use in uses)
    ]
    runs = [run for use in usage if use.shown for run in _runs(ports, use.model, use.shown, day)]
    features = [
        {**entry(described, usage, runs), "since": _since(sets, name, newest)}
        for name, described in sets.described(newest).items()
    ]
    queries = {model: sets.lineage(use) for model, use in {use.model: use for use in uses}.items()}
    return {
        "feature_set": version,
        "models": [use.to_json() for use in usage],
        "features": features,
        "queries": {
            model: {name: sources.to_json() for name, sources in lineage.queries.items()}
            for model, lineage in queries.items()
        },
    }


def _since(sets: FeatureSets, name: str, use: Use) -> dict[str, Any] | None:
    """The first version that was trained with a feature as the feature is now. None where no version was."""
    now = sets.described(use)[name]
    for first in sets.firsts():
        then = sets.described(first).get(name)
        if then is not None and then.means(now):
            return {
                "feature_set": first.feature_set,
                "model": first.model,
                "version": first.number,
                "as_of": first.as_of,
            }
    return None


def _runs(ports: Ports, model: str, number: int, day: date) -> list[Run]:
    """The runs of a version: its training, and its newest batch as of a day or before, with what each says of features.

    A run that has expired is left out.
    """
    version = load_version(ports.lake, model, number)
    batch = last_batch(ports, version, day)
    runs = [("training", str(version.lineage["run"])), *([("batch", batch.run)] if batch else [])]
    found = []
    for kind, run in runs:
        if not is_planned(ports.lake, run):
            continue  # the run has expired
        plan = read_json(ports.lake, f"{run}/plan.json")
        try:
            items = read_results(ports.lake, run, "build_features", len(plan["groups"]))
        except IncompleteRunError:
            continue  # the run is expiring
        as_of = plan["dates"][-1] if kind == "training" else plan["as_of"]
        found.append(Run(model, kind, date.fromisoformat(as_of), coverage_of(items), freshest(items)))
    return found
