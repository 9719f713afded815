"""request_export: take a request for a list, say how a list stands, and hand out its files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from propensity.delivery.domain.order import ExportOrder, Recall, export_folder
from propensity.delivery.domain.receipt import FilesErased, ListReceipt, erased_key, receipt_key
from propensity.delivery.domain.request import EXPORT_ID, export_id, parse_request, recall_id
from propensity.delivery.known_tenant import known_tenant
from propensity.kernel.callers import reason_given
from propensity.kernel.errors import BadInputError, ConflictError, NotFoundError
from propensity.lake.json_objects import dumps, find_record, parse_record, write_once
from propensity.pack.current import pack_info
from propensity.pack.domain.list_rules import destination_names
from propensity.ports import Ports
from propensity.registry.release_gate import refuse_unreleased
from propensity.registry.versions import load_champion

MACHINE = "export_list"
_MOST_KEY = 200
_MOST_WHY = 500  # characters of the reason for a recall


def request_export(
    ports: Ports, tenant: str, body: Mapping[str, Any], *, key: str | None, by: str, at: str, request_id: str
) -> dict[str, Any]:
    """Start a list. The same request with the same idempotency key is the same list, and is started once.

    `key` is the caller's idempotency key; without one every request is a list of its own. Raises BadInputError naming
    the field, NotFoundError where the model has no champion or nobody knows the tenant, ForbiddenError for a tenant
    that is offboarded, and ConflictError while the champion's lists are not released (registry/release_gate.py).
    """
    tenant = known_tenant(ports, tenant)
    models, destinations = pack_info(ports).models, destination_names(ports.pack_files)
    request = parse_request(body, models, destinations, today=date.fromisoformat(at[:10]))
    _check_key(key)
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


def request_recall(
    ports: Ports,
    tenant: str,
    export: str,
    body: Mapping[str, Any],
    *,
    key: str | None,
    by: str,
    at: str,
    request_id: str,
) -> dict[str, Any]:
    """Start the recall of a list: who should not have been on it, by what is known now, and the list without them.

    A recall is a list of its own, with an id, a receipt and files. The same recall with the same idempotency key is
    started once. Raises BadInputError without a reason, NotFoundError for a list that is not there, and ConflictError
    for one that is not ready, or is a recall itself.
    """
    tenant = known_tenant(ports, tenant)
    _check_key(key)
    if set(body) - {"why"}:
        raise BadInputError("body: expected why, and nothing else")
    why = reason_given(body.get("why"), "recall")
    if len(why) > _MOST_WHY:
        raise BadInputError(f"why: expected at most {_MOST_WHY} characters")
    known = _order(ports, tenant, export)
    if known.recall is not None:
        raise ConflictError(f"export {export}: is a recall itself; recall the list {known.recall.export} again")
    if find_record(ports.lake, receipt_key(export_folder(tenant, export)), ListReceipt) is None:
        raise ConflictError(f"export {export}: is not ready, so nobody has it; GET it to see how it stands")
    recall = recall_id(tenant, export, key if key is not None else request_id)
    order = ExportOrder(
        export=recall,
        tenant_id=tenant,
        # the day of the recalled list's population and scores, which may have been the day of its request
        request=known.request.model_copy(update={"as_of": known.day}),
        by=by,
        at=at,
        recall=Recall(export=export, why=why),
    )
    write_once(ports.lake, f"{export_folder(tenant, recall)}/request.json", dumps(order.model_dump(mode="json")))
    payload = {"tenant": tenant, "export": recall, "model": known.request.model, "recalls": export}
    ports.workflows.start(MACHINE, f"export-{recall}", payload)
    return show_export(ports, tenant, recall)


def show_export(ports: Ports, tenant: str, export: str) -> dict[str, Any]:
    """Return how a list stands: `running`, `failed` with the reason, or `ready` with receipt and links to the files.

    A list of which a person was erased is `erased`: it has its receipt, and no files. Links are made at this moment,
    and are valid for a bounded time. Raises NotFoundError for a list that nobody asked for.
    """
    tenant = known_tenant(ports, tenant)
    order, folder = _order(ports, tenant, export), export_folder(tenant, export)
    answer: dict[str, Any] = {"export": export, "tenant_id": tenant, "request": order.request.model_dump(mode="json")}
    answer |= {"by": order.by, "at": order.at}
    if order.recall is not None:
        answer["recall"] = order.recall.model_dump()
    receipt = find_record(ports.lake, receipt_key(folder), ListReceipt)
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
    tenant = known_tenant(ports, tenant)
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
                "ready": receipt_key(f"{root}{name}") in keys and erased_key(f"{root}{name}") not in keys,
                "recalls": order.recall.export if order.recall else None,
            }
        )
    return {"tenant_id": tenant, "exports": sorted(found, key=lambda one: str(one["at"]), reverse=True)}


def _order(ports: Ports, tenant: str, export: str) -> ExportOrder:
    if not EXPORT_ID.fullmatch(export):
        raise BadInputError(f"export {export[:80]!r}: expected an id as the POST answered it")
    order = find_record(ports.lake, f"{export_folder(tenant, export)}/request.json", ExportOrder)
    if order is None:
        raise NotFoundError(f"export {export!r}: tenant {tenant} has none of this id, or it has expired")
    return order


def _check_key(key: str | None) -> None:
    if key is not None and not 0 < len(key) <= _MOST_KEY:
        raise BadInputError(f"Idempotency-Key: expected 1 to {_MOST_KEY} characters")
