"""Which rows of gold/scores count: the current score of a customer, and who has one already."""

from __future__ import annotations

from datetime import date

from propensity.kernel.sql_text import text

# Of one day, a batch counts before a gap run: the batch came later, else the gap run would have passed the customer by.
NEWEST_FIRST = "as_of desc, scope"
# A run over an older Silver was made to be looked at (`SilverAt.name` ends its name), and answers for nobody.
_LOOKED_AT = "-silver-[0-9a-f]{12}$"


def counting(until: date, version: int | None = None) -> str:
    """SQL of whether a row of gold/scores counts as of a day: it is of no later day, and by the version, if given."""
    by = "" if version is None else f" and model_version = {version}"
    return f"as_of <= {text(until.isoformat())}::date and not regexp_matches(run, {text(_LOOKED_AT)}){by}"


def fresh(since: date, of_tenant: str | None) -> str:
    """SQL of whether a row is as of a day or a later one. With a tenant, the rows of all others are fresh enough."""
    new = f"as_of >= {text(since.isoformat())}::date"
    return new if of_tenant is None else f"({new} or tenant_id <> {text(of_tenant)})"
