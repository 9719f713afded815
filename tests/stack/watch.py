"""make watch: from now on, one line for each thing that a function of the running stack did, and for each execution."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from tests.stack.stack import Stack, attach
from tests.stack.up import folder_option, given

OVERLAP = 2_000  # milliseconds that are read again, because functions that run at once end in any order
REASONS = 3  # broken rules of a file in one line


class Log:
    """The log group that all functions of a stack write to, read from an instant on (milliseconds since 1970)."""

    def __init__(self, stack: Stack, since: int) -> None:
        self._client = stack.client("logs")
        self._group = stack.resources()["Logs"]
        self._since = since
        self._from = since
        self._seen: set[tuple[str, int, str]] = set()

    def new(self) -> list[dict[str, Any]]:
        """The records that came since the last call, oldest first. Lines of Lambda itself are left out."""
        asked: dict[str, Any] = {"logGroupName": self._group, "startTime": self._from}
        events: list[dict[str, Any]] = []
        while True:
            page = self._client.filter_log_events(**asked)
            events += page["events"]
            if not page.get("nextToken"):
                break
            asked["nextToken"] = page["nextToken"]
        keys = {(one.get("logStreamName", ""), one["timestamp"], one["message"]): one for one in events}
        fresh = [one for key, one in keys.items() if key not in self._seen]
        self._from = max([self._from, *(one["timestamp"] - OVERLAP for one in events)])
        self._seen = {key for key in self._seen | set(keys) if key[1] >= self._from}
        return [json.loads(one["message"]) for one in fresh if one["message"].startswith('{"level"')]


class Executions:
    """The executions of both workflows: what changed since the last look."""

    def __init__(self, stack: Stack) -> None:
        self._client = stack.step_functions
        self._machines = {name: stack.outputs[name] for name in ("TrainModel", "ScorePopulation")}
        self._known: dict[str, str] = {}
        self.changed()

    def changed(self) -> list[tuple[str, str, str, str]]:
        """(workflow, execution, status, reason) of each execution whose status changed, oldest first."""
        found = []
        for machine, arn in self._machines.items():
            for one in reversed(self._client.list_executions(stateMachineArn=arn, maxResults=100)["executions"]):
                if self._known.get(one["executionArn"]) != one["status"]:
                    self._known[one["executionArn"]] = one["status"]
                    failed = one["status"] not in ("RUNNING", "SUCCEEDED")
                    reason = reason_of(self._client, one["executionArn"]) if failed else ""
                    found.append((machine, one["name"], one["status"], reason))
        return found


def reason_of(client: Any, arn: str) -> str:
    """Why an execution failed. For a failed Map, it is the reason of the first work item that failed."""
    told = client.describe_execution(executionArn=arn)
    if told.get("error") == "States.ExceedToleratedFailureThreshold":
        for run in client.list_map_runs(executionArn=arn)["mapRuns"]:
            listed = client.list_executions(mapRunArn=run["mapRunArn"], statusFilter="FAILED")["executions"]
            if listed:
                return reason_of(client, listed[0]["executionArn"])
    cause = told.get("cause") or ""
    with suppress(ValueError, KeyError, TypeError):
        cause = json.loads(cause)["errorMessage"]
    return f"{told.get('error') or told['status']}: {cause}".removesuffix(": ")


class Files:
    """Finds the file's key and the reasons in the report of a landed file, which the log may not hold."""

    def __init__(self, stack: Stack) -> None:
        self._s3 = stack.s3
        self._bucket = stack.outputs["LakeBucket"]

    def fields(self, answered: Mapping[str, Any], day: str) -> dict[str, str]:
        """`file` and, where rows or the whole file were refused, `why`; nothing for a record that names no file."""
        if not {"content_id", "dataset"} <= answered.keys():
            return {}
        place = f"landings/ingest_date={day}/tenant_id={answered.get('tenant_id') or 'unknown'}"
        key = f"{place}/{answered['dataset']}/{answered['content_id']}.json"
        try:
            report = json.loads(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except self._s3.exceptions.NoSuchKey:
            return {}
        why = why_of(report)
        return {"file": report["key"], **({"why": why} if why else {})}


def why_of(report: Mapping[str, Any]) -> str:
    """Why a file, or rows of it, were refused; empty where all rows are good."""
    if report["status"] == "rejected":
        return str(report["why"])
    rules = sorted(report.get("reasons", ()), key=lambda rule: -rule["rows"])
    told = [f"{rule['column'] or 'line'} {rule['rule']} ({rule['rows']} rows)" for rule in rules[:REASONS]]
    return ", ".join([*told, *([f"{len(rules) - REASONS} rules more"] if len(rules) > REASONS else [])])


def told(record: Mapping[str, Any], names: Mapping[str, str], extra: Mapping[str, str]) -> Text:
    """A record as one line. `names` has the template's name of each function by its deployed name."""
    asked = record.get("asked", {})
    if "resource" in asked:  # the `version` of a call is API Gateway's own
        asked = {name: asked[name] for name in ("httpMethod", "resource") if name in asked}
    parts = {**asked, **record.get("answered", {}), **extra}
    if "status" in record:
        parts["status"] = record["status"]
    if "error" in record:
        parts["error"] = f"{record['error']}: {record['message']}"
    if "seconds" in record:
        parts["seconds"] = record["seconds"]
    fields = "  ".join(f"{name}={value}" for name, value in parts.items())
    style = {"ERROR": "red", "WARNING": "yellow"}.get(record["level"], "")
    deployed = record.get("function_name", "")
    return Text(f"{record['timestamp'][11:19]}  {names.get(deployed, deployed):<20} {fields}", style=style)


def lines(stack: Stack, since: int) -> Iterator[Text | None]:
    """A line for each thing that happens from `since` on; None whenever there is no more for now."""
    log, executions, files = Log(stack, since), Executions(stack), Files(stack)
    names = {deployed: name for name, deployed in stack.names().items()}
    while True:
        for record in log.new():
            yield told(record, names, files.fields(record.get("answered", {}), record["timestamp"][:10]))
        for machine, name, status, reason in executions.changed():
            style = "" if status in ("RUNNING", "SUCCEEDED") else "red"
            now = datetime.now(UTC).strftime("%H:%M:%S")
            because = f"  reason={reason}" if reason else ""
            yield Text(f"{now}  {machine:<20} execution={name}  {status.lower()}{because}", style=style)
        yield None


def main() -> int:
    parser = argparse.ArgumentParser(prog="make watch", description=__doc__)
    folder_option(parser)
    folder = parser.parse_args().folder.resolve()
    stack = attach(folder)
    if stack is None:
        print(f"no stack is running; `make up{given(folder)}` starts one", file=sys.stderr)
        return 1
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"watching the {stack.pack} stack on {stack.endpoint} from now on; Ctrl-C ends this", style="dim")
    try:
        for line in lines(stack, int(time.time() * 1000)):
            if line is not None:
                console.print(line)
            elif attach(folder) is None:
                return 0
            else:
                time.sleep(1)  # another process, asked over HTTP: nothing can wake this one
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
