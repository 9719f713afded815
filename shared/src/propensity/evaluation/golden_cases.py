"""The edge cases of a model's golden set, which people write.

A training reads the cases; an erasure takes cases out.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date

from pydantic import TypeAdapter, ValidationError

from propensity.kernel.errors import NotFoundError, PackError
from propensity.kernel.spec import Frozen
from propensity.kernel.tenant import Subject
from propensity.ports import Ports
from propensity.registry.domain.ledger import model_root

CASES = "cases.json"


class GoldenCase(Frozen):
    """One edge case: a customer as of a date, and why the case matters."""

    tenant_id: str
    customer_id: str
    as_of: date
    why: str

    @property
    def id(self) -> str:
        named = "\n".join((self.tenant_id, self.customer_id, self.as_of.isoformat()))
        return hashlib.sha256(named.encode()).hexdigest()[:16]


def golden_root(model: str) -> str:
    return f"{model_root(model)}/golden"


def split_cases(key: str, written: bytes, subject: Subject) -> tuple[list[GoldenCase], list[GoldenCase]]:
    """Split the cases of a cases.json into two lists: the cases of others, and the cases of the subject.

    The subject is a customer or a whole tenant. Raises PackError for a cases.json that cannot be read.
    """
    cases = _parsed(key, written)
    gone = [
        case
        for case in cases
        if case.tenant_id == subject.tenant_id and subject.customer_id in (None, case.customer_id)
    ]
    return [case for case in cases if case not in gone], gone


def read_cases(ports: Ports, root: str) -> list[GoldenCase]:
    """The cases of the golden set below `root`. Raises PackError for a cases.json that cannot be read."""
    key = f"{root}/{CASES}"
    try:
        written = ports.lake.get(key)
    except NotFoundError:
        return []
    return _parsed(key, written)


def _parsed(key: str, written: bytes) -> list[GoldenCase]:
    try:
        return TypeAdapter(list[GoldenCase]).validate_python(json.loads(written))
    except (ValueError, ValidationError) as error:
        # the message leaves the values out, because the values name customers
        raise PackError(f"{key}: expected a list of {{tenant_id, customer_id, as_of, why}}") from error
