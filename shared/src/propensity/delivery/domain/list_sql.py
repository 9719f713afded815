"""The SQL that decides what becomes of each customer of the population, one step after the other.

The tables are those that `delivery/members.py` makes: `member` has a row per customer of the population, with the score
and the household.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from propensity.delivery.domain.request import ExportRequest, household_share
from propensity.kernel.sql_text import quote, text
from propensity.pack.domain.list_rules import ListRule

# Equal places are ordered by a hash of the customer, so that no source's order decides who is contacted.
ORDER = "place desc, md5(customer_id), customer_id"
# What speaks first counts. A customer who is kept off for good is told as such, whatever else would keep them off.
Step = tuple[str, str, str]  # condition, arm, why
CUT = "near_the_cut"  # why a customer waits for review whom no rule names


def steps(rules: Sequence[ListRule], *, consent: bool, matched: bool) -> list[Step]:
    """Return the steps that look at one customer alone, in the order in which they speak.

    `consent` says whether the destination's channel needs one, `matched` whether it needs an identifier. Who is no
    longer in the population can only be met by a recall.
    """
    found: list[Step] = [
        ("not in_population", "suppressed", "not_in_population"),
        ("score is null", "suppressed", "no_score"),
    ]
    found += [
        (f"list_contains(rules, {text(rule.name)})", "suppressed", f"rule_{rule.name}")
        for rule in rules
        if rule.action == "suppress"
    ]
    found.append(("suppressed_as is not null", "suppressed", "suppression_list"))
    if consent:
        found.append(("not consents", "suppressed", "no_consent"))
    if matched:
        found.append(("not matchable", "suppressed", "no_identifier"))
    found += [
        (f"not list_contains(rules, {text(rule.name)})", "filtered", f"rule_{rule.name}")
        for rule in rules
        if rule.action == "require"
    ]
    found.append(("recently", "suppressed", "contacted_recently"))
    found.append(("rejected", "suppressed", "review_rejected"))
    found += [
        # an approval answers the question that was asked: another rule that speaks asks anew
        (
            f"list_contains(rules, {text(rule.name)}) and not list_contains(approved, {text(f'rule_{rule.name}')})",
            "review",
            f"rule_{rule.name}",
        )
        for rule in rules
        if rule.action == "review"
    ]
    return found


def judged(found: Sequence[Step]) -> str:
    """SELECT of `member` with arm and why: the first step whose condition holds; NULL where none does."""
    arms = " ".join(f"when {condition} then {text(arm)}" for condition, arm, _ in found)
    reasons = " ".join(f"when {condition} then {text(why)}" for condition, _, why in found)
    return f"select *, case {arms} end as arm, case {reasons} end as why from member"


def ordered(rules: Sequence[ListRule]) -> str:
    """SQL of the number by which a list is ordered: the logit of the score, raised by the boosts that apply."""
    boosts = "".join(
        f" + case when list_contains(rules, {text(rule.name)}) then ln({rule.by}) else 0 end"
        for rule in rules
        if rule.action == "boost"
    )
    return f"ln(greatest(score, 1e-12) / greatest(1 - score, 1e-12)){boosts}"


def decisions(request: ExportRequest, rules: Sequence[ListRule], band: int = 0) -> tuple[str, ...]:
    """Return the statements that turn table `judged` into table `decided`, in which each customer has an arm.

    Household, deciles, movement, limit and holdout are judged in this order, each among those whom nothing kept off
    before. Customers whose place is at most `band` points of the ranking from the list's cut wait for review, unless
    they were approved. The cut is the limit, and without a limit the edges of the deciles.

    Who was approved near an edge is taken, on either side of it. Near a limit the approved take the places above the
    limit that are left, in their order. So a list never has more customers than its limit.
    """
    best = f"row_number() over (partition by household_id, arm is null order by {ORDER}) = 1"
    approved = f"list_contains(approved, {text(CUT)})"
    listed = ", ".join(map(str, request.filter.deciles or ()))
    edge = ", ".join(map(str, request.filter.edge(band) if request.filter.limit is None else ()))
    near = f"coalesce(percentile in ({edge}), false)" if edge else "false"
    other = f"(decile is null or decile not in ({listed})) and not {near}" if listed else "false"
    return (
        f"create temp table placed as select *, {ordered(rules)} as place from judged",
        f"create temp table first_of_household as select *, {best} as best from placed",
        _kept_off("kept", "first_of_household", "suppressed", "household", _not_best(request)),
        _kept_off("edged", "kept", "review", CUT, f"{near} and not {approved}"),
        _kept_off("ranked", "edged", "filtered", "decile", other),
        _kept_off("chosen", "ranked", "filtered", "moved", _unmoved(request)),
        *_limited(request, band, approved),
        _kept_off("ended", "limited", "held_out", "holdout", "held"),
        "create temp table decided as select * exclude (arm, why), coalesce(arm, 'exported') as arm, "
        "coalesce(why, 'listed') as why from ended",
    )


def _unmoved(request: ExportRequest) -> str:
    """SQL of whether a customer has not moved as the request asks; who has no change in percentile has not."""
    if request.filter.moved is None:
        return "false"
    least = request.filter.by or 1
    wanted = f"percentile_change >= {least}" if request.filter.moved == "up" else f"percentile_change <= -{least}"
    return f"not coalesce({wanted}, false)"


def _not_best(request: ExportRequest) -> str:
    return "not best" if request.household == "best" else "false"


def _limited(request: ExportRequest, band: int, approved: str) -> tuple[str, ...]:
    """The statements from table `chosen` to table `limited`, in which customers beyond the limit have that arm."""
    limit = request.filter.limit
    if limit is None:
        return ("create temp table limited as select * from chosen",)
    # who is held back is not contacted, and takes nobody's place of a capacity
    counts = "arm is null" if request.filter.capacity is None else "arm is null and not held"
    # a customer's place is one more than the places that are taken above it
    above = f"order by {ORDER} rows between unbounded preceding and 1 preceding"
    nth = f"coalesce(sum(({counts})::int) over ({above}), 0) + 1"
    # points of the ranking, in customers; a list that takes everybody has no cut
    width = f"greatest(1, round(reached * {band} / 100))" if band else "0"
    near = f"reached > {limit} and nth > {limit} - width and nth <= {limit} + width" if band else "false"
    return (
        f"create temp table counted as select *, {nth} as nth, count(*) filter ({counts}) over () as reached "
        "from chosen",
        f"create temp table bordered as select *, {width} as width from counted",
        _kept_off("reviewed", "bordered", "review", CUT, f"{near} and not {approved}"),
        f"create temp table recounted as select *, {nth} as left_nth from reviewed",
        # places that nobody was approved for stay empty: they are not filled from below the band
        _kept_off("limited", "recounted", "beyond_limit", "limit", f"left_nth > {limit} or nth > {limit} + width"),
    )


def _kept_off(table: str, source: str, arm: str, why: str, condition: str) -> str:
    """The statement that makes a table of another, in which the undecided who meet a condition have an arm."""
    if condition == "false":
        return f"create temp table {table} as select * from {source}"
    return (
        f"create temp table {table} as select * exclude (arm, why), "
        f"case when arm is null and ({condition}) then {text(arm)} else arm end as arm, "
        f"case when arm is null and ({condition}) then {text(why)} else why end as why from {source}"
    )


def held(tenant: str, model: str, share: float) -> str:
    """SQL of whether a household of `b` is held back. `a.was_held` says what it was; a new household is drawn."""
    drawn = f"{household_share(text(tenant), text(model), 'b.household_id')} < {share}"
    return f"coalesce(a.was_held, {drawn})"


def not_over(until: str, day: date) -> str:
    """SQL of whether an entry that holds until the day in a column still holds on a day. An empty column has no end."""
    return f"({quote(until)} is null or {quote(until)}::date >= {text(day.isoformat())}::date)"


def consents(rows: str, column: str, expires: str | None, entity: str, at: str, day: date) -> str:
    """SELECT of customer_id and consents, from a state dataset's history.

    A customer consents where the row of now says so, and no later row takes it back: a withdrawal counts from its
    arrival, even one that names a later day.
    """
    over = f" and {not_over(expires, day)}" if expires else ""
    return (
        f"select {quote(entity)}::varchar as customer_id, "
        f"bool_and(coalesce({quote(column)}, false){over}) as consents from ({rows}) "
        f"where coalesce(_valid_to, timestamp 'infinity') > {at} group by 1"
    )
