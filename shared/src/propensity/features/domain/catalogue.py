"""The catalogue of features. It gives each feature's meaning, owner, sources, users and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from propensity.features.domain.coverage import Coverage, Freshness
from propensity.features.domain.feature_diff import Described
from propensity.kernel.pages import Page, Section, Table

CATALOGUE = "catalogue"
_NONE = "–"


@dataclass(frozen=True, slots=True)
class Usage:
    """A model that uses a feature set. The use is in the pack, or in `versions` of the model, or in both.

    `champion` is the model's champion, which may have another feature set.
    """

    model: str
    in_pack: bool
    versions: tuple[int, ...]
    champion: int | None

    @property
    def shown(self) -> int | None:
        """The version whose runs the catalogue shows: the champion if it has this set, else the newest version."""
        return self.champion if self.champion in self.versions else max(self.versions, default=None)

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "in_pack": self.in_pack,
            "versions": list(self.versions),
            "champion": self.champion if self.champion in self.versions else None,
        }


@dataclass(frozen=True, slots=True)
class Run:
    """The facts that a run of a model gives about the features that it computed.

    `kind` is training or batch. For a training, `as_of` is its newest date.
    """

    model: str
    kind: str
    as_of: date
    coverage: Mapping[str, Coverage]
    freshness: Mapping[str, Freshness]

    def fields(self) -> dict[str, str]:
        return {"model": self.model, "run": self.kind, "as_of": self.as_of.isoformat()}


def entry(described: Described, usage: Sequence[Usage], runs: Sequence[Run]) -> dict[str, Any]:
    """The catalogue's JSON of a feature.

    `coverage` is given per run, `freshness` per run and dataset the feature draws from.
    """
    feature, lineage = described.feature, described.lineage
    return {
        "name": feature.name,
        **described.fields(),
        "indicator": feature.indicator.name if feature.missing_indicator else None,
        "lineage": lineage.to_json() if lineage else None,
        "used_by": [use.model for use in usage],
        "coverage": [
            {**run.fields(), **run.coverage[feature.name].to_json()} for run in runs if feature.name in run.coverage
        ],
        "freshness": [
            {**run.fields(), "dataset": dataset, **run.freshness[dataset].to_json(run.as_of)}
            for run in runs
            for dataset in (lineage.datasets if lineage else ())
            if dataset in run.freshness
        ],
    }


def page(catalogue: Mapping[str, Any]) -> Page:
    """The catalogue's JSON as a page for people, with a section per feature set and one per feature."""
    sections = [section for feature_set in catalogue["feature_sets"] for section in _set(feature_set)]
    if catalogue["problems"]:
        sections.insert(0, Section("Could not be traced", (tuple(catalogue["problems"]),)))
    names = {feature["name"] for feature_set in catalogue["feature_sets"] for feature in feature_set["features"]}
    return Page(
        title=f"Features of {catalogue['pack']}",
        summary=f"{len(names)} features in {len(catalogue['feature_sets'])} feature sets, as of {catalogue['day']}. "
        "A feature set is named by a hash of what decides its values.",
        sections=tuple(sections),
    )


def _set(feature_set: Mapping[str, Any]) -> list[Section]:
    models = Table(
        "Who uses it",
        ("model", "next training", "versions", "champion"),
        tuple(
            (
                use["model"],
                "yes" if use["in_pack"] else "no",
                ", ".join(map(str, use["versions"])) or _NONE,
                _shown(use["champion"]),
            )
            for use in feature_set["models"]
        ),
    )
    short = Table(
        "Features",
        ("feature", "what it is", "owner", "from", "known, newest run", "least covered tenant", "days behind"),
        tuple(_short(feature) for feature in feature_set["features"]),
    )
    rows = Table(
        "Who is scored, and for what",
        ("model", "query", "datasets", "columns"),
        tuple(
            (model, name, ", ".join(found["datasets"]) or _NONE, _columns(found))
            for model, queries in sorted(feature_set["queries"].items())
            for name, found in sorted(queries.items())
        ),
    )
    return [
        Section(f"Feature set {feature_set['feature_set']}", (models, short, rows)),
        *(_feature(feature) for feature in feature_set["features"]),
    ]


def _short(feature: Mapping[str, Any]) -> tuple[str, ...]:
    newest = feature["coverage"][-1] if feature["coverage"] else None
    batches = [fresh for fresh in feature["freshness"] if fresh["run"] == "batch"]
    behind = [fresh["days_behind"] for fresh in batches or feature["freshness"]]
    lineage = feature["lineage"]
    known = [days for days in behind if days is not None]
    return (
        feature["name"],
        feature["description"],
        feature["owner"],
        ", ".join(lineage["datasets"]) if lineage else "not traced",
        _share(newest["overall"]) if newest else _NONE,
        _share(newest["least_tenant"]) if newest else _NONE,
        str(max(known)) if known else _NONE,
    )


def _feature(feature: Mapping[str, Any]) -> Section:
    tables = [_definition(feature)]
    if feature["coverage"]:
        tables.append(_coverage(feature["coverage"]))
    if feature["freshness"]:
        tables.append(_freshness(feature["freshness"]))
    return Section(feature["name"], tuple(tables))


def _definition(feature: Mapping[str, Any]) -> Table:
    lineage, since = feature["lineage"], feature["since"]
    facts = [
        ("description", feature["description"]),
        ("group", feature["group"]),
        ("owner", feature["owner"]),
        ("type", feature["dtype"]),
        ("unit", _shown(feature["unit"])),
        ("where unknown", "NaN" if feature["default"] is None else str(feature["default"])),
        ("says that it is unknown", _shown(feature["indicator"])),
        ("direction", _shown(feature["monotonic"])),
        ("values of", ", ".join(lineage["columns"]) or "none: rows are counted" if lineage else "not traced"),
        ("rows chosen by", ", ".join(lineage["conditions"]) or _NONE if lineage else "not traced"),
        ("used by", ", ".join(feature["used_by"])),
        (
            "as it is now since",
            f"feature set {since['feature_set']}, {since['model']} version {since['version']}, as of {since['as_of']}"
            if since
            else "the next training",
        ),
    ]
    if feature["categories"]:
        facts.insert(5, ("categories", ", ".join(feature["categories"])))
    return Table("Definition", ("", ""), tuple(facts))


def _coverage(runs: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        "Coverage",
        ("model", "run", "as of", "known", "least covered tenant"),
        tuple(
            (run["model"], run["run"], run["as_of"], _share(run["overall"]), _share(run["least_tenant"]))
            for run in runs
        ),
    )


def _freshness(datasets: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        "Freshness",
        ("dataset", "model", "run", "as of", "newest row of", "newest known at", "days behind"),
        tuple(
            (
                fresh["dataset"],
                fresh["model"],
                fresh["run"],
                fresh["as_of"],
                _shown(fresh["newest"]),
                _shown(fresh["known_at"]),
                _shown(fresh["days_behind"]),
            )
            for fresh in datasets
        ),
    )


def _columns(found: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(sorted({*found["columns"], *found["conditions"]})) or _NONE


def _share(share: Mapping[str, Any] | None) -> str:
    return f"{share['share']:.1%} of {share['rows']:,}" if share else _NONE


def _shown(value: object) -> str:
    return _NONE if value is None else str(value)
