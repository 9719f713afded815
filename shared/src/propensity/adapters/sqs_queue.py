"""The Queue port over SQS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class SqsQueue:
    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    def send(self, message: Mapping[str, object]) -> None:
        self._client.send_message(QueueUrl=self._url, MessageBody=json.dumps(message, sort_keys=True, allow_nan=False))
