"""`export`, `exports` and `recall`: lists for a destination."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from propensity_cli import tables
from propensity_cli.commands import Outcome, Talk, command
from propensity_cli.failures import ServiceFailedError, WrongUseError
from propensity_cli.transfer import LinkExpiredError, checked_name, download, is_there
from propensity_cli.waiting import wait_for


class Household(StrEnum):
    """Who of a household is contacted."""

    best = "best"
    each = "each"


class Way(StrEnum):
    """The way in which movers moved among the tenant's customers."""

    up = "up"
    down = "down"


class FileFormat(StrEnum):
    """The formats of a list's files."""

    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"


def register(app: typer.Typer) -> None:
    command(app, "export")(export)
    command(app, "exports")(exports)
    command(app, "recall")(recall)


def export(
    talk: Talk,
    tenant: Annotated[str, typer.Argument(help="Whose customers.")],
    *,
    model: Annotated[str, typer.Option(help="A model of the pack.")],
    destination: Annotated[str, typer.Option(help="A destination of the pack.")],
    decile: Annotated[
        list[int] | None,
        typer.Option(min=1, max=10, help="Take this decile only; may be given again. 10: the likeliest."),
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="So many at most, with those held back.")] = None,
    capacity: Annotated[int | None, typer.Option(min=1, help="So many at most who are contacted.")] = None,
    moved: Annotated[Way | None, typer.Option(help="Who rose or fell since the batch before.")] = None,
    by: Annotated[int | None, typer.Option(min=1, max=99, help="Percentiles that they moved at least.")] = None,
    holdout: Annotated[float | None, typer.Option(help="Share of households never contacted, 0 to 0.5.")] = None,
    household: Annotated[Household | None, typer.Option(help="Contact the likeliest member, or each.")] = None,
    not_within_days: Annotated[int | None, typer.Option(help="Leave out who was on a list in so many days.")] = None,
    fresh_days: Annotated[int | None, typer.Option(help="Score anew whose score is older than so many days.")] = None,
    review_band: Annotated[
        int | None,
        typer.Option(
            min=0, max=20, help="Let customers wait for review so many points of the ranking from the cut; 0: none."
        ),
    ] = None,
    file_format: Annotated[
        FileFormat | None, typer.Option("--format", help="Of the files; by default the destination's.")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Send a whole list to a destination that takes changes.")
    ] = False,
    as_of: Annotated[
        str | None, typer.Option(help="Day of population and scores, YYYY-MM-DD; by default today.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="Names the request. By default made from the options and the day: a repeat is the same list."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the files; by default one named after the list.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait and download, or only ask for the list.")] = True,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait.")] = 3600,
) -> Outcome:
    """Ask for a list, wait for it, download its files, and show its receipt."""
    if top is not None and capacity is not None:
        raise WrongUseError(
            "--top and --capacity exclude each other: --top counts those held back, --capacity does not"
        )
    if by is not None and moved is None:
        raise WrongUseError("--by is the least change of those who moved; give --moved up or --moved down beside it")
    chosen = {"deciles": decile or None, "top": top, "capacity": capacity, "moved": moved and moved.value, "by": by}
    given: dict[str, Any] = {
        "filter": {name: value for name, value in chosen.items() if value is not None} or None,
        "holdout": holdout,
        "household": household and household.value,
        "not_within_days": not_within_days,
        "fresh_days": fresh_days,
        "review_band": review_band,
        "format": file_format and file_format.value,
        "reset": reset or None,
        "as_of": as_of,
    }
    body = {"model": model, "destination": destination}
    body |= {name: value for name, value in given.items() if value is not None}
    named = key if key is not None else request_key(tenant, body, day=_today())
    asked = talk.api.post("tenants", tenant, "exports", body=body, key=named)
    return _fetched(talk, tenant, asked, out=out, wait=wait, timeout=timeout)


