"""`drop` and `status`: files in, and what became of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from propensity_cli import tables
from propensity_cli.commands import Outcome, Talk, command
from propensity_cli.failures import OK, REFUSED, WrongUseError
from propensity_cli.transfer import upload
from propensity_cli.waiting import wait_for

_FILE_COLUMNS = ("key", "status", "rows_in", "bronze", "quarantine", "promoted", "told")


def register(app: typer.Typer) -> None:
    command(app, "drop")(drop)
    command(app, "status")(status)


def drop(
    talk: Talk,
    file: Annotated[Path, typer.Argument(help="A file as the dataset's contract takes it.")],
    *,
    dataset: Annotated[str, typer.Option(help="A dataset of the pack.")],
    tenant: Annotated[str, typer.Option(help="Who sends the file.")],
    name: Annotated[
        str | None, typer.Option(help="Name in the landing bucket, such as 2026/sales.csv; by default the file's own.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the file's report, or only send it.")] = True,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait.")] = 900,
) -> Outcome:
    """Send a file, wait until its rows are taken in or refused, and show its report."""
    try:
        with file.open("rb") as content:
            size = file.stat().st_size
            body = {"dataset": dataset, "file": name or file.name, "size": size}
            link = talk.api.post("tenants", tenant, "uploads", body=body)
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
            with (
                Progress(*columns, console=talk.progress, disable=not talk.progress.is_terminal) as progress,
                progress.wrap_file(content, total=size, description=file.name) as watched,
            ):
                day = upload(talk.api.session, link, watched, file.name)
    except OSError as error:
        raise WrongUseError(f"{file}: cannot be read: {error.strerror}") from error
    key = str(link["key"])
    sent = {"tenant_id": tenant, "dataset": dataset, "key": key}
    if not wait:
        return Outcome(
            {**sent, "day": day, "file": None}, [f"{key} was sent; `propensity status {tenant} {day}` tells more"]
        )
    # the store takes the file's time before it answers, so near midnight the file may be of the day before
    days = (day, (date.fromisoformat(day) - timedelta(days=1)).isoformat())

    def look() -> tuple[str, tuple[str, Mapping[str, Any]] | None]:
        found = [(one, entry) for one in days for entry in _entries(talk, tenant, one, dataset, key)]
        if not found:
            return "not listed", None
        newest = max(found, key=lambda pair: str(pair[1]["arrived"]))
        if newest[1]["status"] == "waiting":
            return "not validated", None
        return "not in Silver", newest if newest[1]["promoted"] or not newest[1]["bronze"] else None

    landed_on, landed = wait_for(look, seconds=timeout, progress=talk.progress, what=key)
    refused = landed["status"] == "rejected"
    shown = tables.rows("", _FILE_COLUMNS, [{**landed, "told": tables.why_of(landed)}])
    return Outcome({**sent, "day": landed_on, "file": landed}, [shown], REFUSED if refused else OK)


def _entries(talk: Talk, tenant: str, day: str, dataset: str, key: str) -> list[Mapping[str, Any]]:
    datasets = talk.api.get("tenants", tenant, "landings", day)["datasets"]
    return [file for one in datasets if one["dataset"] == dataset for file in one["files"] if file["key"] == key]


def status(
    talk: Talk,
    tenant: Annotated[str, typer.Argument(help="Whose files.")],
    day: Annotated[str | None, typer.Argument(help="Day of arrival in UTC, YYYY-MM-DD; by default today.")] = None,
) -> Outcome:
    """Which files of a tenant landed on a day, and what became of each."""
    asked = datetime.now(UTC).date().isoformat() if day is None else day
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", asked):
        raise WrongUseError(f"day: {asked!r}, expected YYYY-MM-DD")
    found = talk.api.get("tenants", tenant, "landings", asked)
    columns = ("dataset", "received", "expected", "last_day_before", "usual_gap_days")
    files = [{**file, "told": tables.why_of(file)} for one in found["datasets"] for file in one["files"]]
    shown = [tables.rows(f"{tenant} on {asked}", columns, found["datasets"])]
    return Outcome(found, [*shown, tables.rows("files", _FILE_COLUMNS, files)] if files else shown)
