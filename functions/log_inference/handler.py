"""Appends the answers of scoring on demand from the queue to gold/inference_log."""

from __future__ import annotations

from typing import Any

from propensity.runtime import composition
from propensity.runtime.events import RECORDS, takes
from propensity.runtime.logging import logged
from propensity.runtime.queues import answer_groups
from propensity.serving.log_inference import log_inference


@logged
@takes(RECORDS)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return answer_groups(
        event,
        parse=lambda message: message,
        group=lambda _: "all",
        work=lambda messages: log_inference(composition.ports(), messages),
    )
