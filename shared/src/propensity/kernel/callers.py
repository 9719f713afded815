"""The callers of the API: who signed a call, as IAM names the signer, and in which role the signer may approve.

Only the ARN that API Gateway takes from the signature counts. Nothing in a call's body makes anybody an approver.
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
    """The reason that a caller gave. Raises BadInputError where the caller gave no reason.

    `kept_in` says where the reason is kept, for example `ledger`.
    """
    if not isinstance(why, str) or not why.strip():
        raise BadInputError(f"why: expected a sentence for the {kept_in}")
    return why


@dataclass(frozen=True, slots=True)
class Caller:
    """A session of an assumed role.

    `person` is the session's name in lower case, so that one person in two roles is still one person.
    """

    account: str
    role_name: str
    person: str


def assumed_role(arn: str) -> Caller | None:
    """The assumed role behind `requestContext.identity.userArn`.

    The function returns None for an IAM user, for the account's root, and for a call that nobody signed.
    """
    match = _ASSUMED.fullmatch(arn)
    return Caller(match[1], match[2], match[3].casefold()) if match else None


def same_person(arn: str, other: str) -> bool:
    """Whether two ARNs belong to one person: the ARNs are equal, or both name sessions with the same session name."""
    caller, other_caller = assumed_role(arn), assumed_role(other)
    if caller is None or other_caller is None:
        return arn == other
    return arn == other or caller.person == other_caller.person


@dataclass(frozen=True, slots=True)
class Approvers:
    """The IAM roles of this account that approve.

    The stack's parameters name the roles; without such a name there are none.
    """

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
        """The role in which the signer approves. Raises ForbiddenError, which says who may approve."""
        caller = assumed_role(arn)
        # the owner of another account can give a role any name, also the name of our role
        if caller and caller.account == self.account:
            if self.technical and caller.role_name == self.technical:
                return "technical"
            if self.business and caller.role_name == self.business:
                return "business"
        signed = f"role {caller.role_name} of account {caller.account}" if caller else "no role"
        raise ForbiddenError(f"you signed as {signed}; approvals are given by {self.in_words()}")

    def in_words(self) -> str:
        """The words that say who may approve, as a part of a sentence."""
        if not (self.technical and self.business):
            return (
                "two IAM roles that this stack does not name yet; set its parameters TechnicalApproverRole and "
                "BusinessApproverRole"
            )
        return f"role {self.technical} (technical) and role {self.business} (business), by two people"
