"""manage_registry: list a model's versions, approve, promote or release one, or roll back, by one call each.

None of these calls needs a deployment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from propensity.kernel.callers import ROLES, Approvers, reason_given
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.lake.erased import erasure_records, rows_erased_since
from propensity.pack.current import pack_info, policy_of
from propensity.ports import Ports
from propensity.registry.domain.ledger import CARDS, LedgerLine, ModelStanding, model_standing, next_number, way_back
from propensity.registry.release_gate import clearance
from propensity.registry.versions import (
    Version,
    append_to_ledger,
    load_version,
    newest_calibration,
    read_ledger,
    version_numbers,
)
from propensity.release.check_artifact import check_artifact
from propensity.release.domain.promotion import (
    Request,
    approval_line,
    promotion_line,
    release_line,
    rollback_line,
    rolled_back_from,
)

_CONTENT_TYPES = {"html": "text/html; charset=utf-8", "md": "text/markdown; charset=utf-8"}


def list_versions(ports: Ports, model: str) -> dict[str, Any]:
    """Return every version with its stage, approvals, gates and figures, and the ledger, oldest line first.

    `rows_erased` of a version says per dataset how many of the rows that it was trained from were erased since. Raises
    NotFoundError for a model that the pack does not have and that was never registered.
    """
    lines = read_ledger(ports.lake, model)
    standing, erased = model_standing(lines), erasure_records(ports.lake)
    versions = []
    for number in version_numbers(ports.lake, model):
        version = load_version(ports.lake, model, number)
        gates = version.gates(ports.lake)
        versions.append(
            {
                **_figures(version, version.json(ports.lake, "metrics.json")),
                **_stage(standing, number),
                "gates": gates.model_dump(),
                "gates_in_words": gates.in_words or "passed all gates",
                "release": _release(ports, version, standing),
                "rows_erased": rows_erased_since(erased, version.provenance.silver),
            }
        )
    if not versions and model not in pack_info(ports).models:
        raise NotFoundError(f"model {model!r}: expected one of {', '.join(pack_info(ports).models)}")
    return {
        "model": model,
        "promotion": policy_of(ports, model),
        "champion": standing.champion,
        "calibration": None if standing.champion is None else newest_calibration(ports.lake, model, standing.champion),
        "staging": standing.staged,
        "versions": versions,
        "ledger": [line.model_dump() for line in lines],
    }


def read_card(ports: Ports, model: str, version: str, kind: str) -> tuple[str, str]:
    """Return (content type, text) of a version's model card; `kind` is html or md.

    Raises BadInputError naming the field, and NotFoundError for a version that does not exist or has no card.
    """
    if kind not in CARDS:
        raise BadInputError(f"format: {kind!r}, expected {' or '.join(CARDS)}")
    if not (version.isascii() and version.isdigit()):
        raise BadInputError(f"version: {version!r}, expected a whole number, as GET of the model lists them")
    found = load_version(ports.lake, model, int(version))
    try:
        return _CONTENT_TYPES[kind], ports.lake.get(f"{found.folder}/{CARDS[kind]}").decode()
    except NotFoundError as error:
        raise NotFoundError(f"model {model}: version {found.number} is from before there were model cards") from error


def promote(
    ports: Ports, model: str, version: object, *, by: str, why: object, at: str, approvers: Approvers
) -> dict[str, Any]:
    """Make a version the champion, once its artifact has proven that it can score.

    Raises BadInputError naming the field, NotFoundError for a version that does not exist, and ConflictError where the
    promotion takes two people or the version cannot be loaded.
    """
    request, found = _request(ports, model, _number(version), by=by, why=why, at=at)
    policy, lines = policy_of(ports, model), read_ledger(ports.lake, model)
    return _append(ports, found, lines, lambda known: promotion_line(request, policy, approvers, known))


def roll_back(
    ports: Ports, model: str, *, by: str, why: object, at: str, version: object = None, from_version: object = None
) -> dict[str, Any]:
    """Make the champion before the present one champion again, or the former champion that `version` names.

    `from_version` is the champion that the caller wants to replace; without `version` it must be given, because a
    request that is sent again would otherwise go one champion further back. Where the model was rolled back from that
    champion already, the answer is the line that did so.
    Raises BadInputError naming the field, and NotFoundError where there was no champion before. Raises ConflictError
    where the version was never champion, cannot be loaded, or does not fit today's contracts, where another version
    than `from_version` is champion, and where another person moves the alias meanwhile.
    """
    lines = read_ledger(ports.lake, model)
    standing = model_standing(lines)
    number = None if version is None else _number(version)
    if number is None or from_version is not None:
        done = rolled_back_from(model, _number(from_version, "from_version"), lines)
        if number is None:
            number = done.version if done else way_back(standing, model)
    request, found = _request(ports, model, number, by=by, why=why, at=at)
    return _append(ports, found, lines, lambda known: rollback_line(request, standing.champion, known))


def approve(
    ports: Ports, model: str, version: object, *, by: str, why: object, at: str, approvers: Approvers
) -> dict[str, Any]:
    """Approve a version in the signer's role; the second approval promotes it.

    Returns the line, with `stage`, `approvals` and the roles whose approval is `missing`. Raises ForbiddenError for a
    signer in neither role and for one person in both, and ConflictError where there is nothing to approve or the
    version cannot be loaded.
    """
    role = approvers.role_of(by)
    request, found = _request(ports, model, _number(version), by=by, why=why, at=at)
    lines = read_ledger(ports.lake, model)
    done = _append(ports, found, lines, lambda known: approval_line(request, role, known))
    return {**done, **_stage(model_standing(read_ledger(ports.lake, model, lines)), found.number)}


def release(
    ports: Ports, model: str, version: object, *, by: str, why: object, at: str, approvers: Approvers
) -> dict[str, Any]:
    """Release the lists of a version in the signer's role, though neither a matchback nor a backtest speaks for them.

    The second release, by another person in the other role, lets the lists leave. Returns the line, with `release` as
    `list_versions` has it. Raises ForbiddenError for a signer in neither role and for one person in both, and
    ConflictError where another person released in this role.
    """
    role = approvers.role_of(by)
    request, found = _request(ports, model, _number(version), by=by, why=why, at=at)
    line = append_to_ledger(ports.lake, model, lambda known: release_line(request, role, known))
    standing = model_standing(read_ledger(ports.lake, model))
    return {**line.model_dump(), "release": _release(ports, found, standing)}


def _release(ports: Ports, version: Version, standing: ModelStanding) -> dict[str, Any]:
    """Return whether a version's lists may leave, by what, and the evidence."""
    found, given = clearance(ports, version, standing), standing.released_by(version.number)
    return {
        "released": found.by is not None,
        "by": found.by,
        "limits": found.limits.model_dump(),
        "people": [line.model_dump(include={"role", "by", "why", "at"}) for line in given.values()],
        "missing": [role for role in ROLES if given and role not in given],
        "proofs": [
            {**proof.model_dump(mode="json"), "short_of": proof.short_of(found.limits)} for proof in found.proofs
        ],
    }


