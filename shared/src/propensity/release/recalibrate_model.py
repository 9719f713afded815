"""recalibrate_model: correct the probabilities of a registered version by what its customers did, without retraining.

Matchback writes for each batch how many rows had each raw probability and how many of them converted, without names. A
calibration is fitted on the older batches and compared with the present one on the newest batch. It is written only
where it is better there beyond chance (the 95 % interval of the gain lies above 0).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from propensity.kernel.callers import reason_given
from propensity.kernel.errors import BadInputError, ConflictError, EvidenceError, RetryableError
from propensity.lake.domain.run_names import batch_day
from propensity.ports import Ports
from propensity.registry.calibrations import CalibrationFile, HeldAgainst, add_calibration, read_calibration
from propensity.registry.versions import Version, load_champion, load_version, newest_calibration
from propensity.stats.calibration import FITS, Calibration
from propensity.stats.figures import Estimate, Scored, brier, calibration, log_loss, log_loss_gain, scored

FITTED_ON = 3  # the number of batches before the newest that are fitted on; older batches show a market that is gone


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The outcomes of one batch: its distinct raw probabilities, and the rows and positives of each, (n,)."""

    run: str
    raw: Any
    rows: Any
    positives: Any

    @property
    def day(self) -> date:
        return batch_day(self.run)

    def scored(self, by: Calibration) -> Scored:
        """Return the outcomes against the scores that a calibration gives."""
        return scored(
            zip(by.apply(self.raw).tolist(), self.rows.tolist(), self.positives.tolist(), strict=True), self.run
        )


def recalibrate_model(
    ports: Ports, model: str, *, by: str, why: object, at: str, version: object = None, restore: object = None
) -> dict[str, Any]:
    """Write the next calibration of a version, by default of the champion; returns the content of its file.

    `restore`: the number of an earlier calibration to use again, instead of fitting a new one. Raises BadInputError
    naming the field, EvidenceError where too few rows are matched, and ConflictError where a new calibration would not
    be better.
    """
    reason, store = reason_given(why, "record"), ports.lake
    number = _whole(version, "version")
    found = load_champion(store, model) if number is None else load_version(store, model, number)
    present = newest_calibration(store, model, found.number)
    restores = _whole(restore, "restore")
    if restores is not None:
        content: dict[str, Any] = {"calibration": read_calibration(store, found, restores).to_json()}
    else:
        content = _fitted(ports, found, read_calibration(store, found, present))
    file = CalibrationFile(
        model=model,
        version=found.number,
        number=present + 1,
        by=by,
        why=reason,
        at=at,
        restores=restores,
        **content,
    )
    if not add_calibration(store, found, file):
        raise RetryableError(f"model {model} version {found.number}: was recalibrated meanwhile; look and try again")
    ports.metrics.count("ModelRecalibrated", model=model)
    return file.to_json()


def _whole(value: object, field: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadInputError(f"{field}: expected a whole number, got {value!r}")
    return value


def _fitted(ports: Ports, version: Version, present: Calibration) -> dict[str, Any]:
    """Return the fields of a CalibrationFile with a new calibration, with the proof on the newest batch.

    The proof says how the new calibration and the present one do on the newest batch, after a fit without that batch.
    """
    spec = version.definition(ports.lake).model
    batches = matched(ports, version)
    newest, reach = batches[-1:], timedelta(days=spec.reach_days)
    # a fair proof is fitted on the outcomes that were known when the newest batch was scored
    older = [batch for batch in batches[:-1] if batch.day + reach <= batches[-1].day][-FITTED_ON:]
    what = f"model {version.model} version {version.number}"
    for part, purpose in ((older, "to fit on"), (newest, "to hold it against")):
        positives, rows = (sum(int(getattr(batch, name).sum()) for batch in part) for name in ("positives", "rows"))
        if min(positives, rows - positives) < spec.gates.min_positives:
            raise EvidenceError(
                f"{what}: {positives} of {rows} matched rows converted in {len(part)} batches {purpose}; expected "
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
    # the method is proven, so it is fitted again with the newest batch, which is most like the next scores
    made = _fit(best, batches[-FITTED_ON:])
    return {
        "calibration": made.to_json(),
        "fitted_on": [batch.run for batch in batches[-FITTED_ON:]],
        "held_against": HeldAgainst(run=last.run, fitted_on=[batch.run for batch in older]),
        "log_losses": losses,
        "before": _figures(last.scored(present)),
        "after": _figures(last.scored(tried[best])),
        "gain_log_loss": gained,
    }


def _fit(method: str, batches: Sequence[Outcomes]) -> Calibration:
    """Fit a calibration on some batches.

    Each raw probability goes in twice: weighted by its rows that converted, and by its rows that did not.
    """
    raw, rows, positives = (
        np.concatenate([getattr(batch, name) for batch in batches]) for name in ("raw", "rows", "positives")
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


def _figures(data: Scored) -> dict[str, Estimate]:
    slope, intercept = calibration(data)
    return {
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "brier": brier(data),
        "log_loss": log_loss(data),
    }


def matched(ports: Ports, version: Version) -> list[Outcomes]:
    """Return the outcomes of the version's matched batches, oldest first; of each batch those of its last matchback."""
    prefix = f"runs/score/{version.model}/"
    batch = f"-v{version.number:06d}-batch/outcomes/"
    newest: dict[str, str] = {}
    for key in ports.lake.keys(prefix):
        if batch in key:
            newest[key.split("/outcomes/")[0]] = key  # keys come in order of known_by, so the last key stays
    return [_read(ports, run, key) for run, key in sorted(newest.items())]


def _read(ports: Ports, run: str, key: str) -> Outcomes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes.parquet"
        ports.lake.download(key, path)
        columns = ports.frames.read(path)
    return Outcomes(run, columns["raw"], columns["rows"], columns["positives"])
