"""What the stack made of what the generator planted: who is whom, feeds that came late, exports that changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import sqrt
from pathlib import Path
from typing import Any

from tests.stack.lake import Lake

Z = 1.959964
_NEWEST = (
    "(select * exclude (filename) from identities "
    "qualify row_number() over (partition by tenant_id, customer_id order by as_of desc) = 1)"
)


def identity_found(lake: Lake, people: Path, manifest: Path) -> dict[str, Any]:
    """Pairs of customers that the stack joined, held against the generator's truth.

    Of each level: `planted`, the true pairs among the customers that the stack knows, how many of them were `found`,
    the pairs that were `joined`, and how many of those are `wrong`. `kinds` has the planted pairs by what is dirty.
    """
    files = lake.table_files("gold/identities")
    pairs = json.loads(manifest.read_text())["pairs"]
    found: dict[str, Any] = {}
    known = f"{_NEWEST} i join '{people}' p using (tenant_id, customer_id)"
    [row] = lake.query(
        f"select count(*), count(distinct person_id), count(distinct household_id) from {_NEWEST}", identities=files
    )
    found |= dict(zip(("customers", "persons", "households"), row, strict=True))
    for level in ("person", "household"):
        [(planted, both, joined)] = lake.query(
            f"""with k as (select i.*, p.person, p.household from {known})
            select count(*) filter (a.{level} = b.{level}),
                count(*) filter (a.{level} = b.{level} and a.{level}_id = b.{level}_id),
                count(*) filter (a.{level}_id = b.{level}_id)
            from k a join k b on a.tenant_id = b.tenant_id and a.customer_id < b.customer_id
                and (a.{level} = b.{level} or a.{level}_id = b.{level}_id)""",
            identities=files,
        )
        found[level] = {"planted": planted, "found": both, "joined": joined, "wrong": joined - both}
    ids = {
        (tenant, customer): (person, household)
        for tenant, customer, person, household in lake.query(
            f"select tenant_id, customer_id, person_id, household_id from {_NEWEST}", identities=files
        )
    }
    kinds: dict[str, dict[str, int]] = {}
    for pair in pairs:
        first, second = (ids.get((pair["tenant_id"], customer)) for customer in pair["customers"])
        if first is None or second is None:
            continue  # one of them is no customer yet
        one = kinds.setdefault(pair["kind"], {"planted": 0, "one_person": 0, "one_household": 0})
        one["planted"] += 1
        one["one_person"] += first[0] == second[0]
        one["one_household"] += first[1] == second[1]
    return {**found, "kinds": dict(sorted(kinds.items()))}


def served_found(lake: Lake, run: str, manifest: Path, limit: float) -> dict[str, Any]:
    """The audit of a run: the feature that differs most over all, and the tenants for whom more than the limit did.

    `late` has the most that any feature of that tenant's customers differs, `changed` the most of the features that
    read what was exported again.
    """
    rows = lake.query(
        f"select tenant_id, feature, n, differing from a where run = '{run}'", a=lake.table_files("gold/as_served")
    )
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    for tenant, feature, n, differing in rows:
        counts.setdefault(tenant, {})[feature] = (n, differing)
    planted = json.loads(manifest.read_text())

    def most(of: Mapping[str, tuple[int, int]], features: Iterable[str] | None = None) -> dict[str, Any]:
        feature = max(features or of, key=lambda name: (of[name][1], name))
        return {"feature": feature, "n": of[feature][0], "differing": of[feature][1]}

    every = {
        feature: (sum(own[feature][0] for own in counts.values()), sum(own[feature][1] for own in counts.values()))
        for feature in next(iter(counts.values()))
    }
    worst = {tenant: {"tenant_id": tenant, **most(own)} for tenant, own in sorted(counts.items())}
    changed: dict[str, dict[str, Any]] = {}
    for one in planted["changed"]:
        tenant = one["tenant_id"]
        told = changed.setdefault(tenant, {"tenant_id": tenant, **most(counts[tenant], one["features"]), "changed": 0})
        told["changed"] += one["changed"]
    return {
        "limit": limit,
        "all": most(every),
        "named": [one for one in worst.values() if _low(one["differing"], one["n"]) > limit],
        "late": [{**worst[one["tenant_id"]], "days": one["days"], "rows": one["rows"]} for one in planted["late"]],
        "changed": list(changed.values()),
    }


def _low(count: int, n: int) -> float:
    """Lower bound of Wilson's 95 % interval of a share."""
    share = count / n
    middle = share + Z * Z / (2 * n)
    return (middle - Z * sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))) / (1 + Z * Z / n)


def identity_lines(found: Mapping[str, Any]) -> Iterable[str]:
    yield (
        f"identity: {found['customers']:,} customers are {found['persons']:,} persons in "
        f"{found['households']:,} households"
    )
    for level in ("person", "household"):
        one = found[level]
        yield (
            f"identity, {level}s: {one['found']:,} of {one['planted']:,} planted pairs found "
            f"({_share(one['found'], one['planted'])}); {one['wrong']:,} of {one['joined']:,} joined pairs are wrong "
            f"({_share(one['wrong'], one['joined'])})"
        )
    kinds = found["kinds"].items()
    told = "; ".join(f"{kind} {one['one_person']:,} of {one['planted']:,}" for kind, one in kinds)
    yield f"identity, joined to one person by kind: {told}"


def served_lines(model: str, found: Mapping[str, Any]) -> Iterable[str]:
    every = found["all"]
    yield (
        f"{model}, as served: {every['differing']:,} of {every['n']:,} customers were scored on another "
        f"{every['feature']} than a training reads now ({_share(every['differing'], every['n'])}, limit "
        f"{found['limit']:.0%}); dealers above the limit: "
        + (", ".join(f"{one['tenant_id']} ({_share(one['differing'], one['n'])})" for one in found["named"]) or "none")
    )
    for one in found["late"]:
        yield (
            f"{model}, {one['tenant_id']}: {one['rows']:,} visits came {one['days']} days late; "
            f"{one['differing']:,} of {one['n']:,} customers had another {one['feature']}"
        )
    for one in found["changed"]:
        yield (
            f"{model}, {one['tenant_id']}: {one['changed']:,} vehicles were exported again with other values under the "
            f"old days; {one['differing']:,} of {one['n']:,} customers had another {one['feature']}"
        )


def _share(count: int, n: int) -> str:
    return f"{count / n:.1%}" if n else "none"
