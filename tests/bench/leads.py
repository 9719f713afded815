"""Part of make bench AREA=train: a model of telephone sales, trained at the beginning of six months.

There are two windows. A monthly batch ranks the list of the origin's month. All calls from the origin to the data's end
are nearer to what "by hand" must have measured. The figure is 1 - AUC, as in retail.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from propensity.evaluation.calibrate import group
from propensity.pack.current import pack_definition
from propensity.registry.versions import load_version
from propensity.stats.calibration import Calibration, fit_sigmoid
from propensity.stats.figures import Estimate, calibration, ece
from propensity.training.data import read_training
from tests.bench.measure import Claim
from tests.bench.retail import paired
from tests.kit.world import World
from tests.stack import bank_marketing, scenarios
from tests.stack.stack import ROOT

DATA = ROOT.parent / "shared/data/bank_marketing"
MODEL = "subscribe"
ORIGINS = tuple(date(2009, month, 2) for month in range(5, 11))
LAST = date(2010, 11, 2)
GAIN = 0.01
SLOPE = (0.7, 1.4)
COLUMNS = ("ours", "by hand", "no month", "ours, on", "by hand, on", "no month, on")
# what a person fits first: every column that is known at the call, without the macro-economic ones
WORDS = (
    *("job", "marital", "education", "in_default", "housing_loan", "personal_loan", "contact", "weekday"),
    *("previous_outcome", "month_name"),
)
NUMBERS = ("age", "campaign_contacts", "days_since_contact", "previous_contacts")
CALLS = f"""
    select l.lead_id, l.listed_on, o.subscribed::integer,
        {", ".join(f"l.{name}" for name in WORDS[:-1])}, monthname(l.listed_on) as {WORDS[-1]},
        {", ".join(f"coalesce(l.{name}, 999)" for name in NUMBERS)}
    from (select distinct on (lead_id) * from leads) l join (select distinct on (lead_id) * from outcomes) o
    using (lead_id) order by l.lead_id"""


@dataclass(frozen=True)
class Calls:
    """All leads: number, first day of the month, whether they subscribed, columns as words and as numbers."""

    lead: Any
    month: Any
    label: Any
    words: Any
    numbers: Any


@dataclass(frozen=True)
class Origin:
    """A model trained at an origin: its scores of every lead, raw and as its version calibrates them."""

    day: date
    family: str
    promoted: bool
    raw: Any
    registered: Calibration


@dataclass(frozen=True)
class Figures:
    """1 - AUC of one origin's models on the list of its month, and (`onward`) on all lists from then on."""

    ours: float
    by_hand: float
    without_month: float
    ours_onward: float
    by_hand_onward: float
    no_month_onward: float


def claims(work: Path, runs: int) -> list[Claim]:
    """`runs` is not used: the origins are the repetitions."""
    world = load(work)
    calls = calls_of(world)
    matrix = matrix_of(world, calls)
    trained = [train(world, day, matrix) for day in track(ORIGINS, "trained")]
    found = [measure(calls, one) for one in trained]
    _print(calls, trained, found)
    own = [_calibrated(calls, one.registered, one.raw, one.day.replace(day=1)) for one in trained]
    again = [_recalibrated(calls, one) for one in trained]
    name = f"Bank Marketing, {MODEL}, 1 - AUC, mean of {len(ORIGINS)} origins"
    hard, soft = "logistic regression on all but the macro columns", "the same without the month's name"
    here, onward = [one.ours for one in found], [one.ours_onward for one in found]
    out = [
        *_against(f"{name}, the month's list, against {hard}", here, [one.by_hand for one in found]),
        *_against(f"{name}, the month's list, against {soft}", here, [one.without_month for one in found]),
        *_against(f"{name}, all lists from then on, against {hard}", onward, [one.by_hand_onward for one in found]),
        *_against(f"{name}, all lists from then on, against {soft}", onward, [one.no_month_onward for one in found]),
    ]
    out.append(_slope("as registered, each on its month's list", own))
    out.append(_slope("recalibrated on its first month's outcomes, each on the next list", again))
    return out


def load(work: Path) -> World:
    """A world with every month's list and outcomes in Silver."""
    if not (DATA / bank_marketing.ARCHIVE).exists():
        raise SystemExit(f"make bench AREA=train needs Bank Marketing in {DATA}; see README.md")
    scenario = scenarios.leads(DATA, work / "files", as_of=LAST)
    world = World("leads", work / "lake")
    world.load(scenario.drops)
    return world


def calls_of(world: World) -> Calls:
    rows = world.query(CALLS, leads="silver/leads", outcomes="silver/lead_outcomes")
    lead, month, label, *columns = zip(*rows, strict=True)
    words, numbers = columns[: len(WORDS)], columns[len(WORDS) :]
    return Calls(
        np.array(lead),
        np.array(month, dtype="datetime64[D]"),
        np.array(label),
        np.array(words, dtype=object).T,
        np.array(numbers, dtype=np.float64).T,
    )


def matrix_of(world: World, calls: Calls) -> Any:
    """The features of every lead as of its own month, in the order of the calls. One run makes them all."""
    day = LAST + timedelta(days=30)
    definition = pack_definition(world, MODEL)
    data = read_training(world, _feature_keys(world, day), definition, ("customer_id",))
    place = {lead: number for number, lead in enumerate(data.columns["customer_id"].tolist())}
    rows = [place.get(lead, -1) for lead in calls.lead.tolist()]
    matrix = np.full((len(rows), data.matrix.shape[1]), np.nan, dtype=np.float32)
    there = np.array(rows) >= 0
    matrix[there] = data.matrix[np.array(rows)[there]]
    late = calls.month >= np.datetime64(ORIGINS[0].replace(day=1))
    if not there[late].all() or (data.labels[np.array(rows)[there]] != calls.label[there]).any():
        raise SystemExit("tests.bench.leads: the features' leads or labels are not the file's")
    return matrix


