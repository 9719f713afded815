"""The calibrations of a registered version.

Calibration number 0 lies in the version's folder. Each later calibration is a file beside the folder, and no file is
ever rewritten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from propensity.kernel.errors import ConflictError, NotFoundError
from propensity.kernel.spec import Record
from propensity.lake.domain.run_names import batch_day
from propensity.lake.json_objects import dumps, read_record
from propensity.ports import ObjectReader, ObjectStore
from propensity.registry.domain.ledger import calibration_key
from propensity.registry.versions import Version, newest_calibration
from propensity.stats.calibration import Calibration
from propensity.stats.figures import Estimate


class HeldAgainst(Record):
    """The batch run that a new calibration was proven on, and the older batch runs that it was fitted on for that."""

    run: str
    fitted_on: Sequence[str]


class CalibrationFile(Record):
    """A later calibration of a version: the calibration itself, who asked for it, when and why, and its proof.

    `restores` is the number of the earlier calibration that this one repeats; it is None for a newly fitted
    calibration. Only a newly fitted calibration has the fields behind `calibration`. They are the batch runs that it
    was fitted on, the log loss of each method that was tried, the figures of the newest batch before and after, and by
    how much the log loss fell.
    """

    model: str
    version: int
    number: int
    by: str
    why: str
    at: str
    restores: int | None = None
    calibration: Mapping[str, Any]
    fitted_on: Sequence[str] | None = None
    held_against: HeldAgainst | None = None
    log_losses: Mapping[str, Estimate] | None = None
    before: Mapping[str, Estimate] | None = None
    after: Mapping[str, Estimate] | None = None
    gain_log_loss: Estimate | None = None

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


def read_calibration(store: ObjectReader, version: Version, number: int) -> Calibration:
    """Read the calibration with this number. Raises NotFoundError where the version has no such number."""
    if number == 0:
        return Calibration.from_json(version.json(store, "calibration.json"))
    try:
        return Calibration.from_json(_read(store, version, number).calibration)
    except NotFoundError as error:
        newest = newest_calibration(store, version.model, version.number)
        raise NotFoundError(
            f"model {version.model} version {version.number}: no calibration {number}; there are 0 to {newest}"
        ) from error


def calibrated_on(store: ObjectStore, version: Version, number: int) -> tuple[str, ...]:
    """Return the as-of dates of the batches that a calibration was fitted on; number 0, the version's own, has none."""
    if number == 0:
        return ()
    file = _read(store, version, number)
    if file.restores is not None:
        return calibrated_on(store, version, file.restores)
    if file.fitted_on is None:
        key = calibration_key(version.model, version.number, number)
        raise ConflictError(f"{key}: says neither what it restores nor what it was fitted on; restore the object")
    return tuple(batch_day(run).isoformat() for run in file.fitted_on)


def add_calibration(store: ObjectStore, version: Version, file: CalibrationFile) -> bool:
    """Write a calibration under its number. Return False where another process has taken the number."""
    return store.put_new(calibration_key(version.model, version.number, file.number), dumps(file.to_json()))


def _read(store: ObjectReader, version: Version, number: int) -> CalibrationFile:
    return read_record(store, calibration_key(version.model, version.number, number), CalibrationFile)
