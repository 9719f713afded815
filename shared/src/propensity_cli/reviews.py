"""`review` and `plan`: who waits for a decision, and what a list will bring."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from propensity_cli import tables
from propensity_cli.commands import Outcome, Talk, command
from propensity_cli.failures import WrongUseError

_COLUMNS = ("customer_id", "model", "score", "decile", "why", "says", "since", "asked")
_DECIDED = ("decision", "reason", "decided_by", "decided_at", "holds_until")


def register(app: typer.Typer) -> None:
    command(app, "review")(review)
    command(app, "plan")(plan)


def review(
    talk: Talk,
    tenant: Annotated[str, typer.Argument(help="Whose customers.")],
    *,
    model: Annotated[str | None, typer.Option(help="A model of the pack; needed to decide.")] = None,
    approve: Annotated[
        list[str] | None, typer.Option(help="Approve this customer; may be given again.", show_default=False)
    ] = None,
    reject: Annotated[
        list[str] | None, typer.Option(help="Reject this customer; may be given again.", show_default=False)
    ] = None,
    why: Annotated[
        str | None, typer.Option(help="The reason for the decision, which is kept. Never write a person into it.")
    ] = None,
    decided: Annotated[bool, typer.Option("--decided", help="Show what was decided, not what waits.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="So many at most.")] = 100,
    after: Annotated[str | None, typer.Option(help="The next page: what this command named.")] = None,
) -> Outcome:
    """Show who waits for a decision before a list may contact them, or decide."""
    answers = {"approve": approve or [], "reject": reject or []}
    if any(answers.values()):
        if model is None or why is None:
            raise WrongUseError("a decision needs --model and --why")
        both = set(answers["approve"]) & set(answers["reject"])
        if both:
            raise WrongUseError(f"{len(both)} customers are to be approved and rejected; expected one of both")
        return _decide(talk, tenant, model, why, answers)
    asked = {"state": "decided" if decided else "waiting", "limit": str(limit)}
    asked |= {name: value for name, value in (("model", model), ("after", after)) if value is not None}
    found = talk.api.get("tenants", tenant, "reviews", query=asked)
    columns = (*_COLUMNS, *_DECIDED) if decided else _COLUMNS
    title = f"{found['count']} {found['state']} at {tenant}"
    more = [f"the next page: --after {found['next']}"] if found["next"] else []
    return Outcome(found, [tables.rows(title, columns, found["reviews"]), *more])


def _decide(talk: Talk, tenant: str, model: str, why: str, answers: dict[str, list[str]]) -> Outcome:
    told: list[dict[str, Any]] = []
    for decision, customers in answers.items():
        if customers:
            body = {"model": model, "decision": decision, "customer_ids": customers, "why": why}
            told.append(talk.api.post("tenants", tenant, "reviews", body=body))
    columns = ("customer_id", "why", "recorded", "decided_by", "decided_at")
    shown = [tables.rows(f"{one['decision']}: {one['recorded']} recorded", columns, one["reviews"]) for one in told]
    return Outcome({"tenant_id": tenant, "model": model, "decisions": told}, shown)


def plan(
    talk: Talk,
    tenant: Annotated[str, typer.Argument(help="Whose customers.")],
    *,
    model: Annotated[str, typer.Option(help="A model of the pack.")],
    decile: Annotated[
        list[int] | None,
        typer.Option(min=1, max=10, help="Contact this decile only; may be given again. 10: the likeliest."),
    ] = None,
    lift: Annotated[
        float | None, typer.Option(help="The lift to see: the rate of the contacted over that of the held back.")
    ] = None,
    holdout: Annotated[float | None, typer.Option(help="A share of households to judge, up to 0.5.")] = None,
) -> Outcome:
    """Say before a list is asked for what it can bring, and which holdout would prove it."""
    given = {
        "deciles": ",".join(map(str, decile)) if decile else None,
        "lift": None if lift is None else f"{lift:f}",
        "holdout": None if holdout is None else f"{holdout:f}",
    }
    asked = {"model": model} | {name: value for name, value in given.items() if value is not None}
    found = talk.api.get("tenants", tenant, "exports", "plan", query=asked)
    columns = ("decile", "customers", "rate", "conversions.value", "conversions.low", "conversions.high")
    chosen = {"decile": "chosen", **found["chosen"]}
    deciles = tables.rows(f"{model} version {found['model_version']}: expected", columns, [*found["deciles"], chosen])
    needed = "needed" if found["needed"]["enough"] else "half is not enough"
    costs = [{"holdout_for": needed, **found["needed"]}, {"holdout_for": "asked", **found["asked"]}]
    names = (
        *("holdout_for", "holdout", "held_out", "contacted", "power", "least_lift"),
        *("conversions_held_out", "conversions_forgone"),
    )
    return Outcome(found, [deciles, tables.rows(f"to see a lift of {found['lift']:g}", names, costs)])
