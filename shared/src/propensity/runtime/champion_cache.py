"""Keeps each model's champion loaded between requests, and which tenants may be answered.

After some seconds the alias and the tenant's record are looked up again. Where a look-up fails, what is held is used
on: a function that holds a good champion answers by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic

from propensity.kernel.errors import ForbiddenError, NotFoundError
from propensity.pack.current import pack_info
from propensity.ports import Ports
from propensity.registry.versions import champion_number, newest_calibration
from propensity.serving.last_good_serving import LEDGER_UNREADABLE, champion_fault, last_good_serving
from propensity.serving.serve_scores import Serving, load_serving
from propensity.tenants.record_lines import refuse_unknown_or_gone

# a promotion, rollback or recalibration reaches every warm function within so many seconds
ALIAS_SECONDS = 10.0
# an offboarding reaches every warm function within so many seconds
TENANT_SECONDS = 60.0
_TENANTS = 10_000  # tenants that are remembered; with more, all are looked up again


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
        """The champion of a model, or what answers in its place. Raises NotFoundError where there never was one."""
        cached, now = self._cached.get(model), self._clock()
        if cached and now - cached.looked_up < self._seconds:
            return cached.serving
        serving = self._looked_up(ports, model, cached.serving if cached else None)
        self._cached[model] = _Cached(serving, now)
        return serving

    def _looked_up(self, ports: Ports, model: str, held: Serving | None) -> Serving:
        number: int | None = None
        fault = LEDGER_UNREADABLE  # a ledger never loses its lines, so one without a champion was not read whole
        try:
            number = champion_number(ports.lake, model)
            if number is not None:
                calibration = newest_calibration(ports.lake, model, number)
                if held and held.artifact and (held.number, held.artifact.calibration_number) == (number, calibration):
                    return replace(held, degraded=None) if held.degraded else held
                return load_serving(ports, model, number)
        except Exception as error:  # noqa: BLE001 - whatever failed, the champion that is held can answer
            ports.tell_fault("look the champion up", error, model=model)
            fault = champion_fault(ports, model, number, error)
        if held is None or held.artifact is None:
            return last_good_serving(ports, model)
        return replace(held, degraded=fault)


class Tenants:
    """Which tenants may be answered."""

    def __init__(self, clock: Callable[[], float] = monotonic, seconds: float = TENANT_SECONDS) -> None:
        self._clock = clock
        self._seconds = seconds
        self._served: dict[str, float] = {}

    def check(self, ports: Ports, tenant_id: str) -> None:
        """Raise NotFoundError for an unknown tenant, and ForbiddenError for one that is offboarded.

        Where the record cannot be read, the tenant is answered: the caller's IAM policy names the tenant, and a record
        that is out of reach is no offboarding.
        """
        now = self._clock()
        looked_up = self._served.get(tenant_id)
        if looked_up is not None and now - looked_up < self._seconds:
            return
        try:
            refuse_unknown_or_gone(ports.lake, tenant_id, pack_info(ports).datasets)
        except (NotFoundError, ForbiddenError):
            self._served.pop(tenant_id, None)
            raise
        except Exception as error:  # noqa: BLE001 - see above
            ports.tell_fault("look the tenant up", error, tenant_id=tenant_id)
            return
        if len(self._served) >= _TENANTS:
            self._served.clear()
        self._served[tenant_id] = now
