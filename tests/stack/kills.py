"""make soak AREA=stack: long runs on the deployed stack, in which processes of its functions are killed at work.

Each run drops files in waves. Meanwhile workers are killed at planned steps of their work, some while Silver is
compacted, and dead letters are redriven. When the queues have run dry, the lake is compared with the files.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from random import Random
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.stack.audit import Audit
from tests.stack.feed import START, Feed, Sent
from tests.stack.lake import Lake
from tests.stack.relay import STEPS, Kill, Relay
from tests.stack.stack import DEAD_LETTERS, ROOT, Stack, StackError, start

WAIT = 900  # seconds a run may take to drain; a guard against a hang, not an expectation
# how the event source tells of a batch in MiniStack's log
_DIED = re.compile(r"ESM: Lambda (\S+) failed processing SQS batch .*Worker process died")
_DONE = re.compile(r"ESM: Lambda (\S+) processed (\d+) SQS messages from \S+(?: \((\d+) partial failures\))?")
_SLOT = "2026-01-04"


def plan(random: Random, kills: int) -> list[Kill]:
    """Kills of the two functions of ingestion at all steps of their work, and two of a compaction of Silver."""
    made = []
    for number in range(kills):
        function = "ValidateUpload" if number % 2 else "PromoteSilver"
        steps = [step for step, _ in STEPS[function]]
        made.append(
            Kill(
                function,
                random.choice(steps),
                random.choice(("before", "after", "later")),
                skip=random.randint(0, 3),
                delay=random.choice((0.002, 0.01, 0.03, 0.1)),
            )
        )
    for _ in range(2):
        step = random.choice([step for step, _ in STEPS["MaintainTables"]])
        made.append(Kill("MaintainTables", step, random.choice(("before", "after"))))
    return made


class Soak:
    """A deployed stack over all runs: what was dropped into it, and what the audit found."""

    def __init__(self, stack: Stack, relay: Relay, *, seed: int, files: int, kills: int) -> None:
        self.stack, self.relay = stack, relay
        self.seed, self.files, self.kills = seed, files, kills
        self.lake = Lake(stack, stack.folder / "tmp" / "lake")
        self.audit = Audit(stack, self.lake)
        self.feed = Feed(seed)
        self.redriven: Counter[str] = Counter()
        self.events: list[str] = []

    def run(self, number: int, progress: Callable[[int], None]) -> dict[str, Any]:
        """One run; its figures. `progress` is called with how many of the run's files have their report."""
        random = Random(f"{self.seed}/{number}")  # noqa: S311 - a plan, not a secret
        log = self.stack.folder / "ministack.log"
        began, read_from = time.monotonic(), log.stat().st_size
        reports, arrivals = self.audit.reports(), len(self.audit.arrivals())
        # a message comes back after seconds instead of half an hour, and some runs give up at the first failure
        receives, hidden = (5, 1, 2)[number % 3], random.choice((4, 8))
        for queue in DEAD_LETTERS:
            self.stack.redelivery(queue, seconds=hidden, receives=receives)
        self.redriven.clear()
        self.relay.arm(plan(random, self.kills))
        sent = self.feed.files(number, self.files)
        arrived = again = 0

        def seen() -> int:
            there = self.audit.reports() - reports
            progress(there)
            return there

        with ThreadPoolExecutor(1) as pool:
            compaction: Future[Counter[str]] | None = None
            for wave in _waves(random, sent):
                for file in wave:
                    self._put(file)
                for event in random.sample(self.events, min(len(self.events), 2)):
                    self.stack.sqs.send_message(QueueUrl=self.stack.outputs["UploadQueue"], MessageBody=event)
                    again += 1
                arrived = len(self.audit.arrivals()) - arrivals
                self._until(lambda: seen() >= arrived and not self._waiting("UploadQueue"), "uploads to be validated")  # noqa: B023 - is called here
                if compaction is None and arrived > self.files // 3:
                    compaction = pool.submit(self._compact)
            self._until(lambda: not self._waiting(*DEAD_LETTERS), "the queues to run dry")
            compacted = compaction.result() if compaction else Counter()
        logged = _logged(log.read_bytes()[read_from:].decode(errors="replace"), self.relay.functions)
        span = self.feed.now - START
        moments = [(START + span * random.random()).strftime("%Y-%m-%d %H:%M:%S") for _ in range(2)]
        found = asdict(self.audit.look(moments))
        uploads = sum(logged[how]["ValidateUpload"] for how in ("done", "failed", "died"))
        died = logged["died"] + Counter(MaintainTables=compacted["died"])
        return {
            "run": number,
            "files": len(sent),
            "arrivals": arrived,
            "events_again": again,
            "max_receives": receives,
            "visibility_seconds": hidden,
            "kills": {name: count for name, count in sorted(died.items()) if count},
            "steps": Counter(f"{kill.function} {kill.moment} {kill.step}" for kill in self.relay.killed),
            # a lower bound: of a promotion that died only one message is counted, and its batch may have held several
            "redelivered": uploads - len(sent) + logged["failed"]["PromoteSilver"] + logged["died"]["PromoteSilver"],
            "redriven": dict(self.redriven),
            "compactions": compacted["done"],
            "errors": dict(logged["errors"]),
            "seconds": round(time.monotonic() - began, 1),
            "lake": found,
        }

    def _put(self, sent: Sent) -> None:
        bucket = self.stack.outputs["LandingBucket"]
        put = self.stack.s3.put_object(Bucket=bucket, Key=sent.key, Body=sent.body)
        landed = {"key": sent.key, "etag": put["ETag"].strip('"'), "version-id": put["VersionId"]}
        self.events.append(json.dumps({"detail": {"bucket": {"name": bucket}, "object": landed}}))

    def _waiting(self, *queues: str) -> int:
        return sum(self.stack.waiting(name) for queue in queues for name in (queue, DEAD_LETTERS[queue]))

    def _until(self, done: Callable[[], bool], what: str) -> None:
        """Poll until it is done. Meanwhile redrive dead letters as they come, as a person would on the alarm."""
        end = time.monotonic() + WAIT
        while not done():
            if time.monotonic() > end:
                raise StackError(f"gave up after {WAIT} s waiting for {what}\n{self.stack.log_tail()}")
            for queue, letters in DEAD_LETTERS.items():
                if self.stack.waiting(letters):
                    self.redriven[letters] += self.stack.redrive(queue)
            time.sleep(0.3)  # another process, asked over HTTP: nothing can wake this one

    def _compact(self) -> Counter[str]:
        """Compact Silver while it is written to, again until a compaction succeeds."""
        counts: Counter[str] = Counter()
        while not counts["done"]:
            try:
                self.stack.invoke("MaintainTables", {"slot": _SLOT})
                counts["done"] += 1
            except StackError as error:
                died = "Worker process died" in str(error)
                counts["died" if died else "refused"] += 1
                if counts.total() > 20:
                    raise
                if died:
                    self.lake.end_compactions()
        return counts


