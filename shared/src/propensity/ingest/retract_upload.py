"""retract_upload: a file that should never have come is taken back, without anything being removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.lake.domain.retractions import Retraction, retraction_key
from propensity.lake.json_objects import dumps, write_once
from propensity.pack.current import pack_info
from propensity.ports import Ports
from propensity.tenants.domain.record import check_tenant, check_why


def retract_upload(ports: Ports, tenant_id: str, body: Mapping[str, Any], *, by: str, at: str) -> dict[str, Any]:
    """Take back one file of {content_id, why}; `content_id` as the file's report says it. The retraction that holds.

    From `at` on no view shows its rows, and what they replaced counts again; views of moments between its arrival and
    `at` still show them, as they did. Doing it again changes nothing. Raises BadInputError naming the field,
    NotFoundError for a content that validation took nothing in of.
    """
    check_tenant(tenant_id)
    content_id = body.get("content_id")
    if not isinstance(content_id, str) or not content_id.isalnum():
        raise BadInputError("content_id: expected the one in the file's report below validation/")
    why = check_why(body.get("why"))
    dataset = _dataset(ports, tenant_id, content_id)
    one = Retraction(content_id=content_id, dataset=dataset, tenant_id=tenant_id, by=by, why=why, at=at)
    held = write_once(ports.lake, retraction_key(dataset, content_id), dumps(one.model_dump()))
    return Retraction.model_validate_json(held).model_dump()


def _dataset(ports: Ports, tenant_id: str, content_id: str) -> str:
    for dataset in pack_info(ports).datasets:
        for key in ports.lake.keys(f"validation/{dataset}/tenant_id={tenant_id}/"):
            name = key.rpartition("/")[2]
            if name.startswith(f"{content_id}.c") and not name.endswith(".rejected.json"):
                return dataset
    raise NotFoundError(f"tenant {tenant_id}: no file of content_id {content_id} was taken in; see validation/")
