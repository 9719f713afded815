"""The catalogue of features: what each means, whose it is, where it comes from, who uses it and how whole it is."""

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
    """A model that uses a feature set: from the pack, or as versions of it. `champion` may be of another set."""

    model: str
    in_pack: bool
    versions: tuple[int, ...]
    champion: int | None

    @property
    def shown(self) -> int | None:
        """The version whose runs are looked at: the champion, else the newest."""
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
    """What a training (`as_of` its newest date) or a batch of a model says of the features it computed."""

    model: str
    kind: str
    as_of: date
    coverage: Mapping[str, Coverage]
    freshness: Mapping[str, Freshness]

    def said(self) -> dict[str, str]:
        return {"model": self.model, "run": self.kind, "as_of": self.as_of.isoformat()}


def entry(one: Described, usage: Sequence[Usage], runs: Sequence[Run]) -> dict[str, Any]:
    """A feature of a set; `coverage` per run, `freshness` per run and dataset that it draws from."""
    feature, lineage = one.feature, one.lineage
    return {
        "name": feature.name,
        **one.fields(),
        "indicator": feature.indicator.name if feature.missing_indicator else None,
        "lineage": lineage.to_json() if lineage else None,
        "used_by": [use.model for use in usage],
        "coverage": [
            {**run.said(), **run.coverage[feature.name].to_json()} for run in runs if feature.name in run.coverage
        ],
        "freshness": [
            {**run.said(), "dataset": dataset, **run.freshness[dataset].to_json(run.as_of)}
            for run in runs
            for dataset in (lineage.datasets if lineage else ())
            if dataset in run.freshness
        ],
    }


def page(catalogue: Mapping[str, Any]) -> Page:
    """For people: what the catalogue's JSON says, a section per feature set and one per feature."""
    sections = [section for one in catalogue["feature_sets"] for section in _set(one)]
    if catalogue["problems"]:
        sections.insert(0, Section("Could not be traced", (tuple(catalogue["problems"]),)))
    names = {feature["name"] for one in catalogue["feature_sets"] for feature in one["features"]}
    return Page(
        title=f"Features of {catalogue['pack']}",
        summary=f"{len(names)} features in {len(catalogue['feature_sets'])} feature sets, as of {catalogue['day']}. "
        "A feature set is named by a hash of what decides its values.",
        sections=tuple(sections),
    )


def _set(one: Mapping[str, Any]) -> list[Section]:
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
            for use in one["models"]
        ),
    )
    short = Table(
        "Features",
        ("feature", "what it is", "owner", "from", "known, newest run", "least covered tenant", "days behind"),
        tuple(_short(feature) for feature in one["features"]),
    )
    rows = Table(
        "Who is scored, and for what",
        ("model", "query", "datasets", "columns"),
        tuple(
            (model, name, ", ".join(found["datasets"]) or _NONE, _columns(found))
            for model, queries in sorted(one["queries"].items())
            for name, found in sorted(queries.items())
        ),
    )
    return [
        Section(f"Feature set {one['feature_set']}", (models, short, rows)),
        *(_feature(feature) for feature in one["features"]),
    ]


def _short(feature: Mapping[str, Any]) -> tuple[str, ...]:
    newest = feature["coverage"][-1] if feature["coverage"] else None
    behind = [one["days_behind"] for one in feature["freshness"] if one["run"] == "batch"] or [
        one["days_behind"] for one in feature["freshness"]
    ]
    lineage = feature["lineage"]
    known = [one for one in behind if one is not None]
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
    blocks: list[str | Table] = [Table("Definition", ("", ""), tuple(facts))]
    if feature["coverage"]:
        blocks.append(
            Table(
                "Coverage",
                ("model", "run", "as of", "known", "least covered tenant"),
                tuple(
                    (one["model"], one["run"], one["as_of"], _share(one["overall"]), _share(one["least_tenant"]))
                    for one in feature["coverage"]
                ),
            )
        )
    if feature["freshness"]:
        blocks.append(
            Table(
                "Freshness",
                ("dataset", "model", "run", "as of", "newest row of", "newest known at", "days behind"),
                tuple(
                    (
                        one["dataset"],
                        one["model"],
                        one["run"],
                        one["as_of"],
                        _shown(one["newest"]),
                        _shown(one["known_at"]),
                        _shown(one["days_behind"]),
                    )
                    for one in feature["freshness"]
                ),
            )
        )
    return Section(feature["name"], tuple(blocks))


def _columns(found: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(sorted({*found["columns"], *found["conditions"]})) or _NONE


def _share(one: Mapping[str, Any] | None) -> str:
    return f"{one['share']:.1%} of {one['rows']:,}" if one else _NONE


def _shown(value: object) -> str:
    return _NONE if value is None else str(value)