def _waves(random: Random, sent: list[Sent]) -> Iterator[list[Sent]]:
    """Files in waves without a key twice: MiniStack's events name no version, so nobody would read the first of two."""
    wave: list[Sent] = []
    size = random.randint(10, 40)
    for file in sent:
        if len(wave) == size or file.key in {other.key for other in wave}:
            yield wave
            wave, size = [], random.randint(10, 40)
        wave.append(file)
    yield wave


def _logged(log: str, functions: Mapping[str, str]) -> dict[str, Counter[str]]:
    """Per function the invocations that died, the messages done and the messages given back; and errors by class."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("died", "done", "failed", "errors")}
    for line in log.splitlines():
        if found := _DIED.search(line):
            counts["died"][functions[found[1]]] += 1
        elif found := _DONE.search(line):
            counts["done"][functions[found[1]]] += int(found[2])
            counts["failed"][functions[found[1]]] += int(found[3] or 0)
        elif line.startswith("{") and '"level":"ERROR"' in line:
            counts["errors"][str(json.loads(line).get("error"))] += 1
    return counts


def wrong(run: Mapping[str, Any]) -> list[str]:
    """What is wrong with a run, in sentences; empty where nothing is."""
    lake = run["lake"]
    why = [f"{name}: {count} differences" for name, count in lake["differences"].items() if count]
    if lake["rows_in"] != lake["bronze"] + lake["quarantine"]:
        why.append(f"{lake['rows_in']} rows in, {lake['bronze']} in Bronze + {lake['quarantine']} in quarantine")
    if not sum(run["kills"].values()):
        why.append("no kill hit a process at work")
    return why


def table(runs: list[dict[str, Any]], console: Console) -> None:
    shown = Table(title="Kills")
    for name in (
        "run",
        "files",
        "rows so far",
        "bronze",
        "quarantine",
        "silver, current",
        "kills",
        "again",
        "dead, redriven",
    ):
        shown.add_column(name, justify="right")
    shown.add_column("differences", justify="right")
    shown.add_column("s", justify="right")
    for run in runs:
        lake = run["lake"]
        shown.add_row(
            str(run["run"]),
            str(run["files"]),
            *(f"{lake[name]:,}" for name in ("rows_in", "bronze", "quarantine", "current")),
            str(sum(run["kills"].values())),
            str(run["redelivered"]),
            str(sum(run["redriven"].values())),
            str(sum(lake["differences"].values())),
            f"{run['seconds']:.0f}",
        )
    console.print(shown)


def soak(options: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = []
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    with Relay() as relay:
        with console.status("starting and deploying"):
            stack = start("automotive", ROOT / "build/stack/kills", parameters={"EndpointUrl": relay.endpoint})
        try:
            relay.serve(stack)
            whole = Soak(stack, relay, seed=options.seed, files=options.files, kills=options.kills)
            with bar:
                task = bar.add_task("", total=options.files)
                for number in range(1, options.runs + 1):
                    bar.reset(task, description=f"run {number} of {options.runs}")
                    runs.append(whole.run(number, partial(_advance, bar, task)))
                    _line(runs[-1], console)
        finally:
            stack.down()
    return runs


def _advance(bar: Progress, task: TaskID, done: int) -> None:
    bar.update(task, completed=done)


def _line(run: Mapping[str, Any], console: Console) -> None:
    kills = ", ".join(f"{name} {count}" for name, count in run["kills"].items())
    mark = "[red]✗[/]" if wrong(run) else "[green]✓[/]"
    console.print(
        f"{mark} run {run['run']}: {run['files']} files, {run['lake']['rows_in']:,} rows so far; "
        f"killed at work: {kills}; {run['redelivered']} delivered again, "
        f"{sum(run['redriven'].values())} redriven  [dim]{run['seconds']:.1f} s[/]"
    )
    for why in wrong(run):
        console.print(f"  {why}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak AREA=stack", description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=int, default=150, help="dropped in each run")
    parser.add_argument("--kills", type=int, default=30, help="planned in each run")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON instead of a table")
    options = parser.parse_args()
    console = Console(stderr=options.json, highlight=False, width=None if sys.stdout.isatty() else 140)
    try:
        runs = soak(options, console)
    except StackError as error:
        console.print(f"failed: {error}", markup=False, soft_wrap=True)
        return 1
    written = ROOT / "build/soak/stack.json"
    written.parent.mkdir(parents=True, exist_ok=True)
    figures = {"seed": options.seed, "runs": runs}
    written.write_text(json.dumps(figures, indent=1) + "\n")
    if options.json:
        print(json.dumps(figures, indent=1))
    else:
        table(runs, console)
    return 1 if any(wrong(run) for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
