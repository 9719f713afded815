"""request_export: take a request for a list, say how a list stands, and hand out its files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from propensity.delivery.domain.order import ExportOrder, export_folder
from propensity.delivery.domain.receipt import FilesErased, ListReceipt, erased_key
from propensity.delivery.domain.request import EXPORT_ID, export_id, parse_request
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.kernel.tenant import parse_tenant
from propensity.lake.json_objects import dumps, find_record, parse_record, write_once
from propensity.pack.current import pack_info
from propensity.pack.domain.list_rules import destination_names
from propensity.ports import Ports
from propensity.registry.release_gate import refuse_unreleased
from propensity.registry.versions import load_champion
from propensity.tenants.record_lines import refuse_unknown_or_gone

MACHINE = "export_list"
_MOST_KEY = 200


def request_export(
    ports: Ports, tenant: str, body: Mapping[str, Any], *, key: str | None, by: str, at: str, request_id: str
) -> dict[str, Any]:
    """Start a list. The same request with the same idempotency key is the same list, and is started once.

    `key` is the caller's idempotency key; without one every request is a list of its own. Raises BadInputError naming
    the field, NotFoundError where the model has no champion or nobody knows the tenant, ForbiddenError for a tenant
    that is offboarded, and ConflictError while the champion's lists are not released (registry/release_gate.py).
    """
    tenant = _known(ports, tenant)
    models, destinations = pack_info(ports).models, destination_names(ports.pack_files)
    request = parse_request(body, models, destinations, today=date.fromisoformat(at[:10]))
    if key is not None and not 0 < len(key) <= _MOST_KEY:
        raise BadInputError(f"Idempotency-Key: expected 1 to {_MOST_KEY} characters")
    refuse_unreleased(ports, load_champion(ports.lake, request.model))
    export = export_id(tenant, request, key if key is not None else request_id)
    folder = export_folder(tenant, export)
    order = ExportOrder(export=export, tenant_id=tenant, request=request, by=by, at=at)
    written = write_once(ports.lake, f"{folder}/request.json", dumps(order.model_dump(mode="json")))
    first = parse_record(written, f"{folder}/request.json", ExportOrder)
    # the day comes from the first request, so that one that is sent again after midnight starts the same execution
    payload = {
        "tenant": tenant,
        "export": export,
        "model": request.model,
        "as_of": first.day.isoformat(),
        "scope": "gap",
        "fresh_days": request.fresh_days,
    }
    ports.workflows.start(MACHINE, f"export-{export}", payload)
    return show_export(ports, tenant, export)


def show_export(ports: Ports, tenant: str, export: str) -> dict[str, Any]:
    """Return how a list stands: `running`, `failed` with the reason, or `ready` with receipt and links to the files.

    A list of which a person was erased is `erased`: it has its receipt, and no files. Links are made at this moment,
    and are valid for a bounded time. Raises NotFoundError for a list that nobody asked for.
    """
    tenant = _known(ports, tenant)
    if not EXPORT_ID.fullmatch(export):
        raise BadInputError(f"export {export[:80]!r}: expected an id as the POST answered it")
    folder = export_folder(tenant, export)
    order = find_record(ports.lake, f"{folder}/request.json", ExportOrder)
    if order is None:
        raise NotFoundError(f"export {export!r}: tenant {tenant} has none of this id, or it has expired")
    answer: dict[str, Any] = {"export": export, "tenant_id": tenant, "request": order.request.model_dump(mode="json")}
    answer |= {"by": order.by, "at": order.at}
    receipt = find_record(ports.lake, f"{folder}/receipt.json", ListReceipt)
    erased = find_record(ports.lake, erased_key(folder), FilesErased)
    if receipt is not None and erased is not None:
        said = "its files were removed, because a person in them was erased; ask for a new list"
        shown = receipt.model_dump(mode="json")
        return {**answer, "state": "erased", "reason": said, "erased_at": erased.at, "receipt": shown, "files": []}
    if receipt is not None:
        links = []
        for file in receipt.files:
            link = ports.download_access.link(f"{folder}/{file.file}")
            links.append({**file.model_dump(), "url": link.url, "seconds": link.seconds})
        return {**answer, "state": "ready", "receipt": receipt.model_dump(mode="json"), "files": links}
    execution = ports.workflows.find(MACHINE, f"export-{export}")
    if execution is not None and execution.state == "failed":
        return {**answer, "state": "failed", "reason": execution.reason}
    return {**answer, "state": "running"}


def list_exports(ports: Ports, tenant: str) -> dict[str, Any]:
    """Return the ids of a tenant's lists that have not expired, newest first, with model, destination and state."""
    tenant = _known(ports, tenant)
    root = export_folder(tenant, "")
    keys = set(ports.lake.keys(root))
    found = []
    for name in sorted({key.removeprefix(root).split("/")[0] for key in keys}):
        order = find_record(ports.lake, f"{root}{name}/request.json", ExportOrder)
        if order is None:
            continue
        found.append(
            {
                "export": name,
                "at": order.at,
                "model": order.request.model,
                "destination": order.request.destination,
                "ready": f"{root}{name}/receipt.json" in keys and erased_key(f"{root}{name}") not in keys,
            }
        )
    return {"tenant_id": tenant, "exports": sorted(found, key=lambda one: str(one["at"]), reverse=True)}


def _known(ports: Ports, tenant: str) -> str:
    """Return the tenant's name. Raises NotFoundError for one that nobody knows, ForbiddenError for one that is gone."""
    name = parse_tenant(tenant)
    refuse_unknown_or_gone(ports.lake, name, pack_info(ports).datasets)
    return name
