"""manage_registry: list a model's versions, approve and promote one, roll back; one call each, no redeploy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from propensity.kernel.callers import ROLES, Approvers, reason_given
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.lake.erased import erasure_records, rows_erased_since
from propensity.pack.current import pack_info, policy_of
from propensity.ports import Ports
from propensity.registry.domain.ledger import CARDS, Line, Standing, describe, next_number, standing, way_back
from propensity.registry.versions import Version, append_line, ledger, load_version, newest_calibration, version_numbers
from propensity.release.check_artifact import check_artifact
from propensity.release.domain import promotion
from propensity.release.domain.promotion import Request

_CONTENT_TYPES = {"html": "text/html; charset=utf-8", "md": "text/markdown; charset=utf-8"}


def list_versions(ports: Ports, model: str) -> dict[str, Any]:
    """Every version with its stage, approvals, gates and figures, and the ledger, oldest line first.

    `rows_erased` says per dataset how many rows of those that it was trained from were erased since.

    Raises NotFoundError for a model that the pack does not have and that was never registered.
    """
    lines = ledger(ports.lake, model)
    found, erased = standing(lines), erasure_records(ports.lake)
    versions = []
    for number in version_numbers(ports.lake, model):
        version = load_version(ports.lake, model, number)
        gates = version.gates(ports.lake)
        versions.append(
            {
                **describe(number, version.json(ports.lake, "metrics.json"), version.lineage),
                **_standing(found, number),
                "gates": gates.model_dump(),
                "rows_erased": rows_erased_since(erased, version.lineage["silver"]),
            }
        )
    if not versions and model not in pack_info(ports).models:
        raise NotFoundError(f"model {model!r}: expected one of {', '.join(pack_info(ports).models)}")
    return {
        "model": model,
        "promotion": policy_of(ports, model),
        "champion": found.champion,
        "calibration": None if found.champion is None else newest_calibration(ports.lake, model, found.champion),
        "staging": found.staged,
        "versions": versions,
        "ledger": [line.model_dump() for line in lines],
    }


def read_card(ports: Ports, model: str, version: str, kind: str) -> tuple[str, str]:
    """(content type, text) of a version's model card, `kind` html or md.

    Raises BadInputError naming the field, NotFoundError for a version that is not there or has no card.
    """
    if kind not in CARDS:
        raise BadInputError(f"format: {kind!r}, expected {' or '.join(CARDS)}")
    if not (version.isascii() and version.isdigit()):
        raise BadInputError(f"version: {version!r}, expected a whole number, as GET of the model lists them")
    held = load_version(ports.lake, model, int(version))
    try:
        return _CONTENT_TYPES[kind], ports.lake.get(f"{held.folder}/{CARDS[kind]}").decode()
    except NotFoundError as error:
        raise NotFoundError(f"model {model}: version {held.number} is from before there were model cards") from error


def promote(
    ports: Ports, model: str, version: object, *, by: str, why: object, at: str, approvers: Approvers
) -> dict[str, Any]:
    """Make a version the champion after loading it.

    Raises BadInputError naming the field, NotFoundError, ConflictError where it takes two people or cannot be loaded.
    """
    asked, held = _request(ports, model, _number(version), by=by, why=why, at=at)
    policy, lines = policy_of(ports, model), ledger(ports.lake, model)
    return _append(ports, held, lines, lambda known: promotion.promote(asked, policy, approvers, known))


def roll_back(ports: Ports, model: str, *, by: str, why: object, at: str, version: object = None) -> dict[str, Any]:
    """Give the alias back to the version that held it before, or to an earlier one by its number.

    Raises BadInputError, NotFoundError where there was none before, ConflictError where the version was never
    champion, cannot be loaded or does not fit today's contracts, or where others move the alias meanwhile.
    """
    lines = ledger(ports.lake, model)
    found = standing(lines)
    number = way_back(found, model) if version is None else _number(version)
    asked, held = _request(ports, model, number, by=by, why=why, at=at)
    return _append(ports, held, lines, lambda known: promotion.roll_back(asked, found.champion, known))


def approve(
    ports: Ports, model: str, version: object, *, by: str, why: object, at: str, approvers: Approvers
) -> dict[str, Any]:
    """One role's approval of a version; the second one promotes it.

    The line, with `stage`, `approvals` and the roles that are `missing`. Raises ForbiddenError for a signer of neither
    role and for one person in both, ConflictError where there is nothing to approve or the version cannot be loaded.
    """
    role = approvers.role_of(by)
    asked, held = _request(ports, model, _number(version), by=by, why=why, at=at)
    lines = ledger(ports.lake, model)
    done = _append(ports, held, lines, lambda known: promotion.approve(asked, role, known))
    return {**done, **_standing(standing(ledger(ports.lake, model, lines)), held.number)}


def _standing(found: Standing, number: int) -> dict[str, Any]:
    given = found.approved_by(number)
    return {
        "stage": found.stage(number),
        "aliases": found.aliases(number),
        "approvals": [line.model_dump(include={"role", "by", "why", "at"}) for line in given.values()],
        "missing": [role for role in ROLES if given and role not in given],
    }


def _number(version: object) -> int:
    if not isinstance(version, int) or isinstance(version, bool):
        raise BadInputError("version: expected a whole number, as GET of the model lists them")
    return version


def _request(ports: Ports, model: str, number: int, *, by: str, why: object, at: str) -> tuple[Request, Version]:
    given = reason_given(why, "ledger")
    version = load_version(ports.lake, model, number)
    return Request(model, number, by=by, why=given, at=at, gates=version.gates(ports.lake)), version


def _append(
    ports: Ports, version: Version, lines: Sequence[Line], decide: Callable[[Sequence[Line]], Line]
) -> dict[str, Any]:
    """The line that the rule makes of the ledger, written only where the version can score.

    The rule is asked before, so that nobody waits for an artifact that they may not have, and when the line is
    written, because others may have been faster.
    """
    decide(lines)
    checked = check_artifact(ports, version)
    line = append_line(ports.lake, version.model, decide, lines)
    if line.alias and line.number >= next_number(lines):
        ports.metrics.count("ChampionMoved", model=version.model)
    return {**line.model_dump(), "checked": checked}
