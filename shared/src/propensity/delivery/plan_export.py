"""plan_export: say before a list is asked for what it can bring, and which holdout would prove it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from math import ceil
from typing import Any

from propensity.delivery.domain.request import MOST_HOLDOUT
from propensity.delivery.known_tenant import known_tenant
from propensity.kernel.errors import BadInputError, ConflictError, EvidenceError, OvertimeError
from propensity.kernel.sql_text import read_files, text
from propensity.lake.gold_tables import SCORES, score_file_day
from propensity.lake.pins import score_files
from propensity.lake.session import download
from propensity.pack.current import pack_info
from propensity.ports import DataFile, Ports, Sql
from propensity.registry.batches import last_batch
from propensity.registry.versions import Version, load_champion
from propensity.stats.holdout_size import (
    FEWEST,
    MOST_LIFT,
    POWER,
    SIZE,
    Chances,
    conversions,
    least_lift,
    least_share,
    power,
    together,
)

_READ = 256_000_000  # bytes of gold/scores that one answer reads at most, because a caller waits 29 seconds
_SECONDS = 20.0
_UNRANKED = 0  # stands for the customers without a decile


@dataclass(frozen=True, slots=True)
class PlanQuestion:
    """What is asked: a model, the deciles that would be contacted, a lift to see, and a share to hold back.

    `lift` is the rate of the contacted over that of the held back. Empty `deciles` are all customers.
    """

    model: str
    deciles: tuple[int, ...]
    lift: float
    share: float

    @staticmethod
    def parse(query: Mapping[str, str], models: Sequence[str]) -> PlanQuestion:
        """Read the question from the query of an address. Raises BadInputError naming the parameter."""
        model = query.get("model")
        if model not in models:
            raise BadInputError(f"model: expected one of {', '.join(models)}")
        deciles = query.get("deciles")
        if deciles is not None and not re.fullmatch(r"(10|[1-9])(,(10|[1-9])){0,9}", deciles):
            raise BadInputError("deciles: expected numbers from 1 to 10 with commas, such as 10,9")
        chosen = {int(one) for one in deciles.split(",")} if deciles else set()
        return PlanQuestion(
            str(model),
            tuple(sorted(chosen, reverse=True)),
            _number(query, "lift", 1.2, above=1.0, most=MOST_LIFT),
            _number(query, "holdout", 0.1, above=0.0, most=MOST_HOLDOUT),
        )


def _number(query: Mapping[str, str], name: str, usual: float, *, above: float, most: float) -> float:
    given = query.get(name)
    if given is None:
        return usual
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,10})?", given) or not above < float(given) <= most:
        raise BadInputError(f"{name}: expected a number above {above:g}, and at most {most:g}")
    return float(given)


def plan_export(ports: Ports, tenant: str, query: Mapping[str, str], *, at: str) -> dict[str, Any]:
    """Return what to expect of a list before it is asked for, from the scores that the tenant's customers have.

    Per decile: customers, and conversions with interval and n. For the chosen deciles: the least holdout that sees the
    lift with a power of 0.8, what the holdout that was asked about sees, and what each costs in contacts and
    conversions. Rules, consents and households are not looked at: a list has at most so many customers.

    Raises BadInputError naming the parameter, NotFoundError without a champion, EvidenceError where nobody has a score,
    and ConflictError where there is more than one answer can read.
    """
    tenant = known_tenant(ports, tenant)
    question = PlanQuestion.parse(query, pack_info(ports).models)
    champion = load_champion(ports.lake, question.model)
    with ports.sql(seconds=_SECONDS) as sql:
        try:
            found = _strata(ports, sql, tenant, champion, date.fromisoformat(at[:10]))
        except OvertimeError:
            raise _too_much(tenant, question.model) from None
    ranked = [decile for decile in found.strata if decile != _UNRANKED]
    chosen = [found.strata[decile] for decile in question.deciles or found.strata if decile in found.strata]
    if together(chosen).rows == 0:
        raise EvidenceError(
            f"tenant {tenant}: model {question.model}, version {champion.number}, has scored nobody with a probability "
            "in these deciles; run a batch, or ask for a list, which fills gaps"
        )
    return {
        "tenant_id": tenant,
        "model": question.model,
        "model_version": champion.number,
        "scored": {"first": found.first, "last": found.last, "no_probability": found.heuristic},
        "deciles": [{"decile": decile, **_expected(found.strata[decile])} for decile in sorted(ranked, reverse=True)],
        "unranked": _expected(found.strata[_UNRANKED]) if _UNRANKED in found.strata else None,
        "chosen": {"deciles": list(question.deciles) or None, **_expected(together(chosen))},
        "lift": question.lift,
        "power": POWER,
        "test_size": SIZE,
        "needed": _needed(chosen, question),
        "asked": _cost(chosen, question.lift, question.share),
    }


def _expected(stratum: Chances) -> dict[str, Any]:
    return {"customers": stratum.rows, "rate": stratum.rate, "conversions": asdict(conversions(stratum))}


def _needed(strata: Sequence[Chances], question: PlanQuestion) -> dict[str, Any]:
    """The least holdout that sees the lift; where none does, what half of the customers would see."""
    share = least_share(strata, question.lift, MOST_HOLDOUT)
    if share is None:
        return {"enough": False, **_cost(strata, question.lift, MOST_HOLDOUT)}
    # a share of whole customers, so that so many held back are enough
    rows = together(strata).rows
    return {"enough": True, **_cost(strata, question.lift, min(MOST_HOLDOUT, ceil(share * rows) / rows))}


def _cost(strata: Sequence[Chances], lift: float, share: float) -> dict[str, Any]:
    """What a holdout sees, and what it costs: customers not contacted, and the conversions that contacts would add.

    `few` says that an arm expects too few conversions for the power to be relied on.
    """
    whole = together(strata)
    forgone = sum(one.rows * (min(1.0, one.rate * lift) - one.rate) for one in strata) * share
    return {
        "holdout": share,
        "held_out": round(whole.rows * share),
        "contacted": whole.rows - round(whole.rows * share),
        "conversions_held_out": whole.expected * share,
        "conversions_forgone": forgone,
        "power": power(strata, lift, share),
        "least_lift": least_lift(strata, share),
        "few": whole.expected * min(share, 1 - share) < FEWEST,
    }


@dataclass(frozen=True, slots=True)
class _Scored:
    """The strata by decile, the days of the scores, and how many customers have a rate that is no probability."""

    strata: Mapping[int, Chances]
    first: str | None
    last: str | None
    heuristic: int


def _strata(ports: Ports, sql: Sql, tenant: str, champion: Version, today: date) -> _Scored:
    """Sum each customer's newest score by the champion. Only the tenant's rows are looked at."""
    files = _files(ports, sql, tenant, champion, today)
    if sum(file.size for file in files) > _READ:
        raise _too_much(tenant, champion.model)
    paths = download(sql, ports.lake, [f"{SCORES}/{file.path}" for file in files], "scores")
    if not paths:
        return _Scored({}, None, None, 0)
    source = read_files(paths)
    there = {row[0] for row in sql.rows(f"describe select * from {source}")}
    # a rate that stands for everybody ranks nobody, and was calibrated on nobody
    heuristic = "rung is not distinct from 'heuristic'" if "rung" in there else "false"
    sql.execute(
        f"""
        create temp table newest as
        select customer_id, score, decile, as_of, {heuristic} as heuristic from {source}
        where tenant_id = {text(tenant)} and source = 'champion' and model_version = {champion.number}
            and as_of <= {text(today.isoformat())}::date
        qualify row_number() over (partition by customer_id order by as_of desc, run desc) = 1"""
    )
    rows = sql.rows(
        f"select coalesce(decile, {_UNRANKED}), count(*), sum(score), sum(score * (1 - score)), "
        "sum(score * (1 - score) * (1 - 2 * score)) from newest where not heuristic group by 1 order by 1"
    )
    [(first, last, rates)] = sql.rows(
        "select min(as_of)::varchar, max(as_of)::varchar, count(*) filter (heuristic) from newest"
    )
    strata = {int(decile): Chances(int(count), *map(float, sums)) for decile, count, *sums in rows}
    return _Scored(strata, first, last, int(rates))


def _files(ports: Ports, sql: Sql, tenant: str, champion: Version, today: date) -> list[DataFile]:
    """The files of the champion's newest batch and of what came after it. A compacted file has no day, and is read."""
    snapshot = ports.tables.snapshot(SCORES)
    if snapshot is None:
        return []
    if pack_info(ports).partition_key == "tenant":
        found = list(score_files(sql, snapshot, champion.model, tenant))
    else:
        found = [file for file in snapshot.files if file.partition.get("model") == champion.model]
    batch = last_batch(ports, champion, today)
    return [file for file in found if batch is None or score_file_day(f"/{file.path}") >= batch.as_of]


def _too_much(tenant: str, model: str) -> ConflictError:
    return ConflictError(
        f"tenant {tenant}: the scores of model {model} are more than one answer can read ({_READ // 1_000_000} MB, "
        f"{_SECONDS:.0f} s); spread the lake over more buckets (rebucket_silver)"
    )
