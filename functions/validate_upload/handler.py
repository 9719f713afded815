"""Validates one landed file at a time. A queue brings the events of the landing bucket."""

from __future__ import annotations

from typing import Any

from propensity.ingest.validate_upload import Upload, validate_upload
from propensity.runtime import composition
from propensity.runtime.events import RECORDS, takes
from propensity.runtime.logging import logged
from propensity.runtime.queues import answer_records


@logged
@takes(RECORDS)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    def validate(body: dict[str, Any]) -> dict[str, Any]:
        detail = body["detail"]
        # the key is taken as it is: EventBridge does not encode it, and decoding would change a key with a + or a %
        landed = detail["object"]
        upload = Upload(detail["bucket"]["name"], landed["key"], landed.get("version-id"), landed["etag"])
        return validate_upload(composition.ports(), upload)

    return answer_records(event, validate)
