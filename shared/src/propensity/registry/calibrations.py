"""The calibrations of a registered version: number 0 is its folder's, later ones lie beside it, none is rewritten."""

from __future__ import annotations

from typing import Any

from propensity.kernel.errors import NotFoundError
from propensity.lake.domain.run_names import batch_day
from propensity.lake.json_objects import dumps, read_json
from propensity.ports import ObjectStore
from propensity.registry.domain.ledger import calibration_key
from propensity.registry.versions import Version, newest_calibration
from propensity.stats.calibration import Calibration


def read_calibration(store: ObjectStore, version: Version, number: int) -> Calibration:
    """Raises NotFoundError for a number that is not there."""
    if number == 0:
        return Calibration.from_json(version.json(store, "calibration.json"))
    try:
        said = read_json(store, calibration_key(version.model, version.number, number))
    except NotFoundError as error:
        newest = newest_calibration(store, version.model, version.number)
        raise NotFoundError(
            f"model {version.model} version {version.number}: no calibration {number}; there are 0 to {newest}"
        ) from error
    return Calibration.from_json(said["calibration"])


def calibrated_on(store: ObjectStore, version: Version, number: int) -> tuple[str, ...]:
    """The as-of dates of the batches that a calibration was fitted on; none where it is the version's own."""
    if number == 0:
        return ()
    said = read_json(store, calibration_key(version.model, version.number, number))
    if "restores" in said:
        return calibrated_on(store, version, said["restores"])
    return tuple(batch_day(run).isoformat() for run in said["fitted_on"])


def add_calibration(store: ObjectStore, version: Version, number: int, said: dict[str, Any]) -> bool:
    """Put a calibration under the next number; False where somebody else did."""
    return store.put_new(calibration_key(version.model, version.number, number), dumps(said))
