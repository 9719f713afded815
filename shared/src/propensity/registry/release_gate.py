"""Whether lists of a version's scores may leave: a matchback, a backtest or two people must speak for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from propensity.kernel.callers import ROLES
from propensity.kernel.errors import ConflictError
from propensity.lake.domain.run_names import batch_day, run_version
from propensity.lake.json_objects import dumps, read_record
from propensity.pack.current import pack_definition, pack_info
from propensity.pack.domain.model_spec import Release
from propensity.ports import ObjectStore, Ports
from propensity.registry.batches import batch_runs
from propensity.registry.domain.ledger import ModelStanding, model_standing
from propensity.registry.domain.release_proof import ReleaseProof, best_of, recipe_proofs, version_proofs
from propensity.registry.versions import Version, read_ledger


@dataclass(frozen=True, slots=True)
class Clearance:
    """Whether a version's lists may leave, and by what: people, a matchback or a backtest; None where they may not.

    `proofs` are those that there are, also those that show too little.
    """

    by: str | None
    limits: Release
    proofs: tuple[ReleaseProof, ...]


def clearance(ports: Ports, version: Version, standing: ModelStanding) -> Clearance:
    """Look at the ledger's releases and at the proofs of a version. The limits are those of the pack of today."""
    deployed = version.model in pack_info(ports).models
    definition = pack_definition(ports, version.model) if deployed else version.definition(ports.lake)
    limits = definition.model.release
    folders = (version_proofs(version.model, version.number), recipe_proofs(version.model, version.recipe(ports.lake)))
    proofs = tuple(proof for folder in folders for proof in _read(ports.lake, folder))
    if len(standing.released_by(version.number)) == len(ROLES):
        return Clearance("people", limits, proofs)
    best = best_of(proofs, limits)
    return Clearance(best.source if best else None, limits, proofs)


def refuse_unreleased(ports: Ports, version: Version) -> None:
    """Raise ConflictError where a version's lists may not leave yet, saying what is missing and from when."""
    standing = model_standing(read_ledger(ports.lake, version.model))
    found = clearance(ports, version, standing)
    if found.by is not None:
        return
    given = standing.released_by(version.number)
    path = f"/v1/models/{version.model}"
    ways = [_matchback(ports, version), f"a backtest of the same model that passes (POST {path}/backtests)"]
    missing = " and ".join(role for role in ROLES if role not in given)
    ways.append(f"two people who release it (POST {path}/release; missing: {missing})")
    there = "; ".join(
        f"{proof.source} {proof.by} known by {proof.known_by}: {proof.short_of(found.limits)}"
        for proof in sorted(found.proofs, key=lambda proof: proof.known_by)[-3:]
    )
    raise ConflictError(
        f"model {version.model} version {version.number}: its lists wait for proof that its high deciles convert more "
        f"often than its low ones, with at least {found.limits.min_positives} conversions among them: "
        f"{', or '.join(ways)}. There is so far: {there or 'no proof'}"
    )


def keep_proof(store: ObjectStore, folder: str, name: str, proof: ReleaseProof) -> None:
    """Write a proof, unless it is there already."""
    store.put_new(f"{folder}{name}.json", dumps(proof.model_dump(mode="json")))


def _read(store: ObjectStore, folder: str) -> list[ReleaseProof]:
    return [read_record(store, key, ReleaseProof) for key in store.keys(folder)]


def _matchback(ports: Ports, version: Version) -> str:
    """Say when the first outcomes of customers whom this version scored are matched."""
    model = version.definition(ports.lake).model
    days = [batch_day(run) for run in batch_runs(ports, version.model) if run_version(run) == version.number]
    said = "a matchback of customers who were scored and on no list of it"
    if not days:
        return f"{said} (none yet: no batch by this version is committed)"
    proven = {date.fromisoformat(day) for proof in _read_matched(ports, version) for day in proof.as_of}
    open_yet = [day for day in days if day not in proven]
    if not open_yet:
        return f"{said} (the next one follows the next batch)"
    due = min(open_yet) + timedelta(days=model.reach_days)
    return f"{said} (from {due}, of the batch as of {min(open_yet)})"


def _read_matched(ports: Ports, version: Version) -> list[ReleaseProof]:
    return _read(ports.lake, version_proofs(version.model, version.number))
