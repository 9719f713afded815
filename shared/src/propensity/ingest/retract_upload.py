"""retract_upload: takes back a file that should never have come. No data is removed."""

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
    """Take back one file. `body` is {content_id, why}, with the `content_id` of the file's report.

    From `at` on no view shows the file's rows, and the rows that they replaced count again. Views as of a time between
    the arrival and `at` still show the file's rows. A second call changes nothing and returns the first retraction.
    Raises BadInputError naming the field, and NotFoundError where validation accepted no file of that content id.
    """
    check_tenant(tenant_id)
    content_id = body.get("content_id")
    if not isinstance(content_id, str) or not content_id.isalnum():
        raise BadInputError("content_id: expected the one that the tenant's landings list for the file")
    why = check_why(body.get("why"))
    dataset = _dataset(ports, tenant_id, content_id)
    retraction = Retraction(content_id=content_id, dataset=dataset, tenant_id=tenant_id, by=by, why=why, at=at)
    kept = write_once(ports.lake, retraction_key(dataset, content_id), dumps(retraction.model_dump()))
    return Retraction.model_validate_json(kept).model_dump()


def _dataset(ports: Ports, tenant_id: str, content_id: str) -> str:
    """The dataset of an accepted file, found by the names of the tenant's reports."""
    for dataset in pack_info(ports).datasets:
        for key in ports.lake.keys(f"validation/{dataset}/tenant_id={tenant_id}/"):
            name = key.rpartition("/")[2]
            if name.startswith(f"{content_id}.c") and not name.endswith(".rejected.json"):
                return dataset
    raise NotFoundError(
        f"tenant {tenant_id}: no file of content_id {content_id} was taken in; its landings list the ids"
    )
