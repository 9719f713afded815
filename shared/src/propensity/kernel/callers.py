"""Who signed a call, as IAM names them, and for which role they may approve.

Only the ARN that API Gateway took from the signature is read: nothing that a body says makes anybody an approver.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from propensity.kernel.errors import BadInputError, ForbiddenError, SettingError

Role = Literal["technical", "business"]
ROLES: tuple[Role, ...] = ("technical", "business")
_ASSUMED = re.compile(r"arn:[a-z-]+:sts::(\d{12}):assumed-role/([^/]+)/(.+)")


def reason_given(why: object, kept_in: str) -> str:
    """What a caller says is the reason, for the ledger or record that keeps it. Raises BadInputError for none."""
    if not isinstance(why, str) or not why.strip():
        raise BadInputError(f"why: expected a sentence for the {kept_in}")
    return why


@dataclass(frozen=True, slots=True)
class Caller:
    """An assumed role. `person` is the session's name in lower case: one person in two roles is still one."""

    account: str
    role_name: str
    person: str


def assumed_role(arn: str) -> Caller | None:
    """The assumed role behind `requestContext.identity.userArn`; None for a user, the root, or nobody."""
    match = _ASSUMED.fullmatch(arn)
    return Caller(match[1], match[2], match[3].casefold()) if match else None


def same_person(one: str, other: str) -> bool:
    """Whether two ARNs are one person's: the same session name, or the very same ARN."""
    mine, its = assumed_role(one), assumed_role(other)
    return one == other or (mine is not None and its is not None and mine.person == its.person)


@dataclass(frozen=True, slots=True)
class Approvers:
    """Names of the IAM roles of this account that approve, as the stack's parameters give them; empty for none."""

    account: str
    technical: str
    business: str

    def __post_init__(self) -> None:
        if self.technical and self.technical == self.business:
            raise SettingError(
                f"TechnicalApproverRole and BusinessApproverRole are both {self.technical!r}; "
                "expected two roles, so that two people are asked"
            )

    def role_of(self, arn: str) -> Role:
        """The role that a signer approves in. Raises ForbiddenError saying who could."""
        caller = assumed_role(arn)
        # a role of another account may bear any name its owner likes
        if caller and caller.account == self.account:
            if self.technical and caller.role_name == self.technical:
                return "technical"
            if self.business and caller.role_name == self.business:
                return "business"
        signed = f"role {caller.role_name} of account {caller.account}" if caller else "no role"
        raise ForbiddenError(f"you signed as {signed}; approvals are given by {self.said()}")

    def said(self) -> str:
        if not (self.technical and self.business):
            return (
                "two IAM roles that this stack does not name yet; set its parameters TechnicalApproverRole and "
                "BusinessApproverRole"
            )
        return f"role {self.technical} (technical) and role {self.business} (business), by two people"
