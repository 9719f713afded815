"""The reference page has every command, option and exit code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from propensity_cli import failures
from propensity_cli.commands import SCHEMA
from propensity_cli.main import app

PAGE = (Path(__file__).resolve().parents[3] / "docs/reference/cli.md").read_text()
COMMANDS = dict(vars(get_command(app))["commands"])


def test_the_page_has_every_command_and_what_its_json_holds() -> None:
    listed, told = PAGE.partition("## JSON")[0], PAGE.partition("`answer` per command:")[2]
    rows = re.findall(r"^\| `(\w+)[ `]", listed.partition("## Commands")[2].partition("###")[0], re.MULTILINE)
    assert sorted(rows) == sorted(COMMANDS)
    first_cells = re.findall(r"^\| (`.+?`) \|", told, re.MULTILINE)
    assert sorted(name for cell in first_cells for name in re.findall(r"\w+", cell)) == sorted(COMMANDS)
    assert f'{{"schema": {SCHEMA}, ' in PAGE


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_page_has_every_option(name: str) -> None:
    options = {word for one in COMMANDS[name].params for word in (*one.opts, *one.secondary_opts) if word[:2] == "--"}
    assert options - {"--help", "--wait"} <= set(re.findall(r"--[a-z-]+", PAGE))


def test_the_page_has_every_exit_code() -> None:
    codes = {value for name, value in vars(failures).items() if name.isupper()}
    table = PAGE.partition("## Exit codes")[2].partition("##")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == codes
