"""`models`, `runs`, `promote`, `approve`, `release`, `rollback`, `tenants`: what there is, and where it stands."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from propensity_cli import tables
from propensity_cli.commands import Outcome, Talk, command

_Model = Annotated[str, typer.Argument(help="A model of the pack.")]
_Version = Annotated[int, typer.Argument(min=1, help="A version's number.")]
_Why = Annotated[str, typer.Option(help="The reason, which the ledger keeps.")]


def register(app: typer.Typer) -> None:
    command(app, "models")(models)
    command(app, "runs")(runs)
    command(app, "promote")(promote)
    command(app, "approve")(approve)
    command(app, "release")(release)
    command(app, "rollback")(rollback)
    command(app, "tenants")(tenants)


def models(
    talk: Talk, model: Annotated[str | None, typer.Argument(help="One model, with its versions.")] = None
) -> Outcome:
    """The models and where each stands, or the versions of one model."""
    if model is None:
        found = talk.api.get("models")
        columns = (
            "model",
            "champion",
            "staging",
            "newest.version",
            "newest.stage",
            "next.training",
            "next.scoring",
            "why",
        )
        return Outcome(found, [tables.rows("models", columns, found["models"])])
    found = talk.api.get("models", model)
    names = (
        "version",
        "stage",
        "family",
        "as_of",
        "auc",
        "auc_within",
        "rows",
        "positives",
        "gates_in_words",
        "release.released",
    )
    title = f"{model}: champion {found['champion'] or 'none'}, promotion {found['promotion']}"
    return Outcome(found, [tables.rows(title, names, found["versions"])])


def runs(talk: Talk, model: _Model) -> Outcome:
    """The runs of a model: running, failed with the reason, ended."""
    found = talk.api.get("runs", model)
    columns = ("kind", "as_of", "state", "scope", "version", "run", "reason")
    return Outcome(found, [tables.rows(f"runs of {model}", columns, found["runs"])])


def promote(talk: Talk, model: _Model, version: _Version, *, why: _Why) -> Outcome:
    """Make a version the champion, where one person may."""
    return _line(model, talk.api.post("models", model, "promote", body={"version": version, "why": why}))


def approve(talk: Talk, model: _Model, version: _Version, *, why: _Why) -> Outcome:
    """Approve a version in your role; the second role's approval promotes it."""
    return _line(model, talk.api.post("models", model, "approvals", body={"version": version, "why": why}))


def release(talk: Talk, model: _Model, version: _Version, *, why: _Why) -> Outcome:
    """Let a version's lists leave without proof, in your role; it takes the second role's release too."""
    found = talk.api.post("models", model, "release", body={"version": version, "why": why})
    stands = {"released": found["release"]["released"], "missing": found["release"]["missing"] or None}
    told = {name: value for name, value in found.items() if isinstance(value, str | int) and value != ""}
    return Outcome(found, [tables.fields(model, {**told, **stands})])


def rollback(
    talk: Talk,
    model: _Model,
    *,
    why: _Why,
    from_version: Annotated[int | None, typer.Option(help="The present champion, which is to go.")] = None,
    version: Annotated[int | None, typer.Option(help="A former champion, which is to come back.")] = None,
) -> Outcome:
    """Make a former champion champion again; give --from-version, --version or both."""
    told: dict[str, Any] = {"from_version": from_version, "version": version, "why": why}
    body = {name: value for name, value in told.items() if value is not None}
    return _line(model, talk.api.post("models", model, "rollback", body=body))


def _line(model: str, found: dict[str, Any]) -> Outcome:
    told = {name: value for name, value in found.items() if isinstance(value, str | int) and value != ""}
    told |= {"missing approvals": found["missing"]} if found.get("missing") else {}
    return Outcome(found, [tables.fields(model, told)])


def tenants(
    talk: Talk, tenant: Annotated[str | None, typer.Argument(help="One tenant, with what came of it.")] = None
) -> Outcome:
    """The tenants with a record, or one tenant with what came of it."""
    if tenant is None:
        found = talk.api.get("tenants")
        return Outcome(found, [tables.rows("tenants", ("tenant_id", "state", "at"), found["tenants"])])
    found = talk.api.get("tenants", tenant)
    arrived = [{"dataset": name, **told} for name, told in found["datasets"].items()]
    about = {"state": found["state"], "missing": found["missing"] or None}
    columns = ("dataset", "files", "refused", "first", "last", "rows")
    return Outcome(found, [tables.fields(tenant, about), tables.rows("datasets", columns, arrived)])