def _figures(version: Version, metrics: Mapping[str, Any]) -> dict[str, Any]:
    provenance = version.provenance
    return {
        "version": version.number,
        "family": provenance.family,
        "as_of": provenance.as_of,
        "feature_set": provenance.feature_set,
        "auc": metrics["auc"],
        # None for a version from before figures within tenants, whose `auc` is pooled
        "auc_within": metrics.get("auc_within"),
        "rows": metrics["rows"],
        "positives": metrics["positives"],
    }


def _stage(standing: ModelStanding, number: int) -> dict[str, Any]:
    given = standing.approved_by(number)
    return {
        "stage": standing.stage(number),
        "aliases": standing.aliases(number),
        "approvals": [line.model_dump(include={"role", "by", "why", "at"}) for line in given.values()],
        "missing": [role for role in ROLES if given and role not in given],
    }


def _number(version: object, field: str = "version") -> int:
    if not isinstance(version, int) or isinstance(version, bool):
        which = "the number of the present champion" if field == "from_version" else "a whole number"
        raise BadInputError(f"{field}: expected {which}, as GET of the model lists them")
    return version


def _request(ports: Ports, model: str, number: int, *, by: str, why: object, at: str) -> tuple[Request, Version]:
    reason = reason_given(why, "ledger")
    version = load_version(ports.lake, model, number)
    return Request(model, number, by=by, why=reason, at=at, gates=version.gates(ports.lake)), version


def _append(
    ports: Ports, version: Version, lines: Sequence[LedgerLine], decide: Callable[[Sequence[LedgerLine]], LedgerLine]
) -> dict[str, Any]:
    """Append the line that the rule `decide` makes of the ledger, if the version can score.

    The rule is applied twice. The first time comes before the check of the artifact, so that a caller whom the rule
    refuses does not wait for the check. The second time comes with the write, because others may have been faster.
    """
    decide(lines)
    checked = check_artifact(ports, version)
    line = append_to_ledger(ports.lake, version.model, decide, lines)
    if line.alias and line.number >= next_number(lines):
        ports.metrics.count("ChampionMoved", model=version.model)
    return {**line.model_dump(), "checked": checked}
