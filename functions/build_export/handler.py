"""Makes a list, in the workflow export_list."""

from __future__ import annotations

from typing import Any

from propensity.delivery.build_export import build_export
from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(tenant="<tenant>", export="<id that the POST answered>")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return build_export(composition.ports(), tenant=event["tenant"], export=event["export"], gap=event.get("gap"))
