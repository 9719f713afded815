"""The rules for making a version the champion, or releasing its lists. Each rule returns the ledger's next line.

A second request adds nothing. Where a version already is what the request asks for, the rule returns the line that made
it so. `append_to_ledger` in registry/versions.py writes the line, and asks the rule again when another process was
faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from propensity.kernel.callers import Approvers, Role, same_person
from propensity.kernel.errors import ConflictError, ForbiddenError
from propensity.pack.domain.model_spec import Policy
from propensity.registry.domain.ledger import (
    CHAMPION,
    STAGING,
    Action,
    GateSummary,
    LedgerLine,
    model_standing,
    next_number,
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request about a version: who asks, why and when, and the gates of the version."""

    model: str
    version: int
    by: str
    why: str
    at: str
    gates: GateSummary

    def line(
        self,
        known: Sequence[LedgerLine],
        action: Action,
        *,
        alias: str | None,
        previous: int | None = None,
        role: Role | None = None,
    ) -> LedgerLine:
        """Return the next line after the `known` ones, for this request."""
        return LedgerLine(
            number=next_number(known),
            action=action,
            alias=alias,
            version=self.version,
            previous=previous,
            by=self.by,
            role=role,
            why=self.why,
            at=self.at,
            gates=self.gates,
        )


def registration_line(
    request: Request,
    policy: Policy,
    held_against: int | None,
    known: Sequence[LedgerLine],
    doubt: str | None = None,
) -> LedgerLine:
    """Return the line of a version that passed its gates: it becomes champion, or staging to wait for people.

    With a `doubt`, in words, people decide whatever the policy says.

    `held_against` is the champion that the gates compared the version with. Where another version is champion by now,
    the two were never compared, and people decide. Each asker gets one line per version. A training run that is
    redriven must not take back what was decided since.
    """
    written = [line for line in known if line.version == request.version and line.by == request.by]
    if written:
        return written[-1]
    standing = model_standing(known)
    if doubt:
        request = replace(request, why=f"{request.why}, but {doubt}; look at its card, then promote it by hand")
    elif policy == "automatic" and standing.champion == held_against:
        return request.line(known, "promote", alias=CHAMPION, previous=standing.champion)
    elif policy == "automatic":
        why = (
            f"{request.why}, held against version {held_against or 'none'}; version {standing.champion or 'none'} has "
            "become champion since, so promote it by hand or train again"
        )
        request = replace(request, why=why)
    return request.line(known, "stage", alias=STAGING, previous=standing.staged)


def promotion_line(request: Request, policy: Policy, approvers: Approvers, known: Sequence[LedgerLine]) -> LedgerLine:
    """Return the line of a promotion by one person.

    Raises ConflictError, with what to do, where a promotion takes two people.
    """
    standing = model_standing(known)
    if standing.champion == request.version:
        return _line_of_champion(known, request.version)
    two = f"its promotion policy is {policy}" if policy == "two_approvals" else None
    if request.gates.failed:
        two = f"version {request.version} {request.gates.in_words}"
    if two is None:
        return request.line(known, "promote", alias=CHAMPION, previous=standing.champion)
    path = f"POST /v1/models/{request.model}"
    also = (
        f'; as it was in production before, {path}/rollback with "version": {request.version} takes one'
        if request.version in standing.produced
        else ""
    )
    raise ConflictError(
        f"model {request.model}: {two}, so one person cannot promote it; "
        f"{path}/approvals takes {approvers.in_words()}{also}"
    )


def rolled_back_from(model: str, champion: int, known: Sequence[LedgerLine]) -> LedgerLine | None:
    """Return the newest line if it rolled back from this champion, or None while this version is champion.

    Raises ConflictError where the alias has moved in another way.
    """
    moves = [line for line in known if line.alias == CHAMPION]
    newest = moves[-1] if moves else None
    if newest is not None and newest.version == champion:
        return None
    if newest is not None and newest.action == "roll_back" and newest.previous == champion:
        return newest
    stands = f"version {newest.version} is champion" if newest else "no version is champion"
    raise ConflictError(
        f"model {model}: {stands}, and not {champion}, which from_version names; nothing was changed: look at the "
        "model again"
    )


def rollback_line(request: Request, seen: int | None, known: Sequence[LedgerLine]) -> LedgerLine:
    """Return the line of a rollback to a former champion; `seen` is the champion that the asker wants to replace.

    One person is enough under every policy: the version earned its place before, and a bad list cannot wait for two
    people. Raises ConflictError for a version that never was champion, and where `seen` is not the champion any more.
    """
    standing = model_standing(known)
    if standing.champion == request.version:
        return _line_of_champion(known, request.version)
    if request.version not in standing.produced:
        been = ", ".join(map(str, sorted(standing.produced))) or "none"
        raise ConflictError(
            f"model {request.model}: version {request.version} was never in production; "
            f"roll back to one of {been}, or promote it"
        )
    if standing.champion != seen:
        raise ConflictError(
            f"model {request.model}: the champion is version {standing.champion} by now, and was {seen} when the "
            "rollback was asked for; nothing was changed: look at the model again"
        )
    return request.line(known, "roll_back", alias=CHAMPION, previous=standing.champion)


def approval_line(request: Request, role: Role, known: Sequence[LedgerLine]) -> LedgerLine:
    """Return the line of an approval; the second one, by another person in the other role, is the promotion.

    Raises ConflictError where another person approved in this role or the version is champion, and ForbiddenError where
    the same person gave the other approval.
    """
    standing = model_standing(known)
    given = standing.approved_by(request.version)
    if role in given and same_person(given[role].by, request.by):
        return given[role]
    named = f"model {request.model}: version {request.version}"
    if standing.champion == request.version:
        raise ConflictError(f"{named} is in production already")
    if role in given:
        raise ConflictError(f"{named} has its {role} approval; it waits for the other role's")
    if any(same_person(line.by, request.by) for line in given.values()):
        raise ForbiddenError(f"{named}: you gave its other approval; the {role} one must come from another person")
    if not given:
        return request.line(known, "approve", alias=None, role=role)
    return request.line(known, "approve", alias=CHAMPION, previous=standing.champion, role=role)


def release_line(request: Request, role: Role, known: Sequence[LedgerLine]) -> LedgerLine:
    """Return the line of a release of a version's lists by a person in a role.

    Raises ConflictError where another person released in this role, and ForbiddenError where the same person released
    in the other role.
    """
    given = model_standing(known).released_by(request.version)
    if role in given and same_person(given[role].by, request.by):
        return given[role]
    named = f"model {request.model}: version {request.version}"
    if role in given:
        raise ConflictError(f"{named} has its {role} release; it waits for the other role's")
    if any(same_person(line.by, request.by) for line in given.values()):
        raise ForbiddenError(f"{named}: you gave its other release; the {role} one must come from another person")
    return request.line(known, "release", alias=None, role=role)


def _line_of_champion(known: Sequence[LedgerLine], champion: int) -> LedgerLine:
    """Return the line that made the version champion."""
    return next(line for line in reversed(known) if line.alias == CHAMPION and line.version == champion)
