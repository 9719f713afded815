"""Whether a batch may be made visible: figures of each tenant against the limits of the model's YAML.

A tenant is judged by itself, because a pooled figure moves with the mix of tenants. Tenants with too few customers are
judged together, as one. A batch is stopped where more than half of those judged are beyond a limit: one tenant with
faulty data is named and stops nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import log
from statistics import median

from propensity.kernel.errors import BadInputError, SanityError
from propensity.kernel.spec import Record
from propensity.lake.domain.run_records import EarlierBatch, TenantTally
from propensity.pack.domain.model_spec import Sanity

SMALLER = "(smaller tenants)"  # no tenant has such a name
_MOST_NAMED = 20
_NEW_DRAW = 3.3  # deciles that a customer moves on average where the order is drawn anew: (10² - 1) / (3 x 10)


class Beyond(Record):
    """A tenant whose figure is beyond a limit, and its number of customers that the figure is of."""

    tenant: str
    value: float
    n: int


class SanityFigure(Record):
    """One figure of a batch.

    `pooled` is the figure over all `n` customers that it is of. `median` is that of the `judged` tenants, of which
    `beyond` are beyond the limit; the worst of them are `named`. Pooled and median are None where there was nothing to
    measure.
    """

    name: str
    limit: float
    pooled: float | None
    n: int
    median: float | None
    judged: int
    beyond: int
    named: tuple[Beyond, ...]

    @property
    def stops(self) -> bool:
        return 2 * self.beyond > self.judged

    def said(self) -> str:
        """The check in words, for the error that stops a run."""
        worst = ", ".join(f"{one.tenant} {one.value:.3g} (n {one.n})" for one in self.named[:3])
        return (
            f"{self.name} is {self.median:.3g} in the median, limit {self.limit:g}; {self.beyond} of {self.judged} "
            f"tenants are beyond it, the worst {worst}; all customers {self.pooled:.3g} (n {self.n})"
        )


class SanityReport(Record):
    """The content of `<run>/sanity.json`: what was looked at before a batch was made visible.

    `earlier` and `earlier_version` are the batch that it was compared with; None where there was none. `stopped` says
    which checks stop the batch.
    """

    run: str
    model: str
    version: int
    earlier: str | None
    earlier_version: int | None
    checks: tuple[SanityFigure, ...]
    stopped: tuple[str, ...]


class Forced(Record):
    """The content of `<run>/forced.json`: who made a batch visible in spite of its figures, and why."""

    by: str
    reason: str
    execution: str | None = None

    @staticmethod
    def parse(value: object, execution: str | None) -> Forced | None:
        """Parse the `force` of an execution's input. Raises BadInputError where it lacks who or why."""
        if value is None:
            return None
        told = value if isinstance(value, Mapping) else {}
        by, reason = told.get("by"), told.get("reason")
        if not (isinstance(by, str) and by.strip() and isinstance(reason, str) and reason.strip()):
            raise BadInputError('force: expected {"by": "<who>", "reason": "<why>"}, both as text')
        return Forced(by=by.strip(), reason=reason.strip(), execution=execution)


def sanity_key(run: str) -> str:
    return f"{run}/sanity.json"


def forced_key(run: str) -> str:
    return f"{run}/forced.json"


@dataclass(frozen=True, slots=True)
class _Measure:
    """A figure: over how many customers of a tally it is, and its value there."""

    name: str
    limit: float
    customers: Callable[[TenantTally], int]
    value: Callable[[TenantTally], float]


def judge(
    tallies: Mapping[str, TenantTally],
    limits: Sanity,
    *,
    run: str,
    model: str,
    version: int,
    features: int,
    earlier: EarlierBatch | None,
) -> SanityReport:
    """Return the report of a batch, from the counts of each tenant and the number of features."""
    measures = (
        _Measure("constant_share", limits.constant_share, lambda one: one.ranked, lambda one: one.tied / one.ranked),
        _Measure("unset_share", limits.unset_share, lambda one: one.rows, lambda one: one.unset / one.rows / features),
        _Measure(
            "unset_rise",
            limits.unset_rise,
            lambda one: one.kept,
            lambda one: (one.unset_now - one.unset_then) / one.kept / features,
        ),
        _Measure(
            "decile_churn", limits.decile_churn, lambda one: one.placed, lambda one: one.steps / one.placed / _NEW_DRAW
        ),
        _Measure(
            "mean_shift",
            limits.mean_shift,
            lambda one: one.both,
            lambda one: abs(_logit(one.score_now / one.both) - _logit(one.score_then / one.both)),
        ),
    )
    checks = tuple(_check(measure, tallies, limits.min_customers) for measure in measures)
    return SanityReport(
        run=run,
        model=model,
        version=version,
        earlier=earlier and earlier.run,
        earlier_version=earlier and earlier.version,
        checks=checks,
        stopped=tuple(check.said() for check in checks if check.stops),
    )


def refused(report: SanityReport) -> SanityError:
    """Return the error of a stopped batch, with its figures and what to do."""
    since = f" against {report.earlier} by version {report.earlier_version}" if report.earlier else ""
    return SanityError(
        f"model {report.model} version {report.version}: {report.run} is beyond the limits of sanity{since}: "
        f"{'; '.join(report.stopped)}. Nothing is published. Look at the data and the version; are the scores right, "
        'start ScorePopulation with the same input and "force": {"by": "<who>", "reason": "<why>"}'
    )


def _check(measure: _Measure, tallies: Mapping[str, TenantTally], least: int) -> SanityFigure:
    found = {tenant: tally for tenant, tally in tallies.items() if measure.customers(tally)}
    units = {tenant: tally for tenant, tally in found.items() if measure.customers(tally) >= least}
    rest = added(tally for tenant, tally in found.items() if tenant not in units)
    if measure.customers(rest) >= least:
        units[SMALLER] = rest
    everybody = added(found.values())
    figures = [
        Beyond(tenant=tenant, value=measure.value(tally), n=measure.customers(tally)) for tenant, tally in units.items()
    ]
    beyond = sorted((one for one in figures if one.value > measure.limit), key=lambda one: (-one.value, one.tenant))
    return SanityFigure(
        name=measure.name,
        limit=measure.limit,
        pooled=measure.value(everybody) if measure.customers(everybody) else None,
        n=measure.customers(everybody),
        median=median(one.value for one in figures) if figures else None,
        judged=len(figures),
        beyond=len(beyond),
        named=tuple(beyond[:_MOST_NAMED]),
    )


def added(tallies: Iterable[TenantTally]) -> TenantTally:
    """Return the sum of tallies."""
    listed = list(tallies)
    return TenantTally(**{name: sum(getattr(one, name) for one in listed) for name in TenantTally.model_fields})


def _logit(mean: float) -> float:
    inside = min(max(mean, 1e-9), 1 - 1e-9)
    return log(inside / (1 - inside))
