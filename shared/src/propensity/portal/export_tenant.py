"""export_tenant: write all rows of a tenant in the lake to Parquet files that can be taken elsewhere.

The versions of the tables are pinned first, and the manifest is written last. An export without a manifest is not
complete; a second call writes the same files under the same keys.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.kernel.spec import Record
from propensity.kernel.sql_text import quote, read_files, text
from propensity.lake.domain.retractions import Retraction
from propensity.lake.gold_tables import GROUND_TRUTH, INFERENCE_LOG, MATCHBACK, SCORES
from propensity.lake.json_objects import dumps, find_record, parse_record, write_once
from propensity.lake.kept_files import keep_first
from propensity.lake.pins import tenant_keys
from propensity.lake.session import download
from propensity.lake.silver_tables import SILVER, silver_table
from propensity.lake.taken_back import retractions
from propensity.pack.current import pack_info
from propensity.ports import DataFile, Ports, Snapshot, Sql
from propensity.tenants.domain.record import check_tenant

EXPORTS = "exports"
_REQUEST = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SLICE = 512_000_000  # bytes of a table that are on disk at the same time


class ExportPins(Record):
    """The content of `pins.json`: table versions, and the tenant's files taken back that still have rows in Silver."""

    tables: dict[str, int]
    retracted: tuple[Retraction, ...]


class ExportedFile(Record):
    """One file of an export, by its name below the export's folder, and the table that its rows come from."""

    file: str
    table: str
    rows: int
    bytes: int
    sha256: str


