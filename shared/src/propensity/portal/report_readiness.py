"""report_readiness: which model scores a tenant and why, which models the tenant could have, and from when.

The report also says what is missing for each such model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

from propensity.features.labels import mark_rows
from propensity.features.silver_session import SilverSession
from propensity.kernel.errors import ConflictError, OvertimeError
from propensity.lake.domain.run_names import parse_day
from propensity.lake.domain.run_records import BuildItem, ItemSource
from propensity.lake.json_objects import find_json
from propensity.lake.pins import Pins, pin_datasets, tenant_keys
from propensity.lake.silver_tables import datasets_used
from propensity.pack.current import pack_definition, pack_info
from propensity.pack.domain.definition import Definition
from propensity.pack.domain.model_spec import LadderSpec, ModelSpec
from propensity.portal.domain.readiness import project
from propensity.ports import Ports
from propensity.registry.domain.ladder import LADDER
from propensity.registry.versions import champion_number, load_version
from propensity.tenants.domain.record import check_tenant
from propensity.tenants.record_lines import closed_periods
from propensity.training.domain.schedule import next_training_due, training_dates
from propensity.training.domain.training_set import gone_within, silent_tenants

_READ = 256_000_000  # bytes of Silver that one answer reads per model at most, because a caller waits 29 seconds
_SECONDS = 20  # of the engine's work for one answer, over all models; the function has 29


def show_models(ports: Ports, *, tenant_id: str) -> dict[str, Any]:
    """Return per model of the pack the champion's version, and the tenant's rung with its reason and evidence."""
    tenant = check_tenant(tenant_id)
    return {"tenant_id": tenant, "models": [_standing(ports, model, tenant) for model in pack_info(ports).models]}


def _standing(ports: Ports, model: str, tenant: str) -> dict[str, Any]:
    number = champion_number(ports.lake, model)
    fields: dict[str, Any] = {"model": model, "version": number, "rung": None, "segment": None, "evidence": None}
    if number is None:
        return {**fields, "reason": "No champion yet: nobody is scored."}
    ladder = find_json(ports.lake, f"{load_version(ports.lake, model, number).folder}/{LADDER}")
    if ladder is None:
        return {**fields, "reason": f"Version {number} has one model for everyone."}
    found = ladder["tenants"].get(tenant)
    if found is None:
        return {
            **fields,
            "rung": "global",
            "reason": f"Not known when version {number} was trained; the global model answers until the next training.",
        }
    return {**fields, **{name: found[name] for name in ("rung", "segment", "evidence", "reason", "intercept", "rate")}}


def report_readiness(ports: Ports, *, tenant_id: str, day: str) -> dict[str, Any]:
    """Return per model the rung `today`, what is `missing`, and the tenant's `history` and `training` rows.

    The `training` rows are the rows that a training of the day takes; `left_out` counts the other rows by reason.
    `rungs` describes the rungs `intercept` and `own`. Each has the evidence that it `needs`, the evidence that the
    tenant `has`, and the day from which the tenant has enough. Raises BadInputError for a name that is no tenant's or a
    text that is no day, ConflictError where the tenant's files are too large, or take too long, for one answer.
    """
    tenant, today = check_tenant(tenant_id), parse_day(day, "day")
    names = pack_info(ports).models
    models = [_report(ports, pack_definition(ports, model), tenant, today, _SECONDS / len(names)) for model in names]
    return {"tenant_id": tenant, "day": today.isoformat(), "models": models}


class _TrainingDate(NamedTuple):
    """The tenant's rows that a training takes on one as-of date, and by reason the rows that it leaves out."""

    as_of: date
    rows: int
    positives: int
    left_out: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Found:
    """The data of a tenant in Silver.

    It has the rows per dataset, the day of the first event, the population today, the tenant's segment, and the rows
    and positives on each training date.
    """

    rows: dict[str, int]
    first: date | None
    population: int
    segment: str | None
    dates: tuple[_TrainingDate, ...]

    @property
    def filled(self) -> list[_TrainingDate]:
        """The training dates on which the tenant has rows."""
        return [day for day in self.dates if day.rows]


