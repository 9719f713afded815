"""What a demo drops and when: for each pack the files in phases, and the days of the daily tick."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tests.stack import bank_marketing

RETAIL = ("year_2009_2010.parquet", "year_2010_2011_by_day.tar.xz")
_PAGE = "docs/start/demo-data.md"

if TYPE_CHECKING:
    from tests.stack.automotive import Generated


@dataclass(frozen=True, slots=True)
class Drop:
    """A local file and its key in the landing bucket."""

    path: Path
    key: str

    @property
    def dataset(self) -> str:
        return self.key.split("/", 1)[0]


@dataclass(frozen=True, slots=True)
class Scored:
    """A model, the day as of which it is trained and scored, and the day by which its outcomes are known."""

    model: str
    as_of: date
    known_by: date


@dataclass(frozen=True, slots=True)
class Scenario:
    """Files in phases: `history` is dropped first, `gap` after the batch, `outcomes` before the matchback.

    The consumer pulls `gap_model` on `gap_day`. Where the data was generated, `truth` is a Parquet file of the true
    probabilities.
    """

    history: list[Drop]
    scored: list[Scored]
    gap_model: str
    gap_day: date
    gap: list[Drop] = field(default_factory=list)
    outcomes: list[Drop] = field(default_factory=list)
    truth: Path | None = None
    manifest: Path | None = None
    people: Path | None = None

    @property
    def drops(self) -> list[Drop]:
        return [*self.history, *self.gap, *self.outcomes]


def retail(data: Path, work: Path) -> Scenario:
    """Online Retail II: the first year as one Parquet file, the second as one CSV file a day."""
    work.mkdir(parents=True, exist_ok=True)
    with tarfile.open(data / "year_2010_2011_by_day.tar.xz") as archive:
        archive.extractall(work, filter="data")
    days = sorted((work / "by-day").glob("*.csv"))
    place = "invoice_lines/tenant_id=online-retail"
    return Scenario(
        history=[
            Drop(data / "year_2009_2010.parquet", f"{place}/year_2009_2010.parquet"),
            *(Drop(day, f"{place}/by-day/{day.name}") for day in days),
        ],
        scored=[
            Scored("purchase_90d", date(2011, 9, 1), date(2011, 11, 30)),
            Scored("purchase_30d", date(2011, 11, 1), date(2011, 12, 1)),
        ],
        gap_model="purchase_90d",
        gap_day=date(2011, 9, 15),
    )


def leads(data: Path, work: Path, *, as_of: date = date(2009, 5, 2)) -> Scenario:
    """Bank Marketing: a file of leads and one of outcomes for each month.

    The month of `as_of` is scored, and the next one pulled. Nothing of later months is dropped.
    """
    place = "tenant_id=bank"
    history, gap, outcomes = [], [], []
    scored = as_of.replace(day=1)
    pulled = (scored + timedelta(days=31)).replace(day=1)
    for month, listed, closed in bank_marketing.write(bank_marketing.calls(data), work):
        lead = Drop(listed, f"leads/{place}/{listed.name}")
        outcome = Drop(closed, f"lead_outcomes/{place}/{closed.name}")
        if month < scored:
            history += [lead, outcome]
        elif month == scored:
            history.append(lead)
            outcomes.append(outcome)
        elif month == pulled:
            gap.append(lead)
    return Scenario(
        history=history,
        scored=[Scored("subscribe", as_of, as_of + timedelta(days=30))],
        gap_model="subscribe",
        gap_day=pulled.replace(day=as_of.day),
        gap=gap,
        outcomes=outcomes,
    )


def automotive(work: Path, *, dealers: int = 25, customers: int = 40_000) -> Scenario:
    """Generated dealers: four years, then two weeks with new customers, then the outcomes of 90 days.

    Files that the same generator made in this folder for the same numbers are used again.
    """
    from tests.stack.automotive import AS_OF, GAP_DAY, KNOWN_BY, generate

    noted, of = work / "made.json", _generator(work, dealers, customers)
    made = _made_before(noted, of)
    if made is None:
        shutil.rmtree(work, ignore_errors=True)
        made = generate(work, dealers=dealers, customers=customers)
        # written last: a folder without it is half done
        noted.write_text(json.dumps({"of": of, "made": asdict(made)}, default=str))
    return Scenario(
        history=made.phases["history"],
        scored=[Scored("buy", AS_OF, KNOWN_BY), Scored("service", AS_OF, KNOWN_BY)],
        gap_model="buy",
        gap_day=GAP_DAY,
        gap=made.phases["gap"],
        outcomes=made.phases["outcomes"],
        truth=made.truth,
        manifest=made.manifest,
        people=made.people,
    )


def _generator(work: Path, *numbers: int) -> str:
    """Hash of all that the files and their paths depend on: folder, generator, numbers, numpy's version."""
    from tests.stack import automotive

    [folder] = automotive.__path__
    sources = [path.read_text() for path in sorted(Path(folder).glob("*.py"))]
    return hashlib.sha256(json.dumps([str(work), sources, numbers, version("numpy")]).encode()).hexdigest()


def _made_before(noted: Path, of: str) -> Generated | None:
    """The files that a folder's note lists; None where another generator made them, or one is gone."""
    from tests.stack.automotive import Generated

    if not noted.exists():
        return None
    note = json.loads(noted.read_text())
    if note["of"] != of:
        return None
    made = note["made"]
    phases = {
        phase: [Drop(Path(drop["path"]), drop["key"]) for drop in drops] for phase, drops in made["phases"].items()
    }
    found = Generated(phases, *(Path(made[name]) for name in ("manifest", "truth", "people")))
    paths = [found.manifest, found.truth, found.people, *(drop.path for drops in phases.values() for drop in drops)]
    return found if all(path.exists() for path in paths) else None


def _folder(pack: str, data: Path | None, files: Sequence[str], remedy: str) -> Path:
    """The folder with a pack's files. Ends the command, naming each file that the folder lacks."""
    if data is None:
        raise SystemExit(f"make demo PACK={pack} needs DATA=<folder> with {' and '.join(files)}; see {_PAGE}")
    lacking = [name for name in files if not (data / name).exists()]
    if lacking:
        raise SystemExit(f"DATA={data} lacks {' and '.join(lacking)}: {remedy.format(data=data)}; see {_PAGE}")
    return data


def make(pack: str, data: Path | None, work: Path) -> Scenario:
    if pack == "retail":
        make_them = "`make retail-data FOLDER={data}` makes them from UCI's workbooks"
        return retail(_folder(pack, data, RETAIL, make_them), work)
    if pack == "leads":
        return leads(_folder(pack, data, (bank_marketing.ARCHIVE,), "it is UCI 222 as it is"), work)
    if pack == "automotive":
        return automotive(work)
    raise SystemExit(f"PACK is {pack!r}, expected automotive, retail or leads")