class ExportManifest(ExportPins):
    """The content of `manifest.json`: the pins, the files, and the tables left out because they have no tenants."""

    tenant_id: str
    request: str
    files: tuple[ExportedFile, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Export:
    ports: Ports
    sql: Sql
    tenant_id: str
    folder: str


def export_tenant(ports: Ports, *, tenant_id: str, request: str) -> dict[str, Any]:
    """Write the export of a tenant below `exports/<request>/tenant_id=<tenant>/`.

    The export has `<dataset>.parquet` with every version of every row in Silver, and `gold/<table>.parquet`. Its
    `manifest.json` has the rows, bytes and SHA-256 of each file, and the uploads taken back. Tables without tenants
    (figures over all tenants) are left out, and the manifest names these tables.

    Raises BadInputError for a name that no tenant or request can have, NotFoundError where no table has a row of the
    tenant.
    """
    check_tenant(tenant_id)
    if not _REQUEST.fullmatch(request):
        raise BadInputError(f"request {request[:80]!r}: expected 1 to 64 letters, digits, - or _ that name this export")
    folder = f"{EXPORTS}/{request}/tenant_id={tenant_id}"
    manifest_key = f"{folder}/manifest.json"
    manifest = find_record(ports.lake, manifest_key, ExportManifest)
    if manifest is None:
        manifest = _export(ports, tenant_id, folder, request)
        write_once(ports.lake, manifest_key, dumps(manifest.model_dump(mode="json")))
    rows = sum(file.rows for file in manifest.files)
    return {"tenant_id": tenant_id, "manifest": manifest_key, "files": len(manifest.files), "rows": rows}


def _export(ports: Ports, tenant_id: str, folder: str, request: str) -> ExportManifest:
    wanted = _pins(ports, tenant_id)
    key = f"{folder}/pins.json"
    pins = parse_record(write_once(ports.lake, key, dumps(wanted.model_dump(mode="json"))), key, ExportPins)
    files: list[ExportedFile] = []
    left_out: list[str] = []
    for table, version in sorted(pins.tables.items()):
        snapshot = ports.tables.snapshot(table, version=version)
        if snapshot is None or not snapshot.files:
            continue
        with ports.sql() as sql:
            # with one thread, a second call writes the rows in the same order, and so the same bytes
            sql.execute("set threads = 1")
            export = _Export(ports, sql, tenant_id, folder)
            if not _knows_tenants(export, snapshot):
                left_out.append(table)
                continue
            file = _file(export, snapshot)
            files += [file] if file else []
    if not files:
        raise NotFoundError(f"tenant {tenant_id}: no table has a row of it; mend the name")
    return ExportManifest(
        tenant_id=tenant_id, request=request, **dict(pins), files=tuple(files), left_out=tuple(left_out)
    )


def _pins(ports: Ports, tenant_id: str) -> ExportPins:
    taken_back = [file for dataset in pack_info(ports).datasets for file in retractions(ports.lake, dataset)]
    retracted = tuple(file for file in taken_back if file.tenant_id == tenant_id)
    return ExportPins(tables=_versions(ports), retracted=retracted)


def _versions(ports: Ports) -> dict[str, int]:
    tables = [*(silver_table(dataset) for dataset in pack_info(ports).datasets), SCORES, GROUND_TRUTH, MATCHBACK]
    snapshots = [ports.tables.snapshot(table) for table in [*tables, INFERENCE_LOG]]
    return {snapshot.table: snapshot.version for snapshot in snapshots if snapshot is not None}


def _knows_tenants(export: _Export, snapshot: Snapshot) -> bool:
    paths = download(export.sql, export.ports.lake, [f"{snapshot.root}/{snapshot.files[0].path}"], "first")
    columns = {row[0] for row in export.sql.rows(f"describe select * from {read_files(paths)}")}
    return "tenant_id" in columns


def _file(export: _Export, snapshot: Snapshot) -> ExportedFile | None:
    """Write the tenant's rows of one table as one object; None where the table has no row of the tenant."""
    sql, lake = export.sql, export.ports.lake
    wanted = set(tenant_keys(export.ports, sql, snapshot, export.tenant_id))
    parts: list[str] = []
    files = [file for file in snapshot.files if f"{snapshot.root}/{file.path}" in wanted]
    for number, piece in enumerate(slices(files, _SLICE)):
        paths = download(sql, lake, [f"{snapshot.root}/{file.path}" for file in piece], f"slice-{number}")
        # Only a table's paths have its partition columns. The bucket is left out, because it means nothing elsewhere.
        stamps = [f", {text(value)} as {quote(name)}" for name, value in piece[0].partition.items() if name != "bucket"]
        part = sql.scratch / f"part-{number:05d}.parquet"
        chosen = f"select *{''.join(stamps)} from {read_files(paths)} where tenant_id = {text(export.tenant_id)}"
        if _copied(sql, chosen, part):
            parts.append(str(part))
        for path in paths:
            Path(path).unlink()
    if not parts:
        return None
    name = f"{snapshot.table.removeprefix(f'{SILVER}/')}.parquet"
    whole = sql.scratch / "whole.parquet"
    rows = _copied(sql, f"select * from {read_files(parts)}", whole)
    key = f"{export.folder}/{name}"
    # the manifest must describe the object that is there, also where a call that died before its manifest has put it
    if not keep_first(lake, key, whole):
        [(rows,)] = sql.rows(f"select count(*) from {read_files([str(whole)])}")
    with whole.open("rb") as body:
        digest = hashlib.file_digest(body, "sha256").hexdigest()
    size = whole.stat().st_size
    return ExportedFile(file=name, table=snapshot.table, rows=int(rows), bytes=size, sha256=digest)


def _copied(sql: Sql, query: str, path: Path) -> int:
    sql.execute(f"copy ({query}) to {text(str(path))} (format parquet, compression zstd)")
    [(rows,)] = sql.rows(f"select count(*) from {read_files([str(path)])}")
    return int(rows)


def slices(files: Sequence[DataFile], size: int) -> Iterator[list[DataFile]]:
    """Yield files in partition order, in slices of one partition each.

    A slice has at most `size` bytes, or one file.
    """
    piece: list[DataFile] = []
    for file in sorted(files, key=lambda file: (sorted(file.partition.items()), file.path)):
        if piece and (piece[0].partition != file.partition or sum(other.size for other in [*piece, file]) > size):
            yield piece
            piece = []
        piece.append(file)
    if piece:
        yield piece
