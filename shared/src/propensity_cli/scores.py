"""`score` and `explain`: scores on demand, and which model scored a customer on a day."""

from __future__ import annotations

from typing import Annotated

import typer

from propensity_cli import tables
from propensity_cli.commands import Outcome, Talk, command


def register(app: typer.Typer) -> None:
    command(app, "score")(score)
    command(app, "explain")(explain)


def score(
    talk: Talk,
    tenant: Annotated[str, typer.Argument(help="Whose customers.")],
    customers: Annotated[list[str], typer.Argument(help="Ids of customers, up to 100.")],
    *,
    model: Annotated[str, typer.Option(help="A model of the pack.")],
) -> Outcome:
    """Scores of customers by the champion, at once."""
    found = talk.api.post("tenants", tenant, "scores", body={"model": model, "customer_ids": customers})
    columns = ("customer_id", "score", "percentile", "decile", "source", "as_of", "because", "degraded_reason")
    told = [{**one, "because": "\n".join(one["reasons"])} for one in found["scores"]]
    return Outcome(found, [tables.rows(f"{model}, version {found['model_version']}", columns, told)])


def explain(
    talk: Talk,
    tenant: Annotated[str, typer.Argument(help="Whose customer.")],
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    *,
    model: Annotated[str, typer.Option(help="A model of the pack.")],
    day: Annotated[str, typer.Option(help="The day in UTC, YYYY-MM-DD.")],
) -> Outcome:
    """Which model scored a customer on a day, and from what."""
    body = {"customer_id": customer, "model": model, "day": day}
    found = talk.api.post("tenants", tenant, "explanations", body=body)
    champion, held = found["champion"], found["held"]
    title = f"{model} on {day}: " + (f"champion was version {champion}" if champion else "there was no champion")
    columns = ("as_of", "score", "model_version", "committed_at", "scope")
    scores = tables.rows("scores as of the day", columns, found["scores"])
    if held is None:
        return Outcome(found, [title, "no score held on this day", *([scores] if found["scores"] else [])])
    names = (
        "score",
        "percentile",
        "decile",
        "model_version",
        "as_of",
        "committed_at",
        "stage_then",
        "stage_now",
        "run",
    )
    told = {name: held.get(name) for name in names}
    told |= {"trained as of": (held.get("lineage") or {}).get("trained_as_of"), "because": "; ".join(held["reasons"])}
    return Outcome(found, [title, tables.fields("the score that held", told), scores])