def recall(
    talk: Talk,
    tenant: Annotated[str, typer.Argument(help="Whose list.")],
    name: Annotated[str, typer.Argument(metavar="EXPORT", help="The list that was wrong.")],
    *,
    why: Annotated[str, typer.Option(help="The reason, which is kept. Never write a person into it.")],
    key: Annotated[
        str | None,
        typer.Option(help="Names the recall. By default made from the list and the day: a repeat is the same recall."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the files; by default one named after it.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait and download, or only ask for it.")] = True,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait.")] = 3600,
) -> Outcome:
    """Recall a list that was wrong: download whom to remove, and the list without them."""
    named = key if key is not None else request_key(tenant, {"recall": name}, day=_today())
    asked = talk.api.post("tenants", tenant, "exports", name, "recall", body={"why": why}, key=named)
    return _fetched(talk, tenant, asked, out=out, wait=wait, timeout=timeout)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _fetched(
    talk: Talk, tenant: str, asked: dict[str, Any], *, out: Path | None, wait: bool, timeout: float
) -> Outcome:
    """Wait for a list that was asked for, and download its files."""
    name = str(asked["export"])
    if not wait:
        return Outcome(_told(asked), [f"{name} is {asked['state']}; the same command without --no-wait downloads it"])

    def look() -> tuple[str, dict[str, Any] | None]:
        return _stands(talk.api.get("tenants", tenant, "exports", name))

    ready = _stands(asked)[1] or wait_for(look, seconds=timeout, progress=talk.progress, what=f"list {name}")
    shown = tables.receipt_tables(ready["receipt"])
    places = _save(talk, tenant, ready, out or Path(checked_name(name)))
    saved = tables.rows("saved", ("path", "rows", "bytes"), places)
    return Outcome({**_told(ready), "files": places}, [*shown, saved])


def request_key(tenant: str, body: Mapping[str, Any], *, day: str) -> str:
    """The Idempotency-Key of a request: the same for the same options on the same day (UTC).

    The day is a part of it, for a list of today must not answer next month's request.
    """
    meaning = json.dumps([tenant, body], sort_keys=True)
    return f"cli-{day}-{hashlib.sha256(meaning.encode()).hexdigest()[:32]}"


def _stands(found: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    if found["state"] == "failed":
        raise ServiceFailedError(
            f"list {found['export']} failed: {found.get('reason')}; once the cause is mended, ask with another --key"
        )
    if found["state"] == "erased":
        raise ServiceFailedError(f"list {found['export']}: {found.get('reason')}, with another --key")
    return str(found["state"]), found if found["state"] == "ready" else None


def _told(found: Mapping[str, Any]) -> dict[str, Any]:
    """An answer without its links: whoever has a link can read the file."""
    answer = dict(found)
    if "files" in answer:
        hidden = ("url", "seconds")
        answer["files"] = [{name: file[name] for name in file if name not in hidden} for file in answer["files"]]
    return answer


def _save(talk: Talk, tenant: str, ready: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Download the files of a list that are not in the folder yet; each with its path."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WrongUseError(f"{folder}: cannot be made: {error.strerror}; name another folder by --out") from error
    names = [checked_name(str(file["file"])) for file in ready["files"]]
    links, saved = {str(file["file"]): file for file in ready["files"]}, []
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=talk.progress, disable=not talk.progress.is_terminal) as progress:
        for name in names:
            path, file = folder / name, links[name]
            if not is_there(path, file):
                task = progress.add_task(name, total=file["bytes"])

                def took(count: int, task: Any = task) -> None:
                    progress.advance(task, count)

                try:
                    download(talk.api.session, file, path, took=took)
                except LinkExpiredError:
                    # links live for minutes, and the files before this one may have taken longer
                    again = talk.api.get("tenants", tenant, "exports", str(ready["export"]))
                    links = {str(one["file"]): one for one in again.get("files", ())}
                    progress.reset(task)
                    download(talk.api.session, links.get(name, file), path, took=took)
            told = {field: file[field] for field in ("file", "rows", "bytes", "sha256")}
            saved.append({**told, "path": str(path)})
    return saved


def exports(
    talk: Talk,
    tenant: Annotated[str, typer.Argument(help="Whose lists.")],
    name: Annotated[str | None, typer.Argument(metavar="[EXPORT]", help="One list, with its receipt.")] = None,
) -> Outcome:
    """The lists of a tenant, or one list with its receipt. Nothing is downloaded."""
    if name is None:
        found = talk.api.get("tenants", tenant, "exports")
        columns = ("export", "at", "model", "destination", "ready")
        return Outcome(found, [tables.rows(f"lists of {tenant}", columns, found["exports"])])
    found = talk.api.get("tenants", tenant, "exports", name)
    told = {field: found.get(field) for field in ("export", "state", "reason", "by", "at") if found.get(field)}
    receipt = tables.receipt_tables(found["receipt"]) if "receipt" in found else []
    return Outcome(_told(found), [tables.fields("", told), *receipt])
