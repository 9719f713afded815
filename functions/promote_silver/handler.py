"""Promotes Bronze files to Silver.

One call takes as many files as the queue hands over, with one commit per dataset.
"""

from __future__ import annotations

from typing import Any

from propensity.ingest.promote_silver import BronzeFile, promote_silver
from propensity.runtime import composition
from propensity.runtime.events import RECORDS, takes
from propensity.runtime.logging import logged
from propensity.runtime.queues import answer_groups


@logged
@takes(RECORDS)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return answer_groups(
        event,
        parse=BronzeFile.parse,
        group=lambda file: file.dataset,
        work=lambda files: promote_silver(composition.ports(), files),
    )
