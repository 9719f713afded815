"""A tenant's name: what it may be, and where rows and keys carry it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from propensity.kernel.errors import BadInputError

TENANT, CUSTOMER = "tenant_id", "customer_id"  # columns of every table that has rows of customers
TENANT_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def parse_tenant(value: str) -> str:
    """Raises BadInputError for what cannot be a tenant's name, a part of a key among it."""
    if not TENANT_NAME.fullmatch(value):
        raise BadInputError("tenant: expected 1 to 64 letters, digits, dots, - or _, as in the keys of its files")
    return value


def tenant_of(key: str) -> str | None:
    """The tenant that a key carries; the key is the authority for everything below it."""
    found = re.search(r"(?:^|/)tenant_id=([^/]*)/", key)
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Subject:
    """One customer of a tenant, or (customer_id None) everyone of it."""

    tenant_id: str
    customer_id: str | None
