"""make soak AREA=map: a scoring run of 1,200 work items on the deployed stack, whose receipt must add up.

The pack `retail` is spread by customer, so that each bucket is a work item once a planner gives a worker one row. The
settings are the product's own: the parameter RowsPerItem, and RebucketSilver.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import time
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from rich.console import Console

from tests.stack import approvers
from tests.stack.lake import Lake
from tests.stack.stack import ROOT, Stack, StackError, start

MODEL, TENANT = "purchase_30d", "web_shop"
BEGIN, DAY = date(2023, 6, 1), date(2025, 6, 1)
WAIT = 3_600  # seconds; a guard against a hang, not an expectation
STEPS = ("build_features", "score_shard", "label_shard", "publish_scores")


def invoices(customers: int, seed: int) -> bytes:
    """A file of invoice lines. Each customer buys at a rate of their own, so that there is something to learn."""
    random = Random(seed)  # noqa: S311 - test data, not secrets
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(
        ("invoice", "stock_code", "description", "quantity", "invoiced_at", "unit_price", "customer_id", "country")
    )
    number = 100_000
    for customer in range(10_000, 10_000 + customers):
        gap = random.lognormvariate(4.2, 1.0)
        at = datetime(BEGIN.year, BEGIN.month, BEGIN.day, 9) + timedelta(days=random.expovariate(1 / gap))  # noqa: DTZ001 - the file says UTC without a zone
        at += timedelta(days=random.randrange(300))
        while at.date() < DAY:
            number += 1
            price = random.randrange(100, 3_000) / 100
            lines.writerow((number, "22423", "CAKESTAND", random.randint(1, 12), at, price, customer, "France"))
            at += timedelta(days=1 + random.expovariate(1 / gap))
        # everybody bought once, so that everybody is in the population
        number += 1
        first = datetime(BEGIN.year, BEGIN.month, BEGIN.day, 8)  # noqa: DTZ001 - as above
        lines.writerow((number, "21733", "HEART", 1, first, 2.55, customer, "France"))
    return text.getvalue().encode()


def promote(stack: Stack) -> None:
    """Let two people approve version 1 where its gates held it back: this run is about the map, not the model."""
    if stack.call("GET", f"/v1/models/{MODEL}")[1].get("champion"):
        # a version that becomes champion scores everybody, before the buckets are many
        stack.wait_for_execution("ScorePopulation", f"score-{MODEL}-{DAY}-batch-v1", WAIT)
        return
    for role, person in zip(approvers.ROLES.values(), ("ann", "bob"), strict=True):
        credentials = approvers.assume(stack.client("sts"), role, person)
        status, told = stack.call(
            "POST", f"/v1/models/{MODEL}/approvals", {"version": 1, "why": "a map"}, credentials=credentials
        )
        if status != 200:
            raise StackError(f"approval by {person}: {status} {told}")


def measure(stack: Stack, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Train, spread Silver over the buckets, score; the figures."""
    lake, seconds = Lake(stack, stack.folder / "tmp" / "lake"), {}

    def timed(name: str, began: float) -> None:
        seconds[name] = round(time.monotonic() - began, 1)
        console.print(f"{name} [dim]{seconds[name]:.1f} s[/]")

    began = time.monotonic()
    stack.s3.put_object(
        Bucket=stack.outputs["LandingBucket"],
        Key=f"invoice_lines/tenant_id={TENANT}/all.csv",
        Body=invoices(options.customers, options.seed),
    )
    stack.wait(lambda: bool(lake.keys("validation/")), WAIT, "the report of the file")
    stack.wait_for_queues(WAIT)
    timed("file in Silver", began)
    began = time.monotonic()
    stack.run("TrainModel", "train", {"model": MODEL, "as_of": f"{DAY}", "then_score": False}, WAIT)
    promote(stack)
    timed("trained", began)
    began = time.monotonic()
    stack.invoke("RebucketSilver", {"buckets": options.buckets})
    timed("spread over the buckets", began)
    began = time.monotonic()
    receipt = stack.run(
        "ScorePopulation", "wide", {"model": MODEL, "as_of": f"{DAY + timedelta(days=1)}", "scope": "batch"}, WAIT
    )
    timed("scored", began)
    items = len(lake.json(receipt["items"]))
    results = {step: len(lake.keys(f"{receipt['run']}/results/{step}/")) for step in STEPS}
    [gold] = lake.query(
        "select count(*), count(distinct (tenant_id, customer_id)) from g where run = '" + receipt["run"] + "'",
        g=lake.table_files("gold/scores"),
    )
    return {
        "items": items,
        "results": results,
        "receipt": receipt,
        "gold_rows": gold[0],
        "gold_customers": gold[1],
        "seconds": seconds,
        "seconds_per_item": round(seconds["scored"] / max(items, 1), 3),
    }


def wrong(found: dict[str, Any], least: int) -> list[str]:
    """What is wrong with a run, in sentences; empty where nothing is."""
    receipt, why = found["receipt"], []
    if found["items"] < least:
        why.append(f"{found['items']} work items, expected at least {least}")
    why += [f"{step}: {count} results" for step, count in found["results"].items() if count != found["items"]]
    if receipt["population"] != receipt["had"] + receipt["new"] + receipt["failed"] or receipt["failed"]:
        why.append(f"the receipt does not add up: {receipt}")
    if not found["gold_rows"] == found["gold_customers"] == receipt["new"] > 0:
        why.append(
            f"{found['gold_rows']} rows of {found['gold_customers']} customers, the receipt has {receipt['new']}"
        )
    return why


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak AREA=map", description=__doc__)
    parser.add_argument("--customers", type=int, default=4_000)
    parser.add_argument("--buckets", type=int, default=1_300)
    parser.add_argument("--least", type=int, default=1_200, help="work items that the run must have")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    stack = None
    try:
        stack = start("retail", ROOT / "build/stack/map", parameters={"RowsPerItem": "1"})
        found = measure(stack, options, console)
    except StackError as error:
        console.print(f"failed: {error}", markup=False, soft_wrap=True)
        return 1
    finally:
        if stack is not None:
            stack.down()
    written = ROOT / "build/soak/map.json"
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(json.dumps(found, indent=1) + "\n")
    console.print_json(json.dumps(found))
    faults = wrong(found, options.least)
    for why in faults:
        console.print(f"  {why}", markup=False)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
