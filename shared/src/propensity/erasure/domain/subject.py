"""The subject of an erasure, a person or a whole tenant, and how the subject's names are found in a text."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from propensity.kernel.errors import BadInputError
from propensity.kernel.tenant import TENANT_NAME, Subject

_REQUEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{2,63}")
_PHONE = re.compile(r"\+[0-9]{8,15}")
_WORD = "0-9a-z"
_SEPARATORS = "[ ()/.-]"


@dataclass(frozen=True, slots=True)
class Ticket:
    """The call for an erasure, as the record has it: the caller's reference, why, who and when (RFC 3339).

    A ticket names no person.
    """

    request: str
    why: str
    by: str
    at: str

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.at)


def parse_subject(tenant_id: object, customer_id: object) -> Subject:
    """Read the subject of a call. Raises BadInputError, which never repeats the customer's id."""
    if not isinstance(tenant_id, str) or not TENANT_NAME.fullmatch(tenant_id):
        raise BadInputError(
            "tenant_id: expected 1 to 64 letters, digits, dots, - or _, as in the landing bucket's keys"
        )
    if customer_id is not None and (not isinstance(customer_id, str) or not customer_id.strip()):
        raise BadInputError("customer_id: expected the customer's id as text, as Silver has it")
    return Subject(tenant_id, customer_id)


def parse_ticket(request: object, why: object, by: object, at: object) -> Ticket:
    """Read the ticket of a call. Raises BadInputError naming the field."""
    if not isinstance(request, str) or not _REQUEST.fullmatch(request):
        raise BadInputError(
            "request: expected your reference of 3 to 64 letters, digits, dots, - or _, as a ticket's number; "
            "never the person's name or id"
        )
    for field, value in (("why", why), ("by", by)):
        if not isinstance(value, str) or not value.strip():
            raise BadInputError(f"{field}: expected text for the record")
    try:
        zoned = datetime.fromisoformat(str(at)).tzinfo is not None
    except ValueError:
        zoned = False
    if not zoned:
        raise BadInputError("at: expected an instant with its zone, as 2026-11-21T09:00:00Z")
    return Ticket(request, str(why).strip(), str(by).strip(), str(at))


def telling(value: str) -> bool:
    """Whether a value can hardly mean anything else; a short number may be a price, an article or a postcode too."""
    return len(value) >= 9 or "@" in value or (len(value) >= 6 and re.search(r"[A-Za-z]", value) is not None)


def identifies(value: str) -> bool:
    """Whether a restricted value that only one customer has is searched for in texts; a postcode is too short."""
    return len(value) >= 9 or "@" in value


def pattern(names: Collection[str]) -> str | None:
    """Return a regular expression that finds any of the names as a whole token in lower-case text.

    The expression is for RE2 and for Python. A telephone number in E.164 is found however it is spaced, with its
    country's code or without. Without names there is no expression: None.
    """
    if not names:
        return None
    kinds = "|".join(_spelt(name.lower()) for name in sorted(names))
    return f"(?:^|[^{_WORD}])(?:{kinds})(?:[^{_WORD}]|$)"


def _spelt(name: str) -> str:
    if _PHONE.fullmatch(name):
        return rf"\+?[0-9 ()/.-]{{0,9}}{f'{_SEPARATORS}*'.join(name[-8:])}"
    # these characters are written as a code, because RE2 does not know \- and \@, which is how Python escapes them
    return "".join(char if re.match(r"[0-9a-z]|[^\x00-\x7f]", char) else f"\\x{ord(char):02x}" for char in name)
