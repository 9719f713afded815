"""The whole loop on this machine: put files, wait, read. Everything else is the deployed stack's work."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.stack import pulled, scenarios
from tests.stack.lake import Lake
from tests.stack.scenarios import Drop, Scenario
from tests.stack.stack import ROOT, Stack, StackError, attach, start
from tests.stack.summary import count_datasets, summarise, table
from tests.stack.up import given, write_environment

WAIT = 1_800  # seconds; a guard against a hang, not an expectation


class Progress:
    """A line per step, with its seconds."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}
        self._start = time.monotonic()

    @contextmanager
    def step(self, name: str, text: str) -> Iterator[None]:
        start = time.monotonic()
        with self.console.status(text):
            yield
        self.seconds[name] = round(time.monotonic() - start, 1)
        self.console.print(f"[green]✓[/] {text}  [dim]{self.seconds[name]:.1f} s[/]")

    def total(self) -> dict[str, float]:
        return {**self.seconds, "total": round(time.monotonic() - self._start, 1)}


def drop(stack: Stack, lake: Lake, drops: list[Drop], progress: Progress, name: str) -> None:
    """Put files and wait until each has its report and its rows are in Silver."""
    with progress.step(name, f"{len(drops)} files dropped, validated and promoted"):
        before = len(lake.keys("validation/"))
        bucket = stack.outputs["LandingBucket"]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda dropped: _put(stack, bucket, dropped), drops))
        stack.wait(lambda: len(lake.keys("validation/")) >= before + len(drops), WAIT, "a report per file")
        stack.wait_for_queues(WAIT)


def _put(stack: Stack, bucket: str, dropped: Drop) -> None:
    with dropped.path.open("rb") as body:
        stack.s3.put_object(Bucket=bucket, Key=dropped.key, Body=body)


def run(
    scenario: Scenario, stack: Stack, lake: Lake, progress: Progress
) -> tuple[dict[str, dict[str, int]], dict[str, Any]]:
    """Run the loop. Returns the counts of each dataset, and the receipt of the consumer's pull."""
    drop(stack, lake, scenario.history, progress, "history")
    if scenario.people:
        with progress.step("identity", "customers joined to persons and households"):
            stack.invoke("ResolveIdentities", {"slot": min(scored.as_of for scored in scenario.scored).isoformat()})
    for as_of in sorted({scored.as_of for scored in scenario.scored}):
        day = as_of.isoformat()
        models = [scored.model for scored in scenario.scored if scored.as_of == as_of]
        # the tick starts all models of a day at once; a line's seconds end when its model was seen to have ended
        stack.invoke("StartDueRuns", {"slot": day, "models": models})
        for model in models:
            with progress.step(f"train_{model}", f"{model} trained as of {day}"):
                stack.wait_for_execution("TrainModel", f"train-{model}-{day}", WAIT)
        for model in models:
            with progress.step(f"score_{model}", f"{model} scored as of {day}"):
                stack.wait_for_execution("ScorePopulation", f"score-{model}-{day}-batch", WAIT)
    with progress.step("drift", "drift checked"):
        stack.invoke("CheckDrift", {"slot": max(scored.as_of for scored in scenario.scored).isoformat()})
    if scenario.gap:
        drop(stack, lake, scenario.gap, progress, "gap_files")
    with progress.step("gap_fill", f"gaps filled for the pull of {scenario.gap_day}"):
        receipt = stack.run(
            "ScorePopulation",
            f"gap-{scenario.gap_model}-{scenario.gap_day}",
            {"model": scenario.gap_model, "as_of": scenario.gap_day.isoformat(), "scope": "gap"},
            WAIT,
        )
    if scenario.outcomes:
        drop(stack, lake, scenario.outcomes, progress, "outcomes")
    with ThreadPoolExecutor(1) as pool:
        # counted beside the matchback: all files are promoted, so neither waits for the other
        counting = pool.submit(count_datasets, scenario, lake)
        with progress.step("matchback", "outcomes matched to scores"):
            for known_by in sorted({scored.known_by for scored in scenario.scored}):
                stack.invoke("RunMatchback", {"slot": known_by.isoformat()})
        if scenario.manifest:
            with progress.step("audit", "features held against what the batches were scored on"):
                stack.invoke("AuditFeatures", {"slot": max(scored.known_by for scored in scenario.scored).isoformat()})
        return counting.result(), receipt


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--json", action="store_true", help="print the summary as JSON instead of a table")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the stack running as `make up` does, there")
    options = parser.parse_args()
    # a log or a pipe has no width of its own, and a table cut to 80 columns cannot be read
    console = Console(stderr=options.json, highlight=False, width=None if sys.stdout.isatty() else 140)
    progress = Progress(console)
    out = ROOT / "build/demo" / options.pack
    out.mkdir(parents=True, exist_ok=True)
    data = options.data.resolve() if options.data else None
    folder = options.keep.resolve() if options.keep else ROOT / f"build/stack/demo-{options.pack}"
    if options.keep and attach(folder):
        console.print(f"a stack is running in {options.keep}; `make down{given(options.keep)}` ends it")
        return 1
    try:
        with ThreadPoolExecutor(1) as pool:
            # the data and the stack do not need each other; if the data fails, the stack is ended too
            starting = pool.submit(start, options.pack, folder)
            try:
                with progress.step("data", "data made ready"):
                    scenario = scenarios.make(options.pack, data, out / "data")
                with progress.step("deploy", "stack deployed on this machine"):
                    stack = starting.result()
            except BaseException:
                starting.result().down()
                raise
        kept = False
        try:
            lake = Lake(stack, stack.folder / "tmp" / "lake")
            datasets, receipt = run(scenario, stack, lake, progress)
            with progress.step("backtest", f"{scenario.gap_model} backtested, so that its lists may leave"):
                report = pulled.backtest(scenario, stack, out / "backtest")
            if report["short_of"]:
                raise StackError(f"the backtest does not let lists leave: {report['short_of']}")
            with progress.step("pull", f"a list pulled as of {scenario.gap_day}"):
                listed = pulled.pull(scenario, stack, lake, out / "list")
            with progress.step("read", "scores and figures read from the lake"):
                summary = summarise(options.pack, scenario, lake, datasets, receipt, out)
            summary["list"] = {"receipt": listed.receipt, "opened": listed.opened}
            kept = options.keep is not None
        finally:
            if not kept:
                stack.down()
    except StackError as error:
        console.print(f"[red]failed[/]: {error}", markup=True, soft_wrap=True)
        return 1
    summary["seconds"] = progress.total()
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    if options.json:
        print(json.dumps(summary, indent=1))
    else:
        table(summary, console)
        pulled.show(report, listed, console)
        shown = out.relative_to(ROOT)
        files = f"summary: {shown}/summary.json; scores: {shown}/scores-*.parquet; cards: {shown}/card-*.html"
        console.print(f"\n{files}; list: {shown}/list", soft_wrap=True)
    if kept:
        environment = shlex.quote(os.path.relpath(write_environment(stack)))
        ends = f"make down{given(options.keep)} ends it"
        console.print(f"the stack answers on {stack.endpoint}: source {environment}; {ends}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
