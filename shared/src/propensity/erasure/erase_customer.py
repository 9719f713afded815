"""erase_customer: take a person out of everything, also out of versions that models pin, with record and proof."""

from __future__ import annotations

from typing import Any

from propensity.erasure.domain.subject import parse_subject, parse_ticket
from propensity.erasure.engine import erase
from propensity.kernel.errors import BadInputError
from propensity.ports import Ports


def erase_customer(
    ports: Ports, *, tenant_id: object, customer_id: object, request: object, why: object, by: object, at: object
) -> dict[str, Any]:
    """Erase a customer of a tenant under the caller's reference; returns the record, which names no person.

    Raises BadInputError naming the field. Raises RetryableError where another call can go on, for example because a
    file of the customer was not validated yet or a compaction came in between. Raises ConflictError where the search
    afterwards still found something.
    """
    if customer_id is None:
        raise BadInputError("customer_id: missing; erase_tenant removes everyone of a tenant")
    return erase(ports, parse_subject(tenant_id, customer_id), parse_ticket(request, why, by, at))
