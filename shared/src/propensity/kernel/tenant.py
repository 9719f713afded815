"""The names of tenants: what such a name may be, and where rows and keys carry the name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from propensity.kernel.errors import BadInputError

TENANT, CUSTOMER = "tenant_id", "customer_id"  # the key columns of every table about customers
# bytes of a customer's id in the online table, whose keys have at most 2,048 bytes with the tenant's name
MAX_CUSTOMER_ID = 1_900
# Clients shorten `.` and `..` in an address. `unknown` stands in the keys of files whose own key names no tenant.
TENANT_NAME = re.compile(r"(?!\.{1,2}\Z|(?i:unknown)\Z)[A-Za-z0-9_.-]{1,64}")
TENANT_RULE = "1 to 64 letters, digits, dots, - or _, and not ., .. or unknown"


def parse_tenant(value: object) -> str:
    """The value, if it can be a tenant's name. Raises BadInputError for any other value, for example for `a/b`."""
    if not isinstance(value, str) or not TENANT_NAME.fullmatch(value):
        raise BadInputError(f"tenant: expected {TENANT_RULE}, as in the keys of its files")
    return value


def tenant_of(key: str) -> str | None:
    """The tenant in an object's key, such as `sales/tenant_id=dealer_01/may.csv`. None where the key names no tenant.

    The key decides whose rows an object holds, whatever the rows say.
    """
    found = re.search(r"(?:^|/)tenant_id=([^/]*)/", key)
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Subject:
    """One customer of a tenant or, where `customer_id` is None, the whole tenant."""

    tenant_id: str
    customer_id: str | None
