"""The slices that a contract asks for: one slice per column that the contract marks as protected."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from propensity.kernel.errors import PackError
from propensity.kernel.sql_text import quote
from propensity.pack.domain.contract import Contract
from propensity.pack.domain.model_spec import Slice


def protected_slices(contract: Contract, entity: str, named: Collection[str] = ()) -> Iterator[Slice]:
    """A slice per column that the contract marks as protected.

    The slice's text is the column's newest value as of the date. `named` are the slices that the model has already; no
    slice of these names is made again. Raises PackError where the dataset has no column of the entity, because its
    values cannot be said of a customer.
    """
    moment = contract.event_time or contract.valid_from or ""
    for column in contract.columns:
        name = f"{contract.dataset}_{column.name}".lower()[:50]
        if not column.protected or name in named:
            continue
        if entity not in {other.name for other in contract.columns}:
            raise PackError(
                f"contract {contract.dataset}: {column.name} is protected, and the dataset has no column {entity}; "
                f"give the model a slice {name} whose SQL joins them, with protected: true"
            )
        who = f"tenant_id, {quote(entity)}"
        yield Slice(
            name=name,
            description=f"{column.name} of {contract.dataset}, protected by its contract.",
            protected=True,
            sql=f"select {who}, arg_max({quote(column.name)}::varchar, {quote(moment)}) as slice "
            f"from {quote(contract.dataset)} where {quote(entity)} is not null group by all",
        )
