"""Keeps the champion at hand between requests, and asks for the alias again after a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from propensity.kernel.errors import NotFoundError
from propensity.ports import Ports
from propensity.registry.versions import champion_number, newest_calibration
from propensity.serving.serve_scores import Serving, load_serving

# a promotion, rollback or recalibration reaches every warm function within so many seconds
ALIAS_SECONDS = 10.0


@dataclass(slots=True)
class _Held:
    serving: Serving
    asked: float


class Champions:
    """One serving champion per model; the artifact is loaded only when the alias has moved, or was recalibrated."""

    def __init__(self, clock: Callable[[], float] = monotonic, seconds: float = ALIAS_SECONDS) -> None:
        self._clock = clock
        self._seconds = seconds
        self._held: dict[str, _Held] = {}

    def get(self, ports: Ports, model: str) -> Serving:
        """Raises NotFoundError for a model without a champion."""
        held, now = self._held.get(model), self._clock()
        if held and now - held.asked < self._seconds:
            return held.serving
        number = champion_number(ports.lake, model)
        if number is None:
            raise NotFoundError(f"model {model!r}: no champion; train it, or promote a version")
        calibration = newest_calibration(ports.lake, model, number)
        serving = held.serving if held else None
        if serving is None or (serving.number, serving.artifact.calibration_number) != (number, calibration):
            serving = load_serving(ports, model, number)
        self._held[model] = _Held(serving, now)
        return serving
