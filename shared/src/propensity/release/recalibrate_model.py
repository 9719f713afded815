"""recalibrate_model: a registered version's probabilities put right by what came of its scores, without retraining.

Matchback leaves raw probabilities and outcomes of each batch, counted by value and without a name. A calibration is
fitted on the older batches and held against the newest; it is written only where it is better there for certain.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from propensity.kernel.callers import reason_given
from propensity.kernel.errors import BadInputError, ConflictError, EvidenceError, RetryableError
from propensity.lake.domain.run_names import batch_day
from propensity.ports import ObjectStore, Ports
from propensity.registry.calibrations import add_calibration, read_calibration
from propensity.registry.versions import Version, load_champion, load_version, newest_calibration
from propensity.stats.calibration import FITS, Calibration
from propensity.stats.figures import Estimate, Scored, brier, calibration, log_loss, log_loss_gain, scored

FITTED_ON = 3  # of the batches before the newest: older ones tell of a market that is gone


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came of one batch: distinct raw probabilities, their rows and positives, (n,) each."""

    run: str
    raw: Any
    rows: Any
    positives: Any

    @property
    def day(self) -> date:
        return batch_day(self.run)

    def scored(self, by: Calibration) -> Scored:
        return scored(
            zip(by.apply(self.raw).tolist(), self.rows.tolist(), self.positives.tolist(), strict=True), self.run
        )


def recalibrate_model(
    ports: Ports, model: str, *, by: str, why: object, at: str, version: object = None, restore: object = None
) -> dict[str, Any]:
    """Write the next calibration of a version (the champion, if none is named); what was written.

    `restore`: the number of an earlier calibration to put in force again, instead of fitting one. Raises BadInputError
    naming the field, EvidenceError where too little is matched, ConflictError where a new one would not be better.
    """
    given, store = reason_given(why, "record"), ports.lake
    number = _whole(version, "version")
    held = load_champion(store, model) if number is None else load_version(store, model, number)
    present = newest_calibration(store, model, held.number)
    back = _whole(restore, "restore")
    if back is not None:
        found: dict[str, Any] = {"restores": back, "calibration": read_calibration(store, held, back).to_json()}
    else:
        found = {"restores": None, **_fitted(ports, held, read_calibration(store, held, present))}
    said = {"model": model, "version": held.number, "number": present + 1, "by": by, "why": given, "at": at, **found}
    if not add_calibration(store, held, present + 1, said):
        raise RetryableError(f"model {model} version {held.number}: was recalibrated meanwhile; look and try again")
    ports.metrics.count("ModelRecalibrated", model=model)
    return said


def _whole(value: object, field: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadInputError(f"{field}: expected a whole number, got {value!r}")
    return value


def _fitted(ports: Ports, version: Version, present: Calibration) -> dict[str, Any]:
    """The new calibration, and what it and the present one say of the newest batch, which the fit has not seen."""
    spec = version.definition(ports.lake).model
    batches = matched(ports, version)
    newest, reach = batches[-1:], timedelta(days=spec.reach_days)
    # as it would have been: fitted on what was known when the batch that it is held against was scored
    older = [one for one in batches[:-1] if one.day + reach <= batches[-1].day][-FITTED_ON:]
    what = f"model {version.model} version {version.number}"
    for part, told in ((older, "to fit on"), (newest, "to hold it against")):
        positives, rows = (sum(int(getattr(one, name).sum()) for one in part) for name in ("positives", "rows"))
        if min(positives, rows - positives) < spec.gates.min_positives:
            raise EvidenceError(
                f"{what}: {positives} of {rows} matched rows converted in {len(part)} batches {told}; expected "
                f"{spec.gates.min_positives} that did and as many that did not. Matchback adds a batch when its "
                f"window of {spec.horizon_days} days has closed; two at least are needed, the one to fit on "
                f"{spec.reach_days} days or more before the other"
            )
    last = newest[0]
    asked = spec.calibration.method
    tried = {name: _fit(name, older) for name in FITS if asked in ("auto", "none", name)}
    losses = {name: log_loss(last.scored(made)) for name, made in tried.items()}
    best = min(losses, key=lambda name: losses[name].value)
    gained = _gain(last, present, tried[best])
    if gained.low <= 0:
        raise ConflictError(
            f"{what}: the calibration in force stands; a new one ({best}) would lower the log loss of {last.run} by "
            f"{gained.value:.5f} (95 % {gained.low:.5f} to {gained.high:.5f}, n = {gained.n}), expected above 0"
        )
    # the method is chosen and proven; the newest batch is what the next scores will look like
    made = _fit(best, batches[-FITTED_ON:])
    return {
        "calibration": made.to_json(),
        "fitted_on": [one.run for one in batches[-FITTED_ON:]],
        "held_against": {"run": last.run, "fitted_on": [one.run for one in older]},
        "log_losses": {name: asdict(loss) for name, loss in losses.items()},
        "before": _figures(last.scored(present)),
        "after": _figures(last.scored(tried[best])),
        "gain_log_loss": asdict(gained),
    }


def _fit(method: str, batches: Sequence[Outcomes]) -> Calibration:
    """Each distinct raw probability twice: its rows that converted, and those that did not, as weights."""
    raw, rows, positives = (
        np.concatenate([getattr(one, name) for one in batches]) for name in ("raw", "rows", "positives")
    )
    labels = np.repeat(np.array([1, 0], dtype=np.int8), len(raw))
    weights = np.concatenate([positives, rows - positives]).astype(np.float64)
    there = weights > 0
    made = FITS[method](np.tile(raw, 2)[there], labels[there], weights[there])
    return replace(made, rows=int(rows.sum()), positives=int(positives.sum()))


def _gain(batch: Outcomes, present: Calibration, new: Calibration) -> Estimate:
    return log_loss_gain(
        zip(
            present.apply(batch.raw).tolist(),
            new.apply(batch.raw).tolist(),
            batch.rows.tolist(),
            batch.positives.tolist(),
            strict=True,
        )
    )


def _figures(data: Scored) -> dict[str, Any]:
    slope, intercept = calibration(data)
    figures = {"calibration_slope": slope, "calibration_intercept": intercept, "brier": brier(data)}
    return {name: asdict(figure) for name, figure in {**figures, "log_loss": log_loss(data)}.items()}


def matched(ports: Ports, version: Version) -> list[Outcomes]:
    """The outcomes of the version's matched batches, oldest first, as known at their last matching."""
    prefix = f"runs/score/{version.model}/"
    batch = f"-v{version.number:06d}-batch/outcomes/"
    newest: dict[str, str] = {}
    for key in ports.lake.keys(prefix):
        if batch in key:
            newest[key.split("/outcomes/")[0]] = key  # in order of the day by which they were known
    return [_read(ports, run, key) for run, key in sorted(newest.items())]


def _read(ports: Ports, run: str, key: str) -> Outcomes:
    store: ObjectStore = ports.lake
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes.parquet"
        store.download(key, path)
        columns = ports.frames.read(path)
    return Outcomes(run, columns["raw"], columns["rows"], columns["positives"])