def _feature_keys(world: World, day: date) -> list[str]:
    return world.feature_keys(world.prepare(MODEL, day.isoformat()))


def train(world: World, day: date, matrix: Any) -> Origin:
    done = world.train(MODEL, day.isoformat())
    version = load_version(world.lake, MODEL, done["version"])
    raw = world.scorer(version.onnx(world.lake)).predict(matrix)
    registered = Calibration.from_json(version.json(world.lake, "calibration.json"))
    return Origin(day, str(version.lineage["family"]), bool(done["promoted"]), raw, registered)


def measure(calls: Calls, one: Origin) -> Figures:
    month = np.datetime64(one.day.replace(day=1))
    before, here, onward = calls.month < month, calls.month == month, calls.month >= month
    by_hand, without_month = (_by_hand(calls, before, words) for words in (len(WORDS), len(WORDS) - 1))

    def wrong(scores: Any, rows: Any) -> float:
        return 1 - float(roc_auc_score(calls.label[rows], scores[rows]))

    return Figures(
        *(wrong(scores, rows) for rows in (here, onward) for scores in (one.raw, by_hand, without_month)),
    )


def _by_hand(calls: Calls, rows: Any, words: int) -> Any:
    """The scores of every lead by scikit-learn's plain logistic regression, fitted on the same months."""
    frame = np.column_stack([calls.words[:, :words], calls.numbers])
    made = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), list(range(words))),
            (StandardScaler(), list(range(words, frame.shape[1]))),
        ),
        LogisticRegression(max_iter=5000),
    )
    return made.fit(frame[rows], calls.label[rows]).predict_proba(frame)[:, 1]


def _against(claim: str, ours: Sequence[float], against: Sequence[float]) -> list[Claim]:
    """The ratio with its interval, and whether the gain is as large as it should be."""
    told = paired(claim, list(ours), list(against))
    enough = Claim.of(f"{claim}: its mean less {GAIN}", fmean(ours), fmean(against) - GAIN, 1.0, len(ours))
    return [told, enough]


@dataclass(frozen=True)
class Held:
    """The calibrated scores of one list, and its outcomes."""

    month: Any
    scores: Any
    labels: Any

    @property
    def slope(self) -> Estimate:
        return calibration(group(self.scores, self.labels))[0]

    @property
    def ece(self) -> float:
        return ece(group(self.scores, self.labels)).value


def _calibrated(calls: Calls, by: Calibration, raw: Any, month: Any) -> Held:
    rows = calls.month == np.datetime64(month)
    return Held(month, by.apply(raw[rows]), calls.label[rows])


def _recalibrated(calls: Calls, one: Origin) -> Held:
    """The same model one list later, its calibration fitted on the outcomes of its first list."""
    first = calls.month == np.datetime64(one.day.replace(day=1))
    later = np.unique(calls.month[calls.month > np.datetime64(one.day)])[0]
    return _calibrated(calls, fit_sigmoid(one.raw[first], calls.label[first]), one.raw, later)


def _slope(what: str, held: Sequence[Held]) -> Claim:
    """The claim on the slope, over all origins together: at most 1 where the slope is within its bounds."""
    data = group(np.concatenate([one.scores for one in held]), np.concatenate([one.labels for one in held]))
    slope = calibration(data)[0]
    each = ", ".join(f"{one.slope.value:.2f}" for one in held)
    outside = max(slope.value / SLOPE[1], SLOPE[0] / slope.value) if slope.value > 0 else float("inf")
    claim = f"Bank Marketing, {MODEL}, calibration slope {what}, as the part of {SLOPE[0]} to {SLOPE[1]} that it takes"
    told = f"{slope.value:.2f}, {slope.low:.2f} to {slope.high:.2f}; each {each}"
    return Claim.of(claim, outside, None, 1.0, len(held), told)


def _print(calls: Calls, trained: Sequence[Origin], found: Sequence[Figures]) -> None:
    table = Table(title=f"{MODEL}: AUC on the month's list and on all from then on; calibration slope (95 %) and ECE")
    for name in ("origin", "family", "rows", "positives", *COLUMNS, "slope", "ECE", "next", "slope", "ECE"):
        table.add_column(name, justify="right")
    for one, figures in zip(trained, found, strict=True):
        month = one.day.replace(day=1)
        here = calls.label[calls.month == np.datetime64(month)]
        own, again = _calibrated(calls, one.registered, one.raw, month), _recalibrated(calls, one)
        cells = [
            f"{month:%Y-%m}",
            one.family + ("" if one.promoted else " (not promoted)"),
            str(len(here)),
            str(here.sum()),
            *(f"{1 - value:.3f}" for value in vars(figures).values()),
        ]
        for held in (own, again):
            slope = held.slope
            cells += [f"{slope.value:.2f} ({slope.low:.2f}–{slope.high:.2f})", f"{held.ece:.3f}"]
        cells.insert(12, str(again.month)[:7])
        table.add_row(*cells)
    Console(width=200).print(table)
