"""make why WHAT=…: why a model, a run, an execution or a landed file is as it is, on the running stack."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.stack.stack import Stack, attach
from tests.stack.up import folder_option, given
from tests.stack.watch import Log, reason_of, told, why_of

MOST = 5  # files, and lines of the log, in one answer


class Asked:
    """What a stack's API, registers and log say of a name."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.models: list[dict[str, Any]] = self._get("/v1/models")["models"]

    def why(self, what: str) -> list[str]:
        """The lines of the answer; none where nothing has this name."""
        for model in self.models:
            if model["model"] == what:
                return list(self._model(model))
        runs = [run for model in self.models for run in self._runs(model["model"]) if _names(run, what)]
        if runs:
            return [line for run in runs for line in self._run(run)]
        return list(self._files(what))

    def expected(self) -> str:
        models = ", ".join(model["model"] for model in self.models)
        return (
            f"expected a model ({models}), a run such as runs/train/{self.models[0]['model']}/2025-07-01, "
            "the name of an execution, or a part of a landed file's key or its content id"
        )

    def _get(self, path: str) -> Any:
        status, body = self._stack.call("GET", path)
        if status != 200:
            raise SystemExit(f"GET {path}: {status} {json.dumps(body)[:500]}")
        return body

    def _runs(self, model: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get(f"/v1/runs/{model}")["runs"]
        return found

    def _model(self, model: Mapping[str, Any]) -> Iterator[str]:
        yield model["why"] or f"model {model['model']}: version {model['champion']} is champion"
        newest = model["newest"]
        if newest:
            failed = ", ".join(newest["failed_gates"]) or "none"
            told = f"newest version {newest['version']} as of {newest['as_of']}: {newest['stage']}"
            yield f"{told}; gates failed: {failed}"
        for kind in ("training", "scoring"):
            if model[kind]:
                yield from self._run(model[kind])
            else:
                yield f"no {kind} so far; next on {model['next'][kind]}"

    def _run(self, run: Mapping[str, Any]) -> Iterator[str]:
        kind = " ".join(filter(None, (run["kind"], run["scope"])))
        because = f": {run['reason']}" if run["reason"] else ""
        yield f"{kind} as of {run['as_of']} {run['state']}{because}"
        for execution in run["executions"]:
            failed = execution["state"] == "failed"
            because = f": {self._followed(run['kind'], execution['name'])}" if failed else ""
            yield f"  execution {execution['name']} {execution['state']}, began {execution['began']}{because}"
        if run["state"] != "ended" and run["run"]:
            yield from self._log(run["run"])

    def _followed(self, kind: str, name: str) -> str:
        """Why an execution failed, followed into the work item of a Map."""
        machine = self._stack.outputs["TrainModel" if kind == "training" else "ScorePopulation"]
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{name}"
        return reason_of(self._stack.step_functions, arn)

    def _files(self, what: str) -> Iterator[str]:
        bucket = self._stack.outputs["LakeBucket"]
        keys = sorted((one["Key"] for one in self._listed(bucket, "landings/")), reverse=True)
        with ThreadPoolExecutor(8) as pool:
            bodies = pool.map(lambda key: self._stack.s3.get_object(Bucket=bucket, Key=key)["Body"].read(), keys)
            reports = [json.loads(body) for body in bodies]
        named = [report for report in reports if what in report["key"] or report["content_id"].startswith(what)]
        for report in named[:MOST]:
            why = why_of(report)
            yield f"{report['key']} {report['status']}{f': {why}' if why else ''}"
            rows = {name: report[name] for name in ("rows_in", "bronze", "quarantine")}
            yield f"  {', '.join(f'{name} {count}' for name, count in rows.items())}; report {report['report_key']}"
            yield from self._log(report["content_id"])
        if named:
            return
        for landed in self._listed(self._stack.outputs["LandingBucket"], ""):
            if what in landed["Key"]:
                waits = self._stack.waiting("UploadQueue"), self._stack.waiting("UploadDeadLetters")
                yield f"{landed['Key']} landed at {landed['LastModified']} and has no report yet"
                yield f"  {waits[0]} files wait for validation, {waits[1]} failed five times (UploadDeadLetters)"

    def _listed(self, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
        for page in self._stack.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from page.get("Contents", ())

    def _log(self, name: str) -> Iterator[str]:
        """The newest errors in the log that name a run or a content id."""
        names = {deployed: function for function, deployed in self._stack.names().items()}
        bad = [one for one in Log(self._stack, 0).new() if one["level"] != "INFO" and name in json.dumps(one)]
        for record in bad[-MOST:]:
            yield f"  {told(record, names, {})}"
            yield from (f"    {place}" for place in record.get("where", ())[-2:])


def _names(run: Mapping[str, Any], what: str) -> bool:
    return what in (run["run"], *(execution["name"] for execution in run["executions"]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="make why", description=__doc__)
    folder_option(parser)
    parser.add_argument("--what", required=True, help="a model, a run, an execution, or a part of a landed file's key")
    options = parser.parse_args()
    stack = attach(options.folder.resolve())
    if stack is None:
        print(f"no stack is running; `make up{given(options.folder)}` starts one", file=sys.stderr)
        return 1
    asked = Asked(stack)
    found = asked.why(options.what) if options.what else []
    if not found:
        print(f"nothing is called {options.what!r}: {asked.expected()}", file=sys.stderr)
        return 1
    print("\n".join(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
