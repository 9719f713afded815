"""review_customers: show who waits for a person's decision, and record decisions.

gold/review is only ever appended to. A row without a decision is a question: a list left this customer out until a
person decides. A row with one is the answer, beside the score by which the customer was asked about.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from propensity.delivery.domain.list_sql import CUT
from propensity.delivery.known_tenant import known_tenant
from propensity.delivery.list_sources import REVIEW
from propensity.kernel.errors import BadInputError, ConflictError, NotFoundError, OvertimeError
from propensity.kernel.spec import Frozen, parse_body
from propensity.kernel.sql_text import read_files, text
from propensity.lake.appends import append_once
from propensity.lake.gold_tables import EXPORTS_PARTITION, REVIEWS
from propensity.lake.session import download
from propensity.pack.current import pack_info
from propensity.pack.domain.list_rules import ListRules, parse_rules
from propensity.ports import Ports, Sql

_READ = 256_000_000  # bytes of gold/review that one answer reads at most, because a caller waits 29 seconds
_SECONDS = 20.0
_MOST = 500  # customers of one answer, and of one call that decides
_USUAL = 100
_PAGE = re.compile(r"(?P<score>[0-9.e+-]{1,30})_(?P<mark>[0-9a-f]{32})")
STATES = ("waiting", "decided")


class ReviewDecision(Frozen):
    """The body of a call that decides: about whom, what, and why."""

    model: str
    decision: Literal["approve", "reject"]
    customer_ids: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1, max_length=_MOST)]
    why: Annotated[str, Field(pattern=r"\S", max_length=500)]


def list_reviews(ports: Ports, tenant: str, query: Mapping[str, str], *, at: str) -> dict[str, Any]:
    """Return a page of a tenant's reviews: those that wait, or those that were decided, the highest score first.

    `query` may have `state`, `model`, `limit` (1 to 500) and `after`, which is `next` of the page before. A question
    that no list has asked for as long as a decision holds does not wait any more. Raises BadInputError naming the
    parameter, and ConflictError where there is more than one answer can read.
    """
    tenant = known_tenant(ports, tenant)
    state, model, limit = query.get("state", STATES[0]), query.get("model"), query.get("limit", str(_USUAL))
    if state not in STATES:
        raise BadInputError(f"state: expected one of {', '.join(STATES)}")
    models = _models(ports, model)
    if not re.fullmatch(r"[0-9]{1,3}", limit) or not 1 <= int(limit) <= _MOST:
        raise BadInputError(f"limit: expected a number from 1 to {_MOST}")
    rest = _after(query.get("after"))
    rules = parse_rules(ports.pack_files, ports.pack)
    with ports.sql(seconds=_SECONDS) as sql:
        try:
            _load(ports, sql, tenant, models)
            lapsed = date.fromisoformat(at[:10]) - timedelta(days=rules.review.holds_days)
            waits = f"not decided and asked_at::date > {text(lapsed.isoformat())}::date"
            decided = "decided" if state == "decided" else waits
            [(count,)] = sql.rows(f"select count(*) from entry where {decided}")
            rows = sql.rows(
                f"select {', '.join(_SHOWN)}, score_, mark from entry where {decided}{rest} "
                f"order by score_ desc, mark limit {int(limit) + 1}"
            )
        except OvertimeError:
            raise _too_much(tenant) from None
    page = rows[: int(limit)]
    return {
        "tenant_id": tenant,
        "state": state,
        "count": int(count),
        "reviews": [_told(dict(zip(_SHOWN, row[:-2], strict=True)), rules) for row in page],
        "next": f"{page[-1][-2]!r}_{page[-1][-1]}" if len(rows) > len(page) else None,
    }


def review_customers(ports: Ports, tenant: str, body: Mapping[str, Any], *, by: str, at: str) -> dict[str, Any]:
    """Record a decision about customers who wait for review. The same decision once more is recorded once.

    About a customer who does not wait any more, the newest decision can be changed. Raises BadInputError naming the
    field, and NotFoundError where one of the customers was never asked about; nothing is recorded then.
    """
    tenant = known_tenant(ports, tenant)
    asked = parse_body(ReviewDecision, body)
    _models(ports, asked.model)
    with ports.sql(seconds=_SECONDS) as sql:
        try:
            _load(ports, sql, tenant, [asked.model])
            return _decide(ports, sql, tenant, asked, by=by, at=at)
        except OvertimeError:
            raise _too_much(tenant) from None


_SHOWN = (
    *("customer_id", "model", "model_version", "score", "percentile", "decile", "as_of", "why", "export", "since"),
    *("asked", "decision", "reason", "decided_by", "decided_at"),
)


def _models(ports: Ports, model: str | None) -> Sequence[str]:
    models = pack_info(ports).models
    if model is not None and model not in models:
        raise BadInputError(f"model: expected one of {', '.join(models)}")
    return models if model is None else [model]


def _after(page: str | None) -> str:
    """SQL of the rest of a list after a page. The name of a page has no customer in it: addresses end in logs."""
    if page is None:
        return ""
    found = _PAGE.fullmatch(page)
    try:
        score = float(found["score"]) if found else float("nan")
    except ValueError:
        score = float("nan")
    if found is None or not 0 <= score <= 1:
        raise BadInputError("after: expected what the page before has in next")
    return f" and (score_ < {score!r}::double or (score_ = {score!r}::double and mark > {text(found['mark'])}))"


def _load(ports: Ports, sql: Sql, tenant: str, models: Sequence[str]) -> None:
    """Make table `entry`: a row per question that was ever asked about a customer, with its newest decision.

    A question is a model's, about a customer, for one reason. It is decided where its newest decision is not older than
    the newest list that asked.
    """
    sql.execute(f"create temp table told ({', '.join(f'{name} {kind}' for name, kind in REVIEW)})")
    snapshot = ports.tables.snapshot(REVIEWS)
    files = [one for one in snapshot.files if one.partition.get("model") in models] if snapshot else []
    if sum(file.size for file in files) > _READ:
        raise _too_much(tenant)
    for model in models:
        keys = snapshot.file_keys(model=model) if snapshot else []
        paths = download(sql, ports.lake, keys, f"review-{model}")
        if paths:
            names = ", ".join(f"{text(model)} as model" if name == "model" else name for name, _ in REVIEW)
            sql.execute(f"insert into told select {names} from {read_files(paths)} where tenant_id = {text(tenant)}")
    key, newest = "model, customer_id, why", "qualify row_number() over (partition by model, customer_id, why order by"
    sql.execute(
        f"""
        create temp table entry as
        with question as (
            select *, told_at as asked_at, min(told_at) over (partition by {key}) as since_,
                count(*) over (partition by {key}) as asked
            from told where decision is null {newest} told_at desc, export desc) = 1
        ), answer as (
            from told where decision is not null {newest} told_at desc, decision desc) = 1
        )
        select q.* exclude (decision, reason, decided_by), {_shown_time("q.since_")} as since,
            a.decision, a.reason, a.decided_by, {_shown_time("a.told_at")} as decided_at, a.told_at as decided_at_,
            coalesce(a.told_at >= q.told_at, false) as decided, coalesce(q.score, 0) as score_,
            md5(concat_ws(chr(31), q.model, q.customer_id, q.why)) as mark
        from question q left join answer a using ({key})"""
    )


def _shown_time(column: str) -> str:
    # as text: to hand out an instant, the engine would need a library that no layer has
    return f"strftime(timezone('UTC', {column}), '%Y-%m-%dT%H:%M:%S.%g') || '+00:00'"


def _decide(ports: Ports, sql: Sql, tenant: str, asked: ReviewDecision, *, by: str, at: str) -> dict[str, Any]:
    wanted = list(dict.fromkeys(asked.customer_ids))
    sql.execute("create temp table chosen (customer_id varchar)")
    for customer in wanted:
        sql.execute("insert into chosen values (?)", [customer])
    there = {row[0] for row in sql.rows("select distinct customer_id from entry")}
    unknown = [number for number, customer in enumerate(asked.customer_ids) if customer not in there]
    if unknown:
        raise NotFoundError(
            f"customer_ids: {len(unknown)} of {len(asked.customer_ids)} never waited for a review of model "
            f"{asked.model}, the first at place {unknown[0]} (from 0); nothing was recorded"
        )
    # the questions that wait, and where none does, the one that was decided last
    sql.execute(
        f"""
        create temp table meant as
        select e.*, not decided or decision <> {text(asked.decision)} as changes
        from entry e join chosen using (customer_id)
        qualify not decided or (
            bool_and(decided) over (partition by customer_id)
            and row_number() over (partition by customer_id order by decided_at_ desc, why) = 1)"""
    )
    facts = {
        "tenant_id": text(tenant),
        "told_at": f"timestamptz {text(at)}",
        "decision": text(asked.decision),
        "reason": text(asked.why),
        "decided_by": text(by),
    }
    columns = ", ".join(f"{facts.get(name, f'{name}::{kind}')} as {name}" for name, kind in REVIEW)
    # a call that is sent twice sees the same questions, and so has the same name
    seen = sql.rows("select mark, told_at::varchar, decided_at from meant where changes order by mark")
    if seen:
        state = json.dumps([asked.decision, seen])
        name = f"decision {tenant} {hashlib.sha256(state.encode()).hexdigest()[:32]}"
        append_once(ports, sql, REVIEWS, f"select {columns} from meant where changes", name, EXPORTS_PARTITION)
    rows = sql.rows("select customer_id, why, changes, decided_by, decided_at from meant order by customer_id, why")
    return {
        "tenant_id": tenant,
        "model": asked.model,
        "decision": asked.decision,
        "recorded": len(seen),
        "reviews": [
            {
                "customer_id": customer,
                "why": why,
                "recorded": changes,
                "decided_by": by if changes else before,
                "decided_at": at if changes else when,
            }
            for customer, why, changes, before, when in rows
        ],
    }


def _told(entry: dict[str, Any], rules: ListRules) -> dict[str, Any]:
    """A review as it is answered: times as text, what the rule says, and until when a decision holds."""
    rule = next((one for one in rules.rules if f"rule_{one.name}" == entry["why"]), None)
    said = "Its place is near the cut of the list." if entry["why"] == CUT else (rule.description if rule else None)
    told = {**entry, "says": said, "as_of": entry["as_of"] and entry["as_of"].isoformat()}
    if entry["decided_at"] is None:
        return {name: value for name, value in told.items() if name not in ("reason", "decided_by", "decided_at")}
    decided = date.fromisoformat(entry["decided_at"][:10])
    told["holds_until"] = (decided + timedelta(days=rules.review.holds_days - 1)).isoformat()
    return told


def _too_much(tenant: str) -> ConflictError:
    return ConflictError(
        f"tenant {tenant}: gold/review is more than one answer can read ({_READ // 1_000_000} MB, {_SECONDS:.0f} s); "
        "name one model, or ask again once maintenance has joined its files"
    )