def _report(ports: Ports, definition: Definition, tenant: str, today: date, seconds: float) -> dict[str, Any]:
    model = definition.model
    try:
        found = _look(ports, definition, tenant, today, seconds)
    except OvertimeError:
        raise ConflictError(
            f"tenant {tenant}: to count its rows for model {model.name} takes more than {seconds:.0f} seconds of one "
            "answer; ask again, and if it stays so, spread the lake over more buckets (rebucket_silver)"
        ) from None
    rows, positives = sum(day.rows for day in found.dates), sum(day.positives for day in found.dates)
    due = _next_training(model, today)
    return {
        "model": model.name,
        "today": _today(_standing(ports, model.name, tenant), found),
        "population": found.population,
        "segment": found.segment,
        "datasets": found.rows,
        "history": {"first": found.first.isoformat() if found.first else None},
        "training": {
            "rows": rows,
            "positives": positives,
            "left_out": dict(_left_out(found)),
            "dates": [{**day._asdict(), "as_of": day.as_of.isoformat()} for day in found.dates],
            "next": due.isoformat(),
        },
        "missing": _missing(model, found),
        "rungs": [_intercept(model, found, today, due), _own(model, found, today, due)] if model.ladder else [],
    }


def _look(ports: Ports, definition: Definition, tenant: str, today: date, seconds: float) -> _Found:
    model = definition.model
    pins = pin_datasets(ports, datasets_used(definition, pack_info(ports).datasets))
    with ports.sql(seconds=seconds) as sql:
        sources = pins.sources([])
        for dataset, snapshot in pins.snapshots.items():
            keys = tenant_keys(ports, sql, snapshot, tenant)
            sources[dataset] = sources[dataset].model_copy(update={"keys": tuple(keys)})
        _check_size(pins, sources, tenant)
        session = SilverSession(sql, ports.lake, sources, definition, tenant=tenant)
        rows, first = {}, []
        for dataset, shape in pins.shapes.items():
            [(count, oldest)] = sql.rows(
                f"select count(*), min({shape.time_column})::date from silver.{dataset} "
                f"where {shape.time_column} < ?::timestamptz",
                [today.isoformat()],
            )
            rows[dataset] = int(count)
            first += [oldest] if shape.kind == "event" and oldest else []
        dates = []
        work = _training_of(ports, model, tenant, today)
        silent = silent_tenants(
            session.newest_events(today), until=today, silent_days=definition.model.censored.silent_days
        )
        for as_of in training_dates(model, today):
            session.cut(as_of)
            sql.execute("create or replace temp table features as select tenant_id, customer_id from population")
            mark_rows(session, model, work, as_of, today, "true")
            counted = sql.rows("select reason, count(*), sum(label) from marked group by reason order by reason")
            dates.append(_date(as_of, counted, gone=tenant in gone_within(model.label_window(as_of), silent)))
        session.cut(today)
        session.segments("segments")
        [(population,)] = sql.rows("select count(*) from population")
        segment = dict(sql.rows("select tenant_id, segment from segments")).get(tenant)
    return _Found(rows, min(first, default=None), int(population), segment, tuple(dates))


def _training_of(ports: Ports, model: ModelSpec, tenant: str, today: date) -> BuildItem:
    """Return the part of a training's work item, planned today, that decides which of the tenant's rows it takes."""
    closed = closed_periods(ports.lake)
    return BuildItem(
        model=model.name,
        definition="",
        as_of=(),
        known_by=today.isoformat(),
        outcomes_until=today.isoformat(),
        closed={tenant: closed[tenant]} if tenant in closed else {},
        sources={},
        buckets=(),
        bucket_count=1,
        partition_key="",
        scored=None,
        out="",
    )


def _date(as_of: date, counted: Sequence[tuple[Any, ...]], *, gone: bool) -> _TrainingDate:
    """Return the counts of a date. `counted` has (reason or None, rows, positives). Where `gone`, no row is taken."""
    rows = {reason: (int(count), int(positives)) for reason, count, positives in counted}
    kept, positives = rows.pop(None, (0, 0))
    left_out = {reason: count for reason, (count, _) in rows.items()}
    if gone and kept:
        return _TrainingDate(as_of, 0, 0, {**left_out, "tenant_silent": kept})
    return _TrainingDate(as_of, kept, positives, left_out)


def _check_size(pins: Pins, sources: Mapping[str, ItemSource], tenant: str) -> None:
    keys = {key for source in sources.values() for key in source.keys}
    size = sum(
        file.size
        for snapshot in pins.snapshots.values()
        for file in snapshot.files
        if f"{snapshot.root}/{file.path}" in keys
    )
    if size > _READ:
        raise ConflictError(
            f"tenant {tenant}: the files that hold its rows are {size // 1_000_000} MB, more than the "
            f"{_READ // 1_000_000} MB that are read for one answer; spread the lake over more buckets (rebucket_silver)"
        )


