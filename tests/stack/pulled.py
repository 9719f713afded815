"""The demo's pull: a list of one tenant by the command line, and its file in the programs that people open it with."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.stack.lake import Lake
from tests.stack.scenarios import Scenario, Scored
from tests.stack.stack import ROOT, Stack, StackError
from tests.stack.up import write_environment

DESTINATION, DECILE, HOLDOUT = "plain", 10, 0.1
SECONDS = 600
# Text - txt - csv: comma, double quote, UTF-8, from line 1, no column types, language en-US (so that 0.5 is a number)
_AS_CSV = "44,34,76,1,,1033"


@dataclass(frozen=True)
class Pulled:
    """What the command answered, and the rows of the file as each program reads them."""

    tenant: str
    answer: dict[str, Any]
    opened: dict[str, int | None] = field(default_factory=dict)

    @property
    def receipt(self) -> dict[str, Any]:
        receipt: dict[str, Any] = self.answer["receipt"]
        return receipt


def command(stack: Stack, *arguments: str) -> dict[str, Any]:
    """Run the command `propensity` against the stack, as a person in the checkout does; its JSON answer."""
    write_environment(stack)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "shared/src")}
    ran = [sys.executable, "-m", "propensity_cli", *arguments, "--folder", str(stack.folder), "--json"]
    done = subprocess.run(ran, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise StackError(f"propensity {' '.join(arguments)}: exit {done.returncode}: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)["answer"]
    return answer


def backtest(scenario: Scenario, stack: Stack, out: Path) -> dict[str, Any]:
    """Backtest the model that is pulled on the day of its batch, so that its lists may leave; the report.

    The version that the demo trained as of that day is the one that is judged. Nothing is trained again.
    """
    [scored] = [one for one in scenario.scored if one.model == scenario.gap_model]
    shutil.rmtree(out, ignore_errors=True)
    asked = ("--as-of", first_origin_day(scored).isoformat(), "--origins", "1")
    answer = command(stack, "backtest", scored.model, *asked, "--out", str(out), "--timeout", str(SECONDS))
    report: dict[str, Any] = answer["report"]
    return report


def first_origin_day(scored: Scored) -> date:
    """The first day for a backtest whose newest origin is the day of a batch: the same day of a later month."""
    day, months = scored.as_of, 0
    while day < scored.known_by:
        months += 1
        month = scored.as_of.month - 1 + months
        day = scored.as_of.replace(year=scored.as_of.year + month // 12, month=month % 12 + 1)
    return day


def pull(scenario: Scenario, stack: Stack, lake: Lake, out: Path) -> Pulled:
    """Pull the top decile of the tenant with most customers, with a holdout, into `out`, and open the file."""
    tenant = _largest(lake)
    shutil.rmtree(out, ignore_errors=True)
    answer = command(
        stack,
        *("export", tenant, "--model", scenario.gap_model, "--destination", DESTINATION),
        *("--decile", str(DECILE), "--holdout", str(HOLDOUT), "--as-of", scenario.gap_day.isoformat()),
        *("--out", str(out), "--timeout", str(SECONDS)),
    )
    files = [out / file["file"] for file in answer["files"]]
    opened: dict[str, int | None] = {}
    for program, reader in READERS.items():
        shown = [reader(path) for path in files]
        opened[program] = None if None in shown else sum(len(rows) for rows in shown if rows is not None)
        for path, rows in zip(files, shown, strict=True):
            if rows is not None and not same(rows, plainly(path)):
                raise StackError(f"{path.name}: {program} reads other rows than the file has")
    return Pulled(tenant, answer, opened)


def _largest(lake: Lake) -> str:
    """The tenant with most scored customers."""
    [(tenant,)] = lake.query(
        "select tenant_id from g group by 1 order by count(*) desc, 1 limit 1", g=lake.table_files("gold/scores")
    )
    return str(tenant)


Rows = list[list[str]]


def same(shown: Rows, written: Rows) -> bool:
    """Whether a program shows the rows that a file has. A number may lose the digits behind its fifteenth."""
    return len(shown) == len(written) and all(
        len(one) == len(other) and all(map(_alike, one, other)) for one, other in zip(shown, written, strict=True)
    )


def _alike(shown: str, written: str) -> bool:
    if shown == written:
        return True
    try:
        return not written.isdigit() and math.isclose(float(shown), float(written), rel_tol=1e-14)
    except ValueError:
        return False


def plainly(path: Path) -> Rows:
    """The rows of a CSV file without its header, by Python's own reader."""
    return list(csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline="")))[1:]


def in_pandas(path: Path) -> Rows:
    """The rows as pandas reads them; all as text, so that an id of digits stays as it is."""
    import pandas as pd

    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    return [[str(one) for one in row] for row in frame.itertuples(index=False)]


def in_libreoffice(path: Path) -> Rows | None:
    """The rows as LibreOffice Calc opens and saves them; None where it is not on this machine."""
    office = shutil.which("soffice")
    if office is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        profile = f"-env:UserInstallation=file://{folder}/profile"
        kept = f"csv:Text - txt - csv (StarCalc):{_AS_CSV},,false,false"  # cells as they are, not as they are shown
        made = [office, profile, "--headless", f"--infilter=Text - txt - csv (StarCalc):{_AS_CSV}"]
        done = subprocess.run(
            [*made, "--convert-to", kept, "--outdir", folder, str(path)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        saved = Path(folder) / path.name
        if done.returncode or not saved.exists():
            raise StackError(f"{path.name}: LibreOffice does not open it: {done.stderr[-1000:]}")
        return plainly(saved)


READERS: dict[str, Callable[[Path], Rows | None]] = {"pandas": in_pandas, "LibreOffice": in_libreoffice}


def show(report: dict[str, Any], pulled: Pulled, console: Console) -> None:
    """What let the lists leave, the list's receipt, and what opens its file."""
    difference, proof = report["proof"]["difference"], report["proof"]
    value, low, high = (f"{100 * difference[name]:.1f}" for name in ("value", "low", "high"))
    console.print(
        f"\n{report['model']}, backtest: of a hundred customers, {value} more convert in the three high deciles "
        f"than in the three low ones (95 %: {low}–{high}; {proof['positives']:,} conversions "
        "among them): its lists may leave",
        soft_wrap=True,
    )
    console.print(f"\nA list of {pulled.tenant} for people, by `propensity export`")
    console.print(_table(pulled.receipt))
    for program, rows in pulled.opened.items():
        told = "is not on this machine: not tried" if rows is None else f"opens the file, {rows:,} rows"
        console.print(f"{program} {told}")


def _table(receipt: dict[str, Any]) -> Table:
    """Every customer of the population by arm and reason, and the sum of the arms."""
    title = f"{receipt['model']} v{receipt['model_version']} for {receipt['destination']}, as of {receipt['as_of']}"
    table = Table("arm", "reason", "customers", title=title)
    for arm, customers in receipt["arms"].items():
        reasons = receipt["why"].get(arm, {})
        [only] = reasons if len(reasons) == 1 else [""]
        table.add_row(arm, only, f"{customers:,}")
        for reason, part in reasons.items() if len(reasons) > 1 else ():
            table.add_row("", reason, f"({part:,})")
    table.add_row("population", "", f"{sum(receipt['arms'].values()):,} of {receipt['population']:,}")
    return table
