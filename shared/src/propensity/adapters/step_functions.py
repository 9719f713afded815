"""The Workflows port over Step Functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from propensity.kernel.errors import NotFoundError


class StepFunctions:
    """`machines` maps our names of the workflows to their ARNs."""

    def __init__(self, client: Any, machines: Mapping[str, str]) -> None:
        self._client = client
        self._machines = machines

    def start(self, machine: str, name: str, payload: Mapping[str, object]) -> bool:
        if machine not in self._machines:
            raise NotFoundError(f"workflow {machine!r}: expected one of {', '.join(sorted(self._machines))}")
        try:
            # a second equal start is answered like the first while the first runs, and refused once the first has ended
            self._client.start_execution(
                stateMachineArn=self._machines[machine], name=name, input=json.dumps(payload, sort_keys=True)
            )
        except self._client.exceptions.ExecutionAlreadyExists:
            return False
        return True
