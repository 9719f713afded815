"""The calibrations of a registered version: number 0 is its folder's, later ones lie beside it, none is rewritten."""

from __future__ import annotations

from typing import Any

from propensity.domain.calibration import Calibration
from propensity.domain.errors import NotFoundError
from propensity.domain.registry import calibration_key
from propensity.ports import ObjectStore
from propensity.usecases.registry import Version, newest_calibration
from propensity.usecases.run_files import dumps, read_json


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


def add_calibration(store: ObjectStore, version: Version, number: int, said: dict[str, Any]) -> bool:
    """Put a calibration under the next number; False where somebody else did."""
    return store.put_new(calibration_key(version.model, version.number, number), dumps(said))
