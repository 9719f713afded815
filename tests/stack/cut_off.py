"""make soak AREA=stack, second part: scoring runs and lists on the deployed stack, whose steps are killed or throttled.

In each round a batch is scored and a list is asked for, while faults hit their functions at planned requests. What
failed is started again with the same input, as a redrive does. Gold must hold each customer once for each run, or
nothing of the run; a list must add up, or hand out nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from datetime import date, timedelta
from random import Random
from typing import Any

from rich.console import Console

from tests.stack import demo, lists
from tests.stack.automotive import AS_OF, generate
from tests.stack.lake import Lake
from tests.stack.relay import STEPS, Kill, Moment, Relay
from tests.stack.stack import ROOT, Stack, StackError, start

MODEL, TENANT = "service", "dealer_01"
WAIT = 900  # seconds; a guard against a hang, not an expectation
SCORING = ("PlanScoring", "BuildFeatures", "ScoreShard", "RankRun", "LabelShard", "CommitRun", "PublishScores")
_TRIES = 12  # starts of one run or list
# more refusals in a row than boto3 asks again, so that a function gives up and is tried again by its workflow
_REFUSALS = 6


def fault(random: Random, function: str) -> Kill:
    """A fault of any kind at any step of a function."""
    moment: Moment = random.choice(("before", "after", "later", "throttled", "unanswered"))
    return Kill(
        function,
        random.choice([step for step, _ in STEPS[function]]),
        moment,
        skip=random.choice((0, 0, 1, 2)),
        delay=random.choice((0.002, 0.01, 0.03)),
        times=random.choice((1, _REFUSALS)) if moment == "throttled" else 1,
    )


class CutOff:
    """A deployed stack with a champion, over all rounds."""

    def __init__(self, stack: Stack, relay: Relay, *, seed: int) -> None:
        self.stack, self.relay, self.seed = stack, relay, seed
        self.lake = Lake(stack, stack.folder / "tmp" / "lake")
        self.wrong: list[str] = []
        self.starts: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()  # why executions ended
        self.names = stack.names()

    def prepare(self) -> None:
        """Bring two dealers' files to Silver, train a champion and score everybody."""
        made = generate(self.stack.folder / "tmp" / "data", dealers=2, customers=1_200, alike=True)
        self.gap = list(made.phases["gap"])
        quiet = demo.Progress(Console(quiet=True))
        demo.drop(self.stack, self.lake, made.phases["history"], quiet, "files")
        self.stack.run("TrainModel", "train", {"model": MODEL, "as_of": f"{AS_OF}", "then_score": False}, WAIT)
        # a version that becomes champion scores everybody
        self.stack.wait_for_execution("ScorePopulation", f"score-{MODEL}-{AS_OF}-batch-v1", WAIT)

    def round(self, number: int) -> dict[str, Any]:
        """One round; its figures."""
        random = Random(f"{self.seed}/{number}")  # noqa: S311 - a plan, not a secret
        began, day = time.monotonic(), AS_OF + timedelta(days=number)
        self.starts.clear()
        self.ended.clear()
        self.wrong.clear()
        hit: Counter[str] = Counter()
        if self.gap:
            demo.drop(self.stack, self.lake, [self.gap.pop()], demo.Progress(Console(quiet=True)), "files")
        self.relay.arm([fault(random, function) for function in random.sample(SCORING, 3)])
        with self.stack.expecting_errors():
            batch = self.score(f"round-{number}", day)
        hit.update(self.hits())
        chosen = [fault(random, "BuildExport") for _ in range(2)]
        self.relay.arm([*chosen, *(fault(random, function) for function in random.sample(SCORING, 2))])
        with self.stack.expecting_errors():
            listed = self.pull(random, number, day + timedelta(days=1), count=1 + number % 2)
        hit.update(self.hits())
        self.relay.arm([])
        return {
            "round": number,
            "faults": dict(sorted(hit.items())),
            "starts": dict(self.starts),
            "ended": dict(self.ended),
            "population": batch["population"],
            "lists": [sum(answer["receipt"]["arms"].values()) for answer in listed],
            "wrong": list(self.wrong),
            "seconds": round(time.monotonic() - began, 1),
        }

    def hits(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for kill, count in self.relay.killed.items():
            found[f"{kill.function} {kill.moment} {kill.step}"] += count
        return found

    def score(self, name: str, day: date) -> dict[str, Any]:
        """Score everybody as of a day, again until it is done; the receipt."""
        asked = {"model": MODEL, "as_of": f"{day}", "scope": "batch"}
        for number in range(_TRIES):
            self.starts["score"] += 1
            try:
                receipt = self.stack.run("ScorePopulation", f"{name}-{number}", asked, WAIT)
            except StackError as error:
                if "FAILED" not in str(error):
                    raise
                self.ended[str(error).partition("FAILED:")[2].splitlines()[0][:200].strip()] += 1
                self.look(day)
                continue
            self.look(day, receipt)
            return receipt
        raise StackError(f"{name}: {_TRIES} starts, and still not scored: {dict(self.ended)}, {self.hits()}")

    def look(self, day: date, receipt: dict[str, Any] | None = None) -> None:
        """Gold has nothing of the day's runs, or each customer once; with a receipt, as many as it says."""
        rows = self.lake.query(
            f"select run, count(*), count(distinct (tenant_id, customer_id)) from g where as_of = '{day}' group by run",
            g=self.lake.table_files("gold/scores"),
        )
        self.wrong += [
            f"{run}: {count} rows of {customers} customers" for run, count, customers in rows if count != customers
        ]
        [(doubled,)] = self.lake.query(
            "select count(*) from (select 1 from g group by tenant_id, customer_id, as_of, model_version "
            "having count(*) > 1)",
            g=self.lake.table_files("gold/scores"),
        )
        if doubled:
            self.wrong.append(f"{doubled} customers have two scores of one day by one version")
        if receipt is not None:
            counts = {run: count for run, count, _ in rows}
            if counts.get(receipt["run"], 0) != receipt["new"] or receipt["failed"]:
                self.wrong.append(f"{receipt['run']}: {counts.get(receipt['run'])} rows, the receipt has {receipt}")

    def pull(self, random: Random, number: int, day: date, count: int) -> list[dict[str, Any]]:
        """Ask for lists at once, and start what failed again until each is ready; the answers."""
        root = f"/v1/tenants/{TENANT}/exports"
        asked = {
            "model": MODEL,
            "destination": random.choice(("plain", "crm")),
            "filter": random.choice(({"top": 50}, {"deciles": [10, 9]}, {})),
            "holdout": 0.2,
            "as_of": f"{day}",
        }
        exports = []
        for _ in range(count):
            status, answer = self.stack.call("POST", root, asked)
            if status != 200:
                raise StackError(f"POST {root}: {status} {answer}")
            exports.append(answer["export"])
        return [self.ready(root, export, number) for export in exports]

    def ready(self, root: str, export: str, number: int) -> dict[str, Any]:
        states = self.stack.step_functions
        told: dict[str, Any] = {}
        arn = f"{self.stack.outputs['ExportList'].replace(':stateMachine:', ':execution:')}:export-{export}"
        payload = states.describe_execution(executionArn=arn)["input"]
        self.starts["list"] += 1
        for tried in range(_TRIES):
            end = time.monotonic() + WAIT
            while states.describe_execution(executionArn=arn)["status"] == "RUNNING":
                if time.monotonic() > end:
                    raise StackError(f"list {export} still runs after {WAIT} s\n{self.stack.log_tail()}")
                time.sleep(0.2)  # another process, asked over HTTP: nothing can wake this one
            told = self.stack.call("GET", f"{root}/{export}")[1]
            if told["state"] == "ready":
                self.adds_up(told)
                return told
            if "files" in told:
                self.wrong.append(f"list {export} is {told['state']} and hands out files")
            # MiniStack has no redrive. The gap run goes on first, and then the list, as by hand
            self.fill(json.loads(payload))
            self.starts["list"] += 1
            arn = states.start_execution(
                stateMachineArn=self.stack.outputs["ExportList"], name=f"again-{number}-{export}-{tried}", input=payload
            )["executionArn"]
        raise StackError(f"list {export}: {_TRIES} starts, and it is {told}\n{self.stack.log_tail()}")

    def fill(self, asked: dict[str, Any]) -> None:
        """Bring the gap run of a list to its end, call by call under the name that it has, as its redrive does."""
        name = f"gap-{asked['model']}-{asked['export']}"
        gap = {field: asked[field] for field in ("model", "as_of", "scope", "fresh_days")}
        gap["fresh_tenant"] = asked["tenant"]
        plan = self.insist("PlanScoring", {**gap, "request": name, "input": gap})
        items, run = [{"item": key} for key in self.lake.keys(f"{plan['run']}/items/")], {"run": plan["run"]}
        receipt: dict[str, Any] = {}
        for function in SCORING[1:]:
            if function in ("RankRun", "CommitRun"):
                receipt = self.insist(function, run)
            else:
                for item in items:
                    self.insist(function, item)
            if function == "CommitRun":
                self.look(date.fromisoformat(asked["as_of"]), receipt)

    def insist(self, function: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Call a function until it succeeds; its answer."""
        for _ in range(_TRIES):
            self.starts[function] += 1
            answer = self.stack.functions.invoke(FunctionName=self.names[function], Payload=json.dumps(payload))
            told: dict[str, Any] = json.loads(answer["Payload"].read() or b"null")
            if not answer.get("FunctionError"):
                return told
        raise StackError(f"{function}: {_TRIES} calls failed, the last: {told}\n{self.stack.log_tail()}")

    def adds_up(self, answer: dict[str, Any]) -> None:
        receipt = answer["receipt"]
        arms = dict(
            self.lake.query(
                f"select arm, count(distinct customer_id) from e where export = '{answer['export']}' group by arm",
                e=self.lake.table_files("gold/exports"),
            )
        )
        [(rows,)] = self.lake.query(
            f"select count(*) from e where export = '{answer['export']}'", e=self.lake.table_files("gold/exports")
        )
        told = {arm: count for arm, count in receipt["arms"].items() if count}
        if not sum(told.values()) == receipt["population"] == rows or arms != told:
            self.wrong.append(f"list {answer['export']}: {rows} rows in gold/exports as {arms}, the receipt has {told}")
        delta = receipt["mode"] == "delta"
        expected = receipt["added"] + receipt["removed"] if delta else told.get("exported", 0)
        if len(lists.rows(answer)) != expected:
            self.wrong.append(f"list {answer['export']}: {len(lists.rows(answer))} rows in its files, not {expected}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak AREA=stack", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="rounds")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    rounds: list[dict[str, Any]] = []
    try:
        with Relay() as relay:
            stack = start("automotive", ROOT / "build/stack/cut-off", parameters={"EndpointUrl": relay.endpoint})
            try:
                relay.serve(stack)
                whole = CutOff(stack, relay, seed=options.seed)
                whole.prepare()
                for number in range(1, options.runs + 1):
                    rounds.append(whole.round(number))
                    console.print(rounds[-1], soft_wrap=True)
            finally:
                stack.down()
    except StackError as error:
        console.print(f"failed: {error}", markup=False, soft_wrap=True)
        return 1
    written = ROOT / "build/soak/cut_off.json"
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(json.dumps({"seed": options.seed, "rounds": rounds}, indent=1) + "\n")
    hit = sum(count for one in rounds for count in one["faults"].values())
    console.print(f"{len(rounds)} rounds, {hit} faults hit, {sum(len(one['wrong']) for one in rounds)} wrong")
    return 1 if not hit or any(one["wrong"] for one in rounds) else 0


if __name__ == "__main__":
    sys.exit(main())
