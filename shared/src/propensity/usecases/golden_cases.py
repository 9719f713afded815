"""The edge cases of a model's golden set, as people write them: read by training, cleaned by an erasure."""

from __future__ import annotations

import hashlib
import json
from datetime import date

from pydantic import TypeAdapter, ValidationError

from propensity.domain.errors import NotFoundError, PackError
from propensity.domain.registry import model_root
from propensity.domain.spec import Frozen
from propensity.ports import Ports
from propensity.usecases.run_files import dumps

CASES = "cases.json"


class GoldenCase(Frozen):
    """An edge case, as people write it."""

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


def forget_cases(ports: Ports, key: str, tenant_id: str, customer_id: str | None) -> int:
    """Take the cases of a customer, or of a whole tenant, out of a cases.json; how many. Raises as `read_cases`."""
    cases = read_cases(ports, key.rpartition("/")[0])
    gone = [one for one in cases if one.tenant_id == tenant_id and customer_id in (None, one.customer_id)]
    if gone:
        ports.lake.put(key, dumps([one.model_dump(mode="json") for one in cases if one not in gone]))
    return len(gone)


def read_cases(ports: Ports, root: str) -> list[GoldenCase]:
    """Of the golden set below `root`. Raises PackError for a cases.json that cannot be read."""
    key = f"{root}/{CASES}"
    try:
        return TypeAdapter(list[GoldenCase]).validate_python(json.loads(ports.lake.get(key)))
    except NotFoundError:
        return []
    except (ValueError, ValidationError) as error:
        # not the values: they name customers
        raise PackError(f"{key}: expected a list of {{tenant_id, customer_id, as_of, why}}") from error
