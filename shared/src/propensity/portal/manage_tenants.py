"""manage_tenants: a tenant's record, upload links and upload policy, the trial of a file, and the arrivals so far."""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from propensity.ingest.domain.file_report import status_of
from propensity.ingest.domain.landing_keys import CONTENT_TYPES, landing_key
from propensity.ingest.files.reading import read_upload
from propensity.kernel.errors import BadInputError, ConflictError, NotFoundError
from propensity.kernel.sql_text import read_files, text
from propensity.lake.pins import tenant_keys
from propensity.lake.session import download
from propensity.lake.silver_tables import silver_table
from propensity.pack.current import contract_of, pack_info
from propensity.ports import Ports
from propensity.tenants.domain.record import DATASETS, RecordLine, check_tenant, text_form_for
from propensity.tenants.record_lines import append_record_line, last_lines, lines

MAX_SAMPLE_SECONDS = 20  # of a trial; the gateway gives up after 29
MAX_UPLOAD = 5 * 1024**3  # S3 takes so many bytes by one PUT
MAX_SAMPLE = 1_000_000  # the largest file for a trial, in bytes
# bytes of Silver that one answer reads at most; for more bytes the answer has an upper bound of the rows
_COUNTED = 256_000_000


def set_tenant(ports: Ports, tenant_id: str, body: Mapping[str, Any], *, by: str, at: str) -> dict[str, Any]:
    """Onboard a tenant, or change its state or settings; `body` is {state, why, settings}.

    Return the record's last line. A request that changes nothing adds no line. Raises BadInputError naming the field,
    ConflictError for a state that cannot follow the present one.
    """
    return _line(append_record_line(ports.lake, tenant_id, body, pack_info(ports).datasets, by=by, at=at))


def list_tenants(ports: Ports) -> dict[str, Any]:
    """Return the state of every tenant with a record, sorted by tenant."""
    fields = ("tenant_id", "state", "at")
    return {"tenants": [{name: getattr(line, name) for name in fields} for line in last_lines(ports.lake)]}


def show_tenant(ports: Ports, tenant_id: str) -> dict[str, Any]:
    """Return a tenant's record, and what arrived per dataset.

    Per dataset: the number of `files` accepted and `refused`, the `first` and `last` day of arrival, and the `rows` in
    Silver, all versions. Where counting would take too long, `rows` is null and `rows_at_most` is an upper bound.
    `missing` lists the datasets that the settings expect and of which no file was accepted. Raises NotFoundError for a
    tenant that has no record and sent nothing.
    """
    record = lines(ports.lake, tenant_id)
    expected = list(record[-1].settings.get(DATASETS, [])) if record else []
    datasets = {}
    for dataset in pack_info(ports).datasets:
        arrived = _arrived(ports, tenant_id, dataset)
        if arrived["files"] or arrived["refused"] or dataset in expected:
            datasets[dataset] = {**arrived, **_rows(ports, tenant_id, dataset)}
    if not record and not datasets:
        raise NotFoundError(f"tenant {tenant_id}: has no record, and nothing came of it; PUT it, or mend the name")
    return {
        "tenant_id": tenant_id,
        "state": record[-1].state if record else None,
        "settings": record[-1].settings if record else {},
        "record": [_line(line) for line in record],
        "datasets": datasets,
        "missing": [dataset for dataset in expected if not datasets[dataset]["files"]],
    }


def upload_link(ports: Ports, tenant_id: str, body: Mapping[str, Any], *, at: str) -> dict[str, Any]:
    """Return a link that takes one file by PUT, to one key of the tenant; `body` is {dataset, file, size}.

    The sender sends the `headers` of the answer too, because they are signed. The link is used up by the first file.
    Where the body has `size`, the file has exactly so many bytes. Raises BadInputError for a name that validation would
    refuse, ConflictError for a tenant that is suspended or offboarded.
    """
    dataset, file = _text(body, "dataset"), _text(body, "file")
    landed = landing_key(dataset, tenant_id, file, pack_info(ports).datasets, arrived=datetime.fromisoformat(at))
    record = lines(ports.lake, tenant_id)
    if record and record[-1].refuses:
        raise ConflictError(
            f"tenant {tenant_id}: is {record[-1].state}, and its files are not taken in; make it active first"
        )
    link = ports.upload_access.link(landed.key, content_type=CONTENT_TYPES[landed.suffix], size=_size(body))
    return {
        "method": "PUT",
        "url": link.url,
        "headers": dict(link.headers),
        "key": landed.key,
        "seconds": link.seconds,
    }


