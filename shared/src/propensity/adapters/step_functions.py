"""The Workflows port over Step Functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal

from botocore.exceptions import ClientError

from propensity.kernel.errors import NotFoundError, SettingError
from propensity.ports import Execution

_STATES: Mapping[str, Literal["running", "succeeded", "failed"]] = {
    "RUNNING": "running",
    "PENDING_REDRIVE": "running",
    "SUCCEEDED": "succeeded",
}
_PAGES = 10  # of 1,000 names each; older executions are not looked for
_ITEM_FAILED = "States.ExceedToleratedFailureThreshold"  # of a Map; the reason is in the execution of the work item


class StepFunctions:
    """`machines` maps our names of the workflows to their ARNs, None for one that this function was not given."""

    def __init__(self, client: Any, machines: Mapping[str, str | None]) -> None:
        self._client = client
        self._machines = machines

    def start(self, machine: str, name: str, payload: Mapping[str, object]) -> bool:
        try:
            # a second equal start is answered like the first while the first runs, and refused once the first has ended
            self._client.start_execution(
                stateMachineArn=self._arn(machine), name=name, input=json.dumps(payload, sort_keys=True)
            )
        except self._client.exceptions.ExecutionAlreadyExists:
            return False
        return True

    def find(self, machine: str, name: str) -> Execution | None:
        return self._execution(f"{self._arn(machine).replace(':stateMachine:', ':execution:')}:{name}")

    def recent(self, machine: str, part: str, most: int) -> list[Execution]:
        found: list[Execution] = []
        asked: dict[str, Any] = {"stateMachineArn": self._arn(machine), "maxResults": 1_000}
        for _ in range(_PAGES):
            page = self._client.list_executions(**asked)
            named = [listed["executionArn"] for listed in page["executions"] if part in listed["name"]]
            described = (self._execution(arn) for arn in named[: most - len(found)])
            found += [execution for execution in described if execution is not None]
            if len(found) >= most or not page.get("nextToken"):
                break
            asked["nextToken"] = page["nextToken"]
        return found

    def _arn(self, machine: str) -> str:
        if machine not in self._machines:
            raise NotFoundError(f"workflow {machine!r}: expected one of {', '.join(sorted(self._machines))}")
        arn = self._machines[machine]
        if not arn:
            raise SettingError(f"workflow {machine}: its ARN is not set; template.yaml gives it to this function")
        return arn

    def _execution(self, arn: str) -> Execution | None:
        try:
            told = self._client.describe_execution(executionArn=arn)
        except self._client.exceptions.ExecutionDoesNotExist:
            return None
        state = _STATES.get(told["status"], "failed")
        return Execution(
            name=told["name"],
            payload=json.loads(told.get("input") or "{}"),
            state=state,
            began=_instant(told["startDate"]),
            ended=_instant(told["stopDate"]) if state != "running" and told.get("stopDate") else None,
            reason=self._reason(arn, told) if state == "failed" else None,
        )

    def _reason(self, arn: str, told: Mapping[str, Any]) -> str:
        """Why an execution failed. For a failed Map, it is the reason of the first work item that failed.

        Where the item cannot be looked up, it is the Map's own reason: an answer is worth more than none.
        """
        if told.get("error") == _ITEM_FAILED:
            with suppress(ClientError):
                for run in self._client.list_map_runs(executionArn=arn)["mapRuns"]:
                    failed = self._client.list_executions(mapRunArn=run["mapRunArn"], statusFilter="FAILED")
                    for item in failed["executions"][:1]:
                        return _said(self._client.describe_execution(executionArn=item["executionArn"]))
        return _said(told)


def _said(told: Mapping[str, Any]) -> str:
    """The status, or the error with its message. A function's cause is JSON, and its message names no person."""
    if not told.get("error"):
        return str(told["status"]).lower().replace("_", " ")
    cause = told.get("cause") or ""
    try:
        message = json.loads(cause)["errorMessage"]
    except (ValueError, KeyError, TypeError):
        message = cause
    return f"{told['error']}: {message}" if message else str(told["error"])


def _instant(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds")
