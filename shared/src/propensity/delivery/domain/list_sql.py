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


def steps(rules: Sequence[ListRule], *, consent: bool, matched: bool) -> list[Step]:
    """Return the steps that look at one customer alone, in the order in which they speak.

    `consent` says whether the destination's channel needs one, `matched` whether it needs an identifier.
    """
    found: list[Step] = [("score is null", "suppressed", "no_score")]
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
    found += [
        (f"list_contains(rules, {text(rule.name)})", "review", f"rule_{rule.name}")
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


def decisions(request: ExportRequest, rules: Sequence[ListRule]) -> tuple[str, ...]:
    """Return the statements that turn table `judged` into table `decided`, in which each customer has an arm.

    Household, decile, movement, limit and holdout are judged in this order, each among those whom nothing kept off
    before.
    """
    best = f"row_number() over (partition by household_id, arm is null order by {ORDER}) = 1"
    listed = ", ".join(map(str, request.filter.deciles or range(1, 11)))
    kept_off = {
        "household": ("suppressed", "not best" if request.household == "best" else "false"),
        "decile": ("filtered", f"decile not in ({listed}) or decile is null" if request.filter.deciles else "false"),
        "moved": ("filtered", _unmoved(request)),
        "limit": ("beyond_limit", _limit(request)),
        "holdout": ("held_out", "held"),
    }

    def decide(*why: str) -> str:
        arms = " ".join(f"when {kept_off[name][1]} then {text(kept_off[name][0])}" for name in why)
        reasons = " ".join(f"when {kept_off[name][1]} then {text(name)}" for name in why)
        return (
            f"case when arm is not null then arm {arms} end as arm, "
            f"case when why is not null then why {reasons} end as why"
        )

    contacted = (
        f"coalesce(sum((arm is null and not held)::int) over (order by {ORDER} "
        "rows between unbounded preceding and 1 preceding), 0)"
    )
    nth = f"sum((arm is null)::int) over (order by {ORDER} rows unbounded preceding)"
    return (
        f"create temp table placed as select *, {ordered(rules)} as place from judged",
        f"create temp table first_of_household as select *, {best} as best from placed",
        "create temp table kept as select * exclude (arm, why), "
        f"{decide('household', 'decile', 'moved')} from first_of_household",
        f"create temp table counted as select *, {nth} as nth, {contacted} as contacted from kept",
        f"create temp table ended as select * exclude (arm, why), {decide('limit', 'holdout')} from counted",
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


def _limit(request: ExportRequest) -> str:
    if request.filter.top is not None:
        return f"nth > {request.filter.top}"
    if request.filter.capacity is not None:
        # who is held back is not contacted, and takes nobody's place
        return f"contacted >= {request.filter.capacity}"
    return "false"


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
