"""`backtest`: ask for a backtest, wait for it, show its figures, and keep its report and its page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from propensity_cli import tables
from propensity_cli.commands import Outcome, Talk, command
from propensity_cli.failures import ServiceFailedError, WrongUseError
from propensity_cli.transfer import checked_name
from propensity_cli.waiting import wait_for

_RANKING = ("origin", "counted", "trained", "customers", "conversions", "auc_within", "lift", "level")
_LISTS = ("origin", "size", "by_model", "by_filter", "gain", "money")
_MEASURES = {"auc_within": "auc_within", "lift_of_lists": "lift", "observed_over_expected": "level"}


def register(app: typer.Typer) -> None:
    command(app, "backtest")(backtest)


def backtest(
    talk: Talk,
    model: Annotated[str, typer.Argument(help="A model of the pack, or the name in --definition.")],
    *,
    as_of: Annotated[
        str | None, typer.Option(help="Day up to which outcomes may be used, YYYY-MM-DD; by default today.")
    ] = None,
    origins: Annotated[int | None, typer.Option(min=1, help="How many lists are repeated; by default 3.")] = None,
    every_months: Annotated[
        int | None, typer.Option(min=1, help="Months between them; by default as many as share no outcome.")
    ] = None,
    definition: Annotated[
        Path | None, typer.Option(help="The YAML of a model that is not deployed.", exists=True, dir_okay=False)
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="Names the request. By default made from the options and the day: a repeat is the same backtest."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report and page; by default one named after the backtest.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the report, or only ask for it.")] = True,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait.")] = 3600,
) -> Outcome:
    """Repeat a model's trainings and lists on past days, and see what they would have brought."""
    given = {
        "as_of": as_of,
        "origins": origins,
        "every_months": every_months,
        "definition": None if definition is None else _text(definition),
    }
    body = {name: value for name, value in given.items() if value is not None}
    named = key if key is not None else _key(model, body, day=datetime.now(UTC).date().isoformat())
    asked = talk.api.post("models", model, "backtests", body=body, key=named)
    name = str(asked["backtest"])
    if not wait:
        return Outcome(asked, [f"{name} is {asked['state']}; the same command without --no-wait shows it"])

    def look() -> tuple[str, dict[str, Any] | None]:
        return _stands(talk.api.get("models", model, "backtests", name))

    ready = _stands(asked)[1] or wait_for(look, seconds=timeout, progress=talk.progress, what=f"backtest {name}")
    places = _save(talk, model, ready, out or Path(checked_name(name)))
    return Outcome({**ready, "files": places}, [*_shown(ready["report"]), tables.rows("saved", ("path",), places)])


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUseError(f"{path}: cannot be read as text: {type(error).__name__}") from error


def _key(model: str, body: Mapping[str, Any], *, day: str) -> str:
    """The Idempotency-Key of a request: the same for the same options on the same day (UTC)."""
    meaning = json.dumps([model, body], sort_keys=True)
    return f"cli-{day}-{hashlib.sha256(meaning.encode()).hexdigest()[:32]}"


def _stands(found: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    if found["state"] == "failed":
        raise ServiceFailedError(
            f"backtest {found['backtest']} failed: {found.get('reason')}; once the cause is mended, ask with another "
            "--key"
        )
    done = f"{found['state']}, {len(found['judged'])} of {len(found['origins'])} origins"
    return done, found if found["state"] == "ready" else None


def _shown(report: Mapping[str, Any]) -> list[Any]:
    rows = []
    for origin in report["origins"]:
        judged = origin["judged"]
        about = {"origin": judged["as_of"], "counted": origin["counted"], "customers": judged["rows"]}
        about |= {"conversions": judged["positives"], "trained": judged["family"]}
        rows.append({**about, **_figures(origin["figures"]), **_gains(origin["gains"])})
    counted = sum(1 for origin in report["origins"] if origin["counted"])
    rows.append({"origin": f"all {counted} counted", **_figures(report["together"]), **_gains(report["gains"])})
    proof = report["proof"]
    told = {
        "high less low deciles": _estimate(proof["difference"], 4) if proof["difference"] else proof["why_not"],
        "conversions among them": proof["positives"],
        "release gate": "passes" if report["short_of"] is None else report["short_of"],
    }
    return [
        tables.rows(f"{report['model']}: ranking and level, with 95 % intervals", _RANKING, rows),
        tables.rows("a month's lists: conversions, and the gain over the manual filter", _LISTS, rows),
        tables.fields("", told),
        *report["notes"],
    ]


def _figures(found: list[dict[str, Any]]) -> dict[str, str]:
    return {
        _MEASURES[one["measure"]]: _estimate(one["estimate"], 2)
        for one in found
        if one["segment"] == "all" and one["measure"] in _MEASURES
    }


def _gains(found: Mapping[str, Any] | None) -> dict[str, Any]:
    if not found:
        return {}
    told = {name: _estimate(found[name], 0) for name in ("by_model", "by_filter", "gain") if found.get(name)}
    if found.get("gain_money"):
        told["money"] = f"{_estimate(found['gain_money'], 0)} {found['currency']}"
    return {"size": round(found["size"]), **told}


def _estimate(found: Mapping[str, float], digits: int) -> str:
    value, low, high = (f"{found[name]:,.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _save(talk: Talk, model: str, ready: Mapping[str, Any], folder: Path) -> list[dict[str, str]]:
    """Write the report and its page into a folder; each with its path."""
    page = talk.api.page("models", model, "backtests", str(ready["backtest"]))
    places = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("report.json", json.dumps(ready["report"], indent=1)), ("report.html", page)):
            (folder / name).write_text(text)
            places.append({"path": str(folder / name)})
    except OSError as error:
        raise WrongUseError(f"{folder}: cannot be written: {error.strerror}; name another folder by --out") from error
    return places
