"""The names of a customer: the customer's id, and the restricted values that no other customer of the tenant has."""

from __future__ import annotations

from propensity.erasure.domain.subject import identifies
from propensity.erasure.landing import outstanding
from propensity.kernel.sql_text import quote, read_files, text
from propensity.kernel.tenant import Subject
from propensity.lake.pins import tenant_keys
from propensity.lake.silver_tables import silver_table
from propensity.pack.current import contract_of, pack_info
from propensity.pack.domain.contract import Contract
from propensity.ports import Ports, Sql


def people_columns(ports: Ports) -> tuple[str, ...]:
    """Return the columns that hold customers' ids.

    The column is the pack's entity in data that came in, and customer_id in data that the product computes.
    """
    return tuple(dict.fromkeys((pack_info(ports).entity, "customer_id")))


def names_of(ports: Ports, sql: Sql, subject: Subject) -> tuple[str, ...]:
    """Return the customer's id first, then e-mail addresses, telephone numbers and the like; none for a whole tenant.

    A value that another customer of the tenant has too names nobody, for example the number of a vehicle that was sold.
    """
    if subject.customer_id is None:
        return ()
    entity = pack_info(ports).entity
    sql.execute("create temp table held_by (value varchar, customer varchar)")
    waiting = outstanding(ports, subject.tenant_id)
    for dataset in pack_info(ports).datasets:
        contract = contract_of(ports, dataset)
        restricted = _restricted(contract, entity)
        if restricted:
            bronze = [file.bronze_key for file in waiting if file.dataset == dataset]
            snapshot = ports.tables.snapshot(silver_table(dataset))
            silver = tenant_keys(ports, sql, snapshot, subject.tenant_id) if snapshot else []
            for key in [*bronze, *silver]:
                path = sql.scratch / "names.parquet"
                ports.lake.download(key, path)
                for column in restricted:
                    sql.execute(
                        f"insert into held_by select distinct {quote(column)}::varchar, {quote(entity)}::varchar "
                        f"from {read_files([str(path)])} where {quote(column)} is not null "
                        f"and {quote(entity)} is not null {_of_tenant(key, subject)}"
                    )
    rows = sql.rows(
        "select value from held_by group by value having count(distinct customer) = 1 and min(customer) = ? "
        "order by value",
        [subject.customer_id],
    )
    return (subject.customer_id, *(value for (value,) in rows if identifies(value)))


def _of_tenant(key: str, subject: Subject) -> str:
    """Return SQL that adds the condition for the tenant's rows; a Bronze file has rows of no other tenant."""
    return "" if key.startswith("bronze/") else f"and tenant_id = {text(subject.tenant_id)}"


def _restricted(contract: Contract, entity: str) -> list[str]:
    """Return the columns that the contract classifies as restricted; none where its rows belong to no customer."""
    if not any(column.name == entity for column in contract.columns):
        return []
    return [
        column.name for column in contract.columns if column.classification == "restricted" and column.name != entity
    ]
