"""export_tenant: all that the lake holds of a tenant as Parquet files that can be taken elsewhere.

The versions of the tables are pinned first and the manifest is written last: an export without a manifest is not
there, and doing it again gives the same files under the same names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.kernel.sql_text import quote, read_files, text
from propensity.lake.gold_tables import GROUND_TRUTH, INFERENCE_LOG, MATCHBACK, SCORES
from propensity.lake.json_objects import dumps, find_json, read_json, write_once
from propensity.lake.pins import tenant_keys
from propensity.lake.session import download
from propensity.lake.silver_tables import SILVER, silver_table
from propensity.lake.taken_back import retractions
from propensity.pack.current import pack_info
from propensity.ports import DataFile, Ports, Snapshot, Sql
from propensity.tenants.domain.record import check_tenant

ROOT = "exports"
_REQUEST = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SLICE = 512_000_000  # bytes of a table that lie on disk at once


@dataclass(frozen=True, slots=True)
class _Export:
    ports: Ports
    sql: Sql
    tenant_id: str
    folder: str


def export_tenant(ports: Ports, *, tenant_id: str, request: str) -> dict[str, Any]:
    """Write `exports/<request>/tenant_id=<tenant>/`: `<dataset>.parquet` with every version of every row in Silver,
    `gold/<table>.parquet`, and `manifest.json` with rows, bytes and SHA-256 per file, and the uploads taken back.

    Tables that know no tenants (figures over all of them) are left out and named. Raises BadInputError for a name that
    is none, NotFoundError where no table has a row of the tenant.
    """
    check_tenant(tenant_id)
    if not _REQUEST.fullmatch(request):
        raise BadInputError(f"request {request[:80]!r}: expected 1 to 64 letters, digits, - or _ that name this export")
    folder = f"{ROOT}/{request}/tenant_id={tenant_id}"
    manifest_key = f"{folder}/manifest.json"
    manifest = find_json(ports.lake, manifest_key)
    if manifest is None:
        manifest = _export(ports, tenant_id, folder, request)
        write_once(ports.lake, manifest_key, dumps(manifest))
    rows = sum(file["rows"] for file in manifest["files"])
    return {"tenant_id": tenant_id, "manifest": manifest_key, "files": len(manifest["files"]), "rows": rows}


def _export(ports: Ports, tenant_id: str, folder: str, request: str) -> dict[str, Any]:
    write_once(ports.lake, f"{folder}/pins.json", dumps(_pins(ports, tenant_id)))
    pins = read_json(ports.lake, f"{folder}/pins.json")
    files: list[dict[str, Any]] = []
    left_out: list[str] = []
    for table, version in sorted(pins["tables"].items()):
        snapshot = ports.tables.snapshot(table, version=version)
        if snapshot is None or not snapshot.files:
            continue
        sql = ports.sql()
        try:
            # one thread: the same rows in the same order give the same bytes
            sql.execute("set threads = 1")
            export = _Export(ports, sql, tenant_id, folder)
            if not _knows_tenants(export, snapshot):
                left_out.append(table)
                continue
            file = _file(export, snapshot)
            files += [file] if file else []
        finally:
            sql.close()
    if not files:
        raise NotFoundError(f"tenant {tenant_id}: no table has a row of it; mend the name")
    return {"tenant_id": tenant_id, "request": request, **pins, "files": files, "left_out": left_out}


def _pins(ports: Ports, tenant_id: str) -> dict[str, Any]:
    """Versions of the tables, and the tenant's files that were taken back: Silver still holds their rows."""
    datasets = pack_info(ports).datasets
    taken_back = [one for dataset in datasets for one in retractions(ports.lake, dataset)]
    return {
        "tables": _versions(ports),
        "retracted": [one.model_dump() for one in taken_back if one.tenant_id == tenant_id],
    }


def _versions(ports: Ports) -> dict[str, int]:
    tables = [*(silver_table(dataset) for dataset in pack_info(ports).datasets), SCORES, GROUND_TRUTH, MATCHBACK]
    snapshots = [ports.tables.snapshot(table) for table in [*tables, INFERENCE_LOG]]
    return {one.table: one.version for one in snapshots if one is not None}


def _knows_tenants(export: _Export, snapshot: Snapshot) -> bool:
    paths = download(export.sql, export.ports.lake, [f"{snapshot.root}/{snapshot.files[0].path}"], "first")
    columns = {row[0] for row in export.sql.rows(f"describe select * from {read_files(paths)}")}
    return "tenant_id" in columns


def _file(export: _Export, snapshot: Snapshot) -> dict[str, Any] | None:
    """The tenant's rows of one table as one object; None where there are none."""
    sql, lake = export.sql, export.ports.lake
    wanted = set(tenant_keys(export.ports, sql, snapshot, export.tenant_id))
    parts: list[str] = []
    files = [file for file in snapshot.files if f"{snapshot.root}/{file.path}" in wanted]
    for number, piece in enumerate(slices(files, _SLICE)):
        paths = download(sql, lake, [f"{snapshot.root}/{file.path}" for file in piece], f"slice-{number}")
        # what a table is partitioned by stands in its paths alone; a bucket means nothing elsewhere
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
    if not lake.upload_new(key, whole):
        # put by a run that died before its manifest: what stands there is what the manifest must tell of
        lake.download(key, whole)
        [(rows,)] = sql.rows(f"select count(*) from {read_files([str(whole)])}")
    with whole.open("rb") as body:
        digest = hashlib.file_digest(body, "sha256").hexdigest()
    size = whole.stat().st_size
    return {"file": name, "table": snapshot.table, "rows": int(rows), "bytes": size, "sha256": digest}


def _copied(sql: Sql, query: str, path: Path) -> int:
    sql.execute(f"copy ({query}) to {text(str(path))} (format parquet, compression zstd)")
    [(rows,)] = sql.rows(f"select count(*) from {read_files([str(path)])}")
    return int(rows)


def slices(files: Sequence[DataFile], size: int) -> Iterator[list[DataFile]]:
    """Files in partition order, as many of one partition at a time as stay below a size in bytes; one at least."""
    held: list[DataFile] = []
    for file in sorted(files, key=lambda one: (sorted(one.partition.items()), one.path)):
        if held and (held[0].partition != file.partition or sum(one.size for one in [*held, file]) > size):
            yield held
            held = []
        held.append(file)
    if held:
        yield held
