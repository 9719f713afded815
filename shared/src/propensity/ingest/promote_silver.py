"""promote_silver: appends Bronze files to Silver, each file once, however often it is announced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from propensity.ingest.domain.file_report import FileReport
from propensity.kernel.errors import BadInputError, PackError
from propensity.kernel.sql_text import quote, read_files
from propensity.lake.domain.silver_rows import PARTITION, BucketRule, silver_rows
from propensity.lake.session import download
from propensity.lake.silver_tables import bucket_count, silver_table
from propensity.pack.current import contract_of, pack_info
from propensity.ports import Ports


@dataclass(frozen=True, slots=True)
class BronzeFile:
    """A message of the promote queue: a Bronze file whose rows are to reach Silver.

    For healed rows, `known_from` is the instant from which the rows are known. `contract_version` is then the version
    that healed the rows.
    """

    dataset: str
    tenant_id: str
    bronze_key: str
    content_id: str
    known_from: str | None = None
    contract_version: str | None = None

    @property
    def transaction(self) -> str:
        """The name of the file's promotion in the table's log."""
        return promotion(self.content_id, self.contract_version if self.known_from else None)

    @staticmethod
    def parse(message: Mapping[str, Any]) -> BronzeFile:
        """Parse a message or a file report. Raises BadInputError naming the fields that are missing."""
        fields = ["dataset", "tenant_id", "bronze_key", "content_id"]
        if message.get("known_from") is not None:
            fields += ["known_from", "contract_version"]
        missing = [field for field in fields if not isinstance(message.get(field), str)]
        if missing:
            raise BadInputError(
                f"promote message: {', '.join(missing)} missing, expected text as validate_upload sends"
            )
        return BronzeFile(
            dataset=message["dataset"],
            tenant_id=message["tenant_id"],
            bronze_key=message["bronze_key"],
            content_id=message["content_id"],
            known_from=message.get("known_from"),
            contract_version=message.get("contract_version"),
        )


def announcement(report: FileReport) -> dict[str, Any]:
    """The message for a report that put rows into Bronze."""
    message = {
        "dataset": report.dataset,
        "tenant_id": report.tenant_id,
        "bronze_key": report.bronze_key,
        "content_id": report.content_id,
        "rows": report.bronze,
    }
    if report.known_from:
        message |= {"known_from": report.known_from, "contract_version": report.contract_version}
    return message


def promotion(content_id: str, healed_by: str | None) -> str:
    """The name of a promotion in Silver's log: the content id, and the contract version if that healed the rows."""
    return f"{content_id}@{healed_by}" if healed_by else content_id


def promote_silver(ports: Ports, files: Sequence[BronzeFile]) -> dict[str, Any]:
    """Append the files of one dataset in one commit. Files that the table's log already names are left out.

    The commit has the files' names as Delta transactions. So a redelivery, a second announcement or a crash after the
    commit changes nothing. Raises RetryableError where another call promotes one of the files at the same time, or
    where the table is re-bucketed meanwhile.
    """
    [dataset] = {file.dataset for file in files}
    table = silver_table(dataset)
    known = {file.transaction: file for file in files}
    there = ports.tables.committed(table, known)
    fresh = [file for transaction, file in sorted(known.items()) if transaction not in there]
    rows = 0
    if fresh:
        rows = _append(ports, table, dataset, fresh)
    return {"dataset": dataset, "files": len(fresh), "rows": rows}


def _append(ports: Ports, table: str, dataset: str, files: Sequence[BronzeFile]) -> int:
    contract, info = contract_of(ports, dataset), pack_info(ports)
    if info.partition_key == "entity" and contract.partition_key != info.entity:
        # rows in another bucket than their customer's would never be read with that customer
        raise PackError(
            f"{ports.pack}/contracts/{dataset}.yaml: partitionKey is {contract.partition_key!r}, expected "
            f"{info.entity!r}: pack.yaml says partition_key: entity"
        )
    with ports.sql() as sql:
        sql.execute("create temp table announced (_file varchar, _tenant varchar, _known_from timestamptz)")
        paths = download(sql, ports.lake, [file.bronze_key for file in files], "announced")
        for path, file in zip(paths, files, strict=True):
            sql.execute("insert into announced values (?, ?, ?)", [path, file.tenant_id, file.known_from])
        # an empty relation with the contract's columns comes first, so that older Bronze files fit by column name;
        # the tenant is always the tenant of the key, whatever a tenant_id column has
        columns = ", ".join(f"null::{column.duckdb_type} as {quote(column.name)}" for column in contract.columns)
        has_tenant = any(column.name == "tenant_id" for column in contract.columns)
        sql.execute(
            f"create temp view bronze as select _tenant as tenant_id, * exclude (_tenant, _file"
            f"{', tenant_id' if has_tenant else ''}) from (select {columns}, null as _file where false "
            f"union all by name select * from {read_files(paths, filename=True)}) join announced using (_file)"
        )
        source = sql.rows("select count(*) from bronze")
        rule = BucketRule(info.partition_key, bucket_count(ports, dataset))
        ports.tables.append(
            table,
            sql.stream(silver_rows(contract, "bronze", rule)),
            partition_by=PARTITION,
            transactions=[file.transaction for file in files],
            buckets=rule.count,
        )
    return int(source[0][0])
