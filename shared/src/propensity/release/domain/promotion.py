"""Who may make which version the champion: each rule looks at the ledger as it is and answers with the next line.

A version that was asked for and already is what it should be answers with the line that made it so: asking twice adds
nothing. Nothing here knows a store; `registry/versions.append_line` asks again when others were faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from propensity.kernel.callers import Approvers, Role, same_person
from propensity.kernel.errors import ConflictError, ForbiddenError
from propensity.pack.domain.model_spec import Policy
from propensity.registry.domain.ledger import CHAMPION, STAGING, Action, GateSummary, Line, next_number, standing


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of one version, by whom and why, and what its gates said."""

    model: str
    version: int
    by: str
    why: str
    at: str
    gates: GateSummary

    def line(
        self,
        known: Sequence[Line],
        action: Action,
        *,
        alias: str | None,
        previous: int | None = None,
        role: Role | None = None,
    ) -> Line:
        return Line(
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


def settle(request: Request, policy: Policy, held_against: int | None, known: Sequence[Line]) -> Line:
    """What becomes of a version that passed its gates: champion, or staged to wait for somebody.

    `held_against`: the champion that the gates held it against. Where another one is champion by now, nothing was
    compared with that one, and people decide. Once per version and asker: a replay of a training run must not take
    back what was decided since.
    """
    settled = [line for line in known if line.version == request.version and line.by == request.by]
    if settled:
        return settled[-1]
    found = standing(known)
    if policy == "automatic" and found.champion == held_against:
        return request.line(known, "promote", alias=CHAMPION, previous=found.champion)
    if policy == "automatic":
        why = (
            f"{request.why}, held against version {held_against or 'none'}; version {found.champion or 'none'} has "
            "become champion since, so promote it by hand or train again"
        )
        request = replace(request, why=why)
    return request.line(known, "stage", alias=STAGING, previous=found.staged)


def promote(request: Request, policy: Policy, approvers: Approvers, known: Sequence[Line]) -> Line:
    """One person's promotion. Raises ConflictError, with what to do, where it takes two people."""
    found = standing(known)
    if found.champion == request.version:
        return _setting(known, request.version)
    two = f"its promotion policy is {policy}" if policy == "two_approvals" else None
    if request.gates.failed:
        two = f"version {request.version} failed {', '.join(request.gates.failed)}"
    if two is None:
        return request.line(known, "promote", alias=CHAMPION, previous=found.champion)
    path = f"POST /v1/models/{request.model}"
    also = (
        f'; as it was in production before, {path}/rollback with "version": {request.version} takes one'
        if request.version in found.produced
        else ""
    )
    raise ConflictError(
        f"model {request.model}: {two}, so one person cannot promote it; "
        f"{path}/approvals takes {approvers.in_words()}{also}"
    )


def roll_back(request: Request, seen: int | None, known: Sequence[Line]) -> Line:
    """Back to a version that was champion before; `seen` is the champion that the asker wants to be rid of.

    One call, whatever the policy: the version had what it took to become champion, and a bad list cannot wait for two
    people. Raises ConflictError for a version that never was champion, and where the champion is another one by now.
    """
    found = standing(known)
    if found.champion == request.version:
        return _setting(known, request.version)
    if request.version not in found.produced:
        been = ", ".join(map(str, sorted(found.produced))) or "none"
        raise ConflictError(
            f"model {request.model}: version {request.version} was never in production; "
            f"roll back to one of {been}, or promote it"
        )
    if found.champion != seen:
        raise ConflictError(
            f"model {request.model}: the champion is version {found.champion} by now, and was {seen} when the rollback "
            "was asked for; nothing was changed: look at the model again"
        )
    return request.line(known, "roll_back", alias=CHAMPION, previous=found.champion)


def approve(request: Request, role: Role, known: Sequence[Line]) -> Line:
    """One approval; the second, by another person in the other role, is the promotion.

    The same approval again adds nothing. Raises ConflictError where the role has approved already or the version is
    champion, ForbiddenError where the same person gave the other one.
    """
    found = standing(known)
    given = found.approved_by(request.version)
    if role in given and same_person(given[role].by, request.by):
        return given[role]
    named = f"model {request.model}: version {request.version}"
    if found.champion == request.version:
        raise ConflictError(f"{named} is in production already")
    if role in given:
        raise ConflictError(f"{named} has its {role} approval; it waits for the other role's")
    if any(same_person(line.by, request.by) for line in given.values()):
        raise ForbiddenError(f"{named}: you gave its other approval; the {role} one must come from another person")
    if not given:
        return request.line(known, "approve", alias=None, role=role)
    return request.line(known, "approve", alias=CHAMPION, previous=found.champion, role=role)


def _setting(known: Sequence[Line], champion: int) -> Line:
    return next(line for line in reversed(known) if line.alias == CHAMPION and line.version == champion)
