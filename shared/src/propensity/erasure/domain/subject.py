"""The subject of an erasure, a person or a whole tenant, and how the subject's names are found in a text."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from propensity.erasure.domain.spelling import SEPARATORS, folded
from propensity.kernel.errors import BadInputError
from propensity.kernel.tenant import TENANT_NAME, Subject, tenant_of

_REQUEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{2,63}")
_PHONE = re.compile(r"\+[0-9][0-9 ()/.-]{7,30}")
_WORD = "0-9a-z"
NOBODY = "unknown"  # validate_upload uses this tenant's name for files that it cannot assign to a tenant


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


def of_nobody(key: str) -> bool:
    """Whether a key has the mark of a tenant, and the mark names no tenant: it is empty, misspelt or `unknown`.

    A person's rows below such a key are searched for the customer of any tenant.
    """
    name = tenant_of(key)
    return name is not None and (name == NOBODY or not TENANT_NAME.fullmatch(name) or set(name) == {"."})


def telling(value: str) -> bool:
    """Whether a value can hardly mean anything else; a short number may be a price, an article or a postcode too."""
    return len(value) >= 9 or "@" in value or (len(value) >= 6 and re.search(r"[A-Za-z]", value) is not None)


def identifies(value: str) -> bool:
    """Whether a restricted value that only one customer has is searched for in texts; a postcode is too short."""
    return len(value) >= 9 or "@" in value


def pattern(names: Collection[str]) -> str | None:
    """Return a regular expression that finds any of the names as a whole token in folded text.

    The expression is for RE2 and for Python. A telephone number in E.164 is found by its digits, however they are
    spaced, with its country's code or without. Without names there is no expression: None.
    """
    spelt = sorted({_spelt(kind) for name in names for kind in kinds_of(name)})
    return f"(?:^|[^{_WORD}])(?:{'|'.join(spelt)})(?:[^{_WORD}]|$)" if spelt else None


def kinds_of(name: str) -> set[str]:
    """Return the spellings of a name in folded text: folded, in lower case, and with its quotes doubled as in CSV."""
    return {kind for kind in (folded(name), name.lower(), folded(name).replace('"', '""')) if kind}


def digits_of(name: str) -> str | None:
    """Return the last eight digits of a telephone number in E.164, however it is spaced; None for any other name."""
    digits = re.sub(r"[^0-9]", "", folded(name))
    return digits[-8:] if _PHONE.fullmatch(folded(name)) and 8 <= len(digits) <= 15 else None


def _spelt(name: str) -> str:
    digits = digits_of(name)
    if digits:
        between = "".join(map(_coded, SEPARATORS))
        return rf"\+?[0-9{between}]{{0,12}}{f'[{between}]{{0,4}}'.join(digits)}"
    return "".join(map(_coded, name))


def _coded(char: str) -> str:
    # these characters are written as a code, because RE2 does not know \- and \@, which is how Python escapes them
    return char if re.match(r"[0-9a-z]|[^\x00-\x7f]", char) else f"\\x{ord(char):02x}"
