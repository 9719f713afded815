"""Keeps each model's champion loaded between requests. After some seconds it looks up the alias again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from propensity.kernel.errors import NotFoundError
from propensity.pack.current import pack_info
from propensity.ports import Ports
from propensity.registry.versions import champion_number, newest_calibration, open_training, why_no_champion
from propensity.serving.serve_scores import Serving, load_serving

# a promotion, rollback or recalibration reaches every warm function within so many seconds
ALIAS_SECONDS = 10.0


@dataclass(slots=True)
class _Cached:
    serving: Serving
    looked_up: float


class Champions:
    """The serving champion of each model.

    A champion is loaded again only when its alias has moved, or on a recalibration.
    """

    def __init__(self, clock: Callable[[], float] = monotonic, seconds: float = ALIAS_SECONDS) -> None:
        self._clock = clock
        self._seconds = seconds
        self._cached: dict[str, _Cached] = {}

    def get(self, ports: Ports, model: str) -> Serving:
        """The champion of a model. Raises NotFoundError for a model without a champion."""
        cached, now = self._cached.get(model), self._clock()
        if cached and now - cached.looked_up < self._seconds:
            return cached.serving
        number = champion_number(ports.lake, model)
        if number is None:
            raise NotFoundError(_why(ports, model))
        calibration = newest_calibration(ports.lake, model, number)
        serving = cached.serving if cached else None
        if serving is None or (serving.number, serving.artifact.calibration_number) != (number, calibration):
            serving = load_serving(ports, model, number)
        self._cached[model] = _Cached(serving, now)
        return serving


def _why(ports: Ports, model: str) -> str:
    """Why nobody can be scored: no champion, because of which gates, and which training has begun."""
    if model not in pack_info(ports).models:
        return f"model {model!r}: no champion; expected a model of the pack, {', '.join(pack_info(ports).models)}"
    said, run = why_no_champion(ports.lake, model), open_training(ports.lake, model)
    begun = f"; {run} has begun and registered no version yet" if run else ""
    return f"{said}{begun}; GET /v1/runs/{model} lists its runs"