def upload_policy(ports: Ports, tenant_id: str) -> dict[str, Any]:
    """Return the IAM policy for a role of the tenant's own.

    The role may put files below the tenant's prefixes, and may do nothing else.
    """
    check_tenant(tenant_id)
    datasets = pack_info(ports).datasets
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "PutFiles",
                "Effect": "Allow",
                "Action": ["s3:PutObject"],
                "Resource": [ports.upload_access.resource(f"{dataset}/tenant_id={tenant_id}/") for dataset in datasets],
            }
        ],
    }


def check_sample(ports: Ports, tenant_id: str, body: Mapping[str, Any], *, at: str) -> dict[str, Any]:
    """Return the report that validation would make of a file; nothing is written.

    The status is that of `report_landings`. `body` is {dataset, file, text} or {dataset, file, base64}. Reasons have
    columns, rules, counts and lines, never values. Raises BadInputError naming the field.
    """
    check_tenant(tenant_id)
    dataset, file, content = _text(body, "dataset"), _text(body, "file"), _content(body)
    with ports.sql(seconds=MAX_SAMPLE_SECONDS) as sql:
        local = sql.scratch / "upload"
        local.write_bytes(content)
        try:
            datasets = pack_info(ports).datasets
            landed = landing_key(dataset, tenant_id, file, datasets, arrived=datetime.fromisoformat(at))
            record = lines(ports.lake, tenant_id)
            contract = text_form_for(contract_of(ports, dataset), record[-1] if record else None)
            read = read_upload(ports, sql, local, landed, contract, seconds=MAX_SAMPLE_SECONDS)
            counts = read.counts().model_dump(mode="json")
            status = status_of(read.checked.good, read.checked.bad)
            answer = {"status": status, "contract_version": contract.version, **counts}
        except BadInputError as error:
            answer = {"status": "rejected", "why": str(error), "rows_in": 0, "bronze": 0, "quarantine": 0}
    return {"tenant_id": tenant_id, "dataset": dataset, **answer}


def _line(line: RecordLine) -> dict[str, Any]:
    return {**line.model_dump(), "files_from": line.files_from.isoformat()}


def _size(body: Mapping[str, Any]) -> int | None:
    size = body.get("size")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MAX_UPLOAD):
        raise BadInputError(f"size: expected the file's bytes, a whole number from 1 to {MAX_UPLOAD}")
    return size


def _text(body: Mapping[str, Any], field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value:
        raise BadInputError(f"{field}: expected text")
    return value


def _content(body: Mapping[str, Any]) -> bytes:
    given = [field for field in ("text", "base64") if isinstance(body.get(field), str)]
    if len(given) != 1:
        raise BadInputError("text: expected the file's content, or base64 of it where it is not UTF-8; one of them")
    try:
        content = base64.b64decode(body["base64"], validate=True) if given == ["base64"] else body["text"].encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadInputError(f"{given[0]}: cannot be decoded, expected the file's content") from error
    if len(content) > MAX_SAMPLE:
        raise BadInputError(f"{given[0]}: {len(content)} bytes, expected at most {MAX_SAMPLE}; send the first lines")
    return content


def _arrived(ports: Ports, tenant_id: str, dataset: str) -> dict[str, Any]:
    """Return what arrived of a dataset, by the keys of its reports alone.

    A content id with several reports is one file.
    """
    contents: defaultdict[bool, set[str]] = defaultdict(set)
    days = set()
    prefix = f"validation/{dataset}/tenant_id={tenant_id}/"
    for key in ports.lake.keys(prefix):
        day, _, name = key.removeprefix(prefix).partition("/")
        refused = name.endswith(".rejected.json")
        contents[refused].add(name.partition(".")[0])
        if not refused:
            days.add(day.removeprefix("ingest_date="))
    return {
        "files": len(contents[False]),
        "refused": len(contents[True]),
        "first": min(days, default=None),
        "last": max(days, default=None),
    }


def _rows(ports: Ports, tenant_id: str, dataset: str) -> dict[str, int | None]:
    snapshot = ports.tables.snapshot(silver_table(dataset))
    if snapshot is None:
        return {"rows": 0}
    with ports.sql() as sql:
        keys = tenant_keys(ports, sql, snapshot, tenant_id)
        files = {f"{snapshot.root}/{file.path}": file for file in snapshot.files}
        if sum(files[key].size for key in keys) > _COUNTED:
            return {"rows": None, "rows_at_most": sum(files[key].rows for key in keys)}
        if not keys:
            return {"rows": 0}
        paths = download(sql, ports.lake, keys, dataset)
        [(rows,)] = sql.rows(f"select count(*) from {read_files(paths)} where tenant_id = {text(tenant_id)}")
    return {"rows": int(rows)}
