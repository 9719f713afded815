"""The gate against changed features: this training set's values are compared with the champion's training set.

A customer's features as of a date are the same whenever they are computed, because they see only what was known then.
Where a value has changed since, the feature has another meaning now, or it sees what came after its date.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from propensity.evaluation.case import Case
from propensity.evaluation.domain.gates import Gate, number
from propensity.kernel.errors import IncompleteRunError, NotFoundError
from propensity.kernel.tenant import CUSTOMER, TENANT
from propensity.lake.domain.run_records import BuildResult, ServedReport, TrainingPlan
from propensity.lake.json_objects import read_record
from propensity.lake.run_files import read_plan, results_of
from propensity.ports import Ports
from propensity.registry.versions import Version, load_version
from propensity.stats.drift import drift_of
from propensity.stats.figures import Estimate, wilson
from propensity.stats.sampling import spread

COMPARED_ROWS = 50_000  # at most this many rows of common dates are compared
_NAME = "changed_features"


def changed_features(ports: Ports, plan: TrainingPlan, case: Case) -> Gate:
    """Compare row by row where the two training sets share dates, and by distributions elsewhere.

    The distribution on the newest date is compared with the champion's reference.
    """
    limits, planned = case.definition.model.gates, plan.champion
    if planned is None:
        return Gate(
            _NAME, None, limits.changed_share, True, "there is no champion whose features these could differ from"
        )
    version = load_version(ports.lake, plan.model, planned.version)
    theirs = set(version.definition(ports.lake).feature_names)
    names = [name for name in case.definition.feature_names if name in theirs]
    differing, rows = _differing(ports, case, version, names) if names else (None, 0)
    if rows:
        return _by_rows(differing, rows, names, version.number, limits.changed_share)
    return _by_distribution(ports, case, version, names)


def as_served(ports: Ports, plan: TrainingPlan, case: Case) -> Gate:
    """The newest audit of the model's batches: how many customers were scored on other values than a training reads.

    A model that learns from what no batch could have seen promises too much. Only features that this version has are
    judged. The audit is made by feedback/audit_features.py.
    """
    name, limit = "as_served", case.definition.model.gates.as_served_share
    reports = [
        read_record(ports.lake, key, ServedReport)
        for key in ports.lake.keys(f"runs/score/{plan.model}/")
        if key.endswith("/as_served.json")
    ]
    earlier = [report for report in reports if report.audited < plan.as_of]
    if not earlier:
        return Gate(name, None, limit, True, "no batch of this model was audited for what it was scored on")
    newest = max(earlier, key=lambda report: (report.as_of, report.run))
    shares = {
        feature: wilson(counted.differing, counted.rows)
        for feature, counted in newest.features.items()
        if feature in case.definition.feature_names and counted.rows
    }
    if not shares:
        return Gate(name, None, limit, True, f"the batch of {newest.as_of} shares no feature with this version")
    worst = max(shares, key=lambda feature: (shares[feature].value, feature))
    bad = [feature for feature, share in shares.items() if share.low > limit]
    most = shares[worst]
    message = (
        f"of {most.n:,} customers of the batch of {newest.as_of}, {_share(most)} were scored on another {worst} than a "
        f"training reads for that day now, the most of any feature; proven to be more than {number(limit)}: "
        f"{', '.join(bad) or 'none'}"
    )
    if bad:
        message += "; files of that day came late or were changed since: give knownAt a lag, or arrival"
    return Gate(name, most.value, limit, not bad, message, most.n, (most.low, most.high))


def _by_rows(differing: Any, rows: int, names: Sequence[str], champion: int, limit: float) -> Gate:
    shares = {name: wilson(int(count), rows) for name, count in zip(names, differing, strict=True)}
    worst = max(shares, key=lambda name: (shares[name].value, name))
    bad = [name for name, share in shares.items() if share.low > limit]
    message = (
        f"of {rows:,} rows that champion version {champion} was trained on too, {_share(shares[worst])} now have "
        f"another {worst}, the most of any feature; proven to be more than {number(limit)}: {', '.join(bad) or 'none'}"
    )
    if bad:
        message += "; files of those days that came late, or were taken back, since then do this too"
    most = shares[worst]
    return Gate(_NAME, most.value, limit, not bad, message, rows, (most.low, most.high))


def _share(found: Estimate) -> str:
    return f"{found.value:.2%} (95 % interval {found.low:.2%} to {found.high:.2%})"


def _by_distribution(ports: Ports, case: Case, version: Version, names: Sequence[str]) -> Gate:
    spec, data = case.definition.model, case.data
    limit, reference = spec.gates.changed_psi, version.json(ports.lake, "reference.json")
    newest = data.matrix[data.validated & (data.as_of == data.dates[-1])]
    drifts = []
    for name in names:
        if name in reference["features"]:
            bins = reference["features"][name]
            values = newest[:, case.definition.feature_names.index(name)]
            counts = _counts(values, bins["edges"])
            drifts.append(drift_of(name, bins["counts"], counts, limit=limit, min_rows=spec.drift.min_rows))
    if not drifts:
        return Gate(_NAME, None, limit, True, f"champion version {version.number} has no feature of the same name")
    worst = max(drifts, key=lambda drift: (drift.psi, drift.name))
    bad = [drift.name for drift in drifts if drift.over]
    message = (
        f"no date in common with champion version {version.number}, so distributions on {data.dates[-1]} are held "
        f"against those on {reference['as_of']}: {worst.name} moved most, PSI {number(worst.psi)}; over "
        f"{number(limit)}: {', '.join(bad) or 'none'}"
    )
    return Gate(_NAME, worst.psi, limit, not bad, message, len(newest))


def _counts(values: Any, edges: Sequence[float]) -> list[int]:
    """Return the rows per bin of a reference; the rows without a value come last."""
    known = values[np.isfinite(values)]
    counts = np.bincount(np.searchsorted(np.asarray(edges), known, side="right"), minlength=len(edges) + 1)
    return [*counts.tolist(), len(values) - len(known)]


def _differing(ports: Ports, case: Case, version: Version, names: Sequence[str]) -> tuple[Any, int]:
    """Return (how many values differ, per feature, int64 (k,); how many rows the two training sets have in common)."""
    ours, keys = _rows_of_dates(case, version.lineage["dates"]), _files(ports, version.lineage)
    places = [case.definition.feature_names.index(name) for name in names]
    differing, rows = np.zeros(len(names), dtype=np.int64), 0
    for key in keys if ours else ():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "features.parquet"
            ports.lake.download(key, path)
            read = ports.frames.read(path, [TENANT, CUSTOMER, "as_of"])
            pairs = [
                (ours[who], number)
                for number, who in enumerate(_identities(read[TENANT], read[CUSTOMER], read["as_of"]))
                if who in ours
            ]
            if not pairs:
                continue
            mine, theirs = np.array(pairs).T
            now, then = case.data.matrix[mine][:, places], ports.frames.matrix(path, names)[theirs]
            differing += (~np.isclose(now, then, rtol=1e-5, atol=1e-6, equal_nan=True)).sum(axis=0)
            rows += len(pairs)
    return differing, rows


def _rows_of_dates(case: Case, dates: Sequence[str]) -> dict[tuple[str, str, Any], int]:
    """Return where rows of these dates stand in this run's training set, by (tenant, customer, as-of date)."""
    data = case.data
    common = np.flatnonzero(np.isin(data.as_of, np.array(dates, dtype="datetime64[D]")))
    common = common[spread(len(common), COMPARED_ROWS)]
    who = _identities(data.columns[TENANT][common], data.columns[CUSTOMER][common], data.as_of[common])
    return dict(zip(who, common.tolist(), strict=True))


def _identities(tenants: Any, customers: Any, days: Any) -> Any:
    return zip(tenants.tolist(), customers.tolist(), days.astype("datetime64[D]").tolist(), strict=True)


def _files(ports: Ports, lineage: Mapping[str, Any]) -> list[str]:
    """Return the feature files of the champion's training run that still exist; none where the run was removed."""
    try:
        plan = read_plan(ports.lake, lineage["run"], TrainingPlan)
        results = results_of(ports.lake, lineage["run"], BuildResult, len(plan.groups))
    except (NotFoundError, IncompleteRunError):
        return []
    there = set(ports.lake.keys(f"{lineage['run']}/features/"))
    return [result.features for result in results if result.features in there]
