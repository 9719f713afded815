"""describe_features: the catalogue of features, as JSON for machines and as a page for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from propensity.features.domain.catalogue import CATALOGUE, Run, Usage, entry, page
from propensity.features.domain.coverage import freshest, merged
from propensity.features.feature_sets import FeatureSets, Use
from propensity.kernel.errors import IncompleteRunError
from propensity.kernel.pages import to_html
from propensity.lake.domain.run_names import parse_day
from propensity.lake.json_objects import dumps, read_json, write_once
from propensity.lake.run_files import is_planned, read_results
from propensity.ports import Ports
from propensity.registry.batches import last_batch
from propensity.registry.versions import load_version


def describe_features(ports: Ports, *, slot: str) -> dict[str, Any]:
    """Write `catalogue/<day>.json` and `.html` of the slot's day, once: a day keeps the catalogue it first had.

    Described are the feature sets of the pack and of the champions. Queries that cannot be traced are told among the
    `problems`, and their features stand there without lineage.
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
    features = len({feature["name"] for one in described for feature in one["features"]})
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
    runs = [run for one in usage if one.shown for run in _runs(ports, one.model, one.shown, day)]
    features = [
        {**entry(one, usage, runs), "since": _since(sets, name, newest)} for name, one in sets.described(newest).items()
    ]
    queries = {model: sets.lineage(use) for model, use in {use.model: use for use in uses}.items()}
    return {
        "feature_set": version,
        "models": [one.to_json() for one in usage],
        "features": features,
        "queries": {
            model: {name: one.to_json() for name, one in lineage.queries.items()} for model, lineage in queries.items()
        },
    }


def _since(sets: FeatureSets, name: str, use: Use) -> dict[str, Any] | None:
    """The first version that was trained with this feature as it is now; None where none was yet."""
    now = sets.described(use)[name]
    for first in sets.firsts():
        then = sets.described(first).get(name)
        if then is not None and then.means(now):
            told = ("feature_set", first.feature_set), ("model", first.model), ("version", first.number)
            return {**dict(told), "as_of": first.as_of}
    return None


def _runs(ports: Ports, model: str, number: int, day: date) -> list[Run]:
    """What the training of a version and its newest batch, not after a day, say of features; old runs say nothing."""
    version = load_version(ports.lake, model, number)
    batch = last_batch(ports, version, day)
    asked = [("training", str(version.lineage["run"])), *([("batch", str(batch["run"]))] if batch else [])]
    found = []
    for kind, run in asked:
        if not is_planned(ports.lake, run):
            continue  # it has expired
        plan = read_json(ports.lake, f"{run}/plan.json")
        try:
            items = read_results(ports.lake, run, "build_features", len(plan["groups"]))
        except IncompleteRunError:
            continue  # it is expiring
        as_of = plan["dates"][-1] if kind == "training" else plan["as_of"]
        found.append(Run(model, kind, date.fromisoformat(as_of), merged(items), freshest(items)))
    return found