def _today(standing: dict[str, Any], found: _Found) -> dict[str, Any]:
    fields = {name: standing[name] for name in ("version", "rung", "reason")}
    if standing["version"] is None or found.population:
        return fields
    reason = "Nobody of it is in the population; its customers are answered with the rate of everyone in training."
    return {**fields, "rung": None, "reason": reason}


def _left_out(found: _Found) -> Counter[str]:
    """Return the rows that a training leaves out, by reason, over all training dates."""
    counts: Counter[str] = Counter()
    for day in found.dates:
        counts.update(day.left_out)
    return counts


def _missing(model: ModelSpec, found: _Found) -> list[str]:
    absent = [f"No row of {dataset} has arrived." for dataset, rows in sorted(found.rows.items()) if not rows]
    if left_out := _left_out(found):
        listed = ", ".join(f"{rows} {reason}" for reason, rows in sorted(left_out.items()))
        absent.append(f"A training of today leaves out {left_out.total()} rows: {listed}.")
    if found.filled or left_out:
        return absent
    wait = model.reach_days
    if found.first is None:
        return [*absent, f"No history: a first training row is {wait} days older than the training that takes it."]
    ripe = found.first + timedelta(days=wait + 1)
    return [*absent, f"History begins on {found.first}; its first training row is ripe on {ripe}, {wait} days later."]


def _intercept(model: ModelSpec, found: _Found, today: date, due: date) -> dict[str, Any]:
    """Return what rung `intercept` needs: rows on the dates that give its evidence.

    These dates are all validation dates but the oldest.
    """
    spec, judged = model.ladder or LadderSpec(), max(model.validation.folds - 1, 1)
    have = sum(day.rows for day in found.dates[-judged:])
    fields = {"rung": "intercept", "needs": spec.min_rows_intercept, "of": f"rows on {judged} dates", "has": have}
    if have >= spec.min_rows_intercept:
        return {**fields, **_day(due, None, None), "why": "The next training decides by its evidence."}
    if found.population * judged < spec.min_rows_intercept:
        why = f"{found.population} customers are too few: {judged} dates hold {found.population * judged} rows."
        return {**fields, **_day(None, None, None), "why": why}
    wait = model.reach_days
    ripe = _training_after(model, today + timedelta(days=wait + int((judged - 1) * _step(model))))
    return {**fields, **_day(ripe, None, None), "why": "When as many dates as that have ripened with its customers."}


def _own(model: ModelSpec, found: _Found, today: date, due: date) -> dict[str, Any]:
    """Return what rung `own` needs: positives on all training dates.

    On a date with fewer negatives than positives, the negatives count instead.
    """
    spec = model.ladder or LadderSpec()
    counts = [min(day.positives, day.rows - day.positives) for day in found.dates]
    have, filled = sum(counts), len(found.filled)
    of = "positives, or negatives where those are fewer"
    fields = {"rung": "own", "needs": spec.min_positives_own, "of": of, "has": have}
    if have >= spec.min_positives_own:
        return {**fields, **_day(due, None, None), "why": "The next training decides by its evidence."}
    seen = filled * _step(model)
    when = project(have, spec.min_positives_own, seen, today)
    most = have / filled * model.training.as_of_count if filled else 0.0
    if filled and most < spec.min_positives_own:
        why = (
            f"Never at this rate: a training sees {model.training.as_of_count} dates, which hold about {most:.0f} of "
            "them; until then an intercept or the segment's model."
        )
        return {**fields, **_day(None, when.low, None), "why": why}
    day = _training_after(model, when.day) if when.day else None
    why = f"At its rate of {have} in {seen:.0f} days." if have else "None seen yet: there is no rate to go by."
    return {**fields, **_day(day, when.low, when.high), "why": why}


def _day(day: date | None, low: date | None, high: date | None) -> dict[str, Any]:
    """Return the day of a training as `from`.

    `low` and `high` are the 95 % interval of the day with enough evidence.
    """
    days = {"from": day, "low": low, "high": high}
    return {name: value.isoformat() if value else None for name, value in days.items()}


def _step(model: ModelSpec) -> float:
    """Return the number of days from one training date to the next."""
    training = model.training
    return training.every_days or (training.every_months or 1) * 30.4375


def _next_training(model: ModelSpec, today: date) -> date:
    return _training_after(model, today + timedelta(days=1))


def _training_after(model: ModelSpec, day: date) -> date:
    """Return the first day of a training, this day or later."""
    return next_training_due(model.cadence, day)
