"""What all commands share: how they reach the API, how they tell a result, and how they end."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Concatenate, cast

import typer
from rich.console import Console, RenderableType

from propensity_cli.api import Api, open_session
from propensity_cli.connection import USUAL_FOLDER, connect
from propensity_cli.failures import OK, CommandError

SCHEMA = 1  # of what --json prints; docs/reference/cli.md describes it
WIDTH = 160  # of tables that go into a file or a pipe
BACKOFF = 0.5  # seconds before a question is asked a second time; doubled each time
_CONNECTION = "Connection"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command found. `answer` is printed with --json, `shown` without; `code` is the exit code."""

    answer: Any
    shown: Sequence[RenderableType] = field(default=())
    code: int = OK


@dataclass(frozen=True, slots=True)
class Talk:
    """What a command speaks with: the API, and a console on standard error for progress."""

    api: Api
    progress: Console


type Work[**P] = Callable[Concatenate[Talk, P], Outcome]


def _options(
    *,
    api_url: Annotated[
        str | None,
        typer.Option(
            envvar="PROPENSITY_API_URL",
            help="The stack's output ApiUrl.",
            rich_help_panel=_CONNECTION,
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="A profile of AWS that signs.", rich_help_panel=_CONNECTION, show_default=False)
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            help="The region that signs; by default the one in the API's address, then the profile's.",
            rich_help_panel=_CONNECTION,
            show_default=False,
        ),
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Speak to the local stack of `make up`.", rich_help_panel=_CONNECTION)
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            help=f"The folder of the local stack, with --local {USUAL_FOLDER}.",
            rich_help_panel=_CONNECTION,
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> None:
    """The options of every command."""


def command[**P](app: typer.Typer, name: str) -> Callable[[Work[P]], Work[P]]:
    """Make a function the command of this name. The command has the function's options, and those of every command.

    The function's docstring is the command's help. Its result is printed to standard output. An error goes to standard
    error, and ends the command with the error's exit code.
    """

    def register(work: Work[P]) -> Work[P]:
        @functools.wraps(work)
        def run(**given: Any) -> None:
            chosen = {option: given.pop(option) for option in common.parameters}
            code = _run(name, work, given, **chosen)
            raise typer.Exit(code)

        common = inspect.signature(_options, eval_str=True)
        own = inspect.signature(work, eval_str=True)
        _, *parameters = own.parameters.values()
        merged = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
        cast("Any", run).__signature__ = own.replace(
            parameters=[*merged, *common.parameters.values()], return_annotation=None
        )
        app.command(name)(run)
        return work

    return register


def _run(
    name: str,
    work: Callable[..., Outcome],
    given: dict[str, Any],
    *,
    api_url: str | None,
    profile: str | None,
    region: str | None,
    local: bool,
    folder: Path | None,
    as_json: bool,
) -> int:
    stdout, stderr = _console(), _console(stderr=True)
    try:
        place = folder or (USUAL_FOLDER if local else None)
        connection = connect(api_url=api_url, region=region, profile=profile, folder=place)
        with open_session(backoff=BACKOFF) as session:
            outcome = work(Talk(Api(connection, session), stderr), **given)
    except CommandError as error:
        stderr.print(f"{_title(error)}: {error}", markup=False, style="red", soft_wrap=True)
        if as_json:
            told = {"code": error.code, "kind": error.kind, "status": error.status, "message": str(error)}
            _print_json({"schema": SCHEMA, "command": name, "error": told})
        return error.code
    if as_json:
        _print_json({"schema": SCHEMA, "command": name, "answer": outcome.answer})
    else:
        for one in outcome.shown:
            stdout.print(one, markup=False, soft_wrap=isinstance(one, str))
    return outcome.code


def _title(error: CommandError) -> str:
    return f"{error.kind} ({error.status})" if error.status else error.kind


def _console(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    return console


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
