"""One deployed stack for the whole session, started and ended by the commands that people use."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.stack import demo, scenarios
from tests.stack.lake import Lake
from tests.stack.stack import ROOT, Stack, attach, free_port
from tests.stack.summary import summarise

FOLDER = "build/stack/test"


@pytest.fixture(scope="session")
def shell() -> dict[str, str]:
    """The environment of a person's shell, with a folder and a port of the tests' own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE", "MFLAGS"))}
    return {**kept, "FOLDER": FOLDER, "PORT": str(free_port())}


def say(command: str, shell: dict[str, str]) -> str:
    """Run a command at the project's root, as a person would; its output."""
    done = subprocess.run(["bash", "-euc", command], cwd=ROOT, env=shell, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def stack(shell: dict[str, str]) -> Iterator[Stack]:
    say("make down; make up", shell)
    found = attach(ROOT / FOLDER)
    assert found is not None
    yield found
    assert found.endpoint in say("make down", shell)
    assert attach(ROOT / FOLDER) is None


@dataclass(frozen=True)
class Run:
    """A small demo that ran on the stack."""

    scenario: scenarios.Scenario
    lake: Lake
    receipt: dict[str, Any]
    summary: dict[str, Any]
    out: Path


@pytest.fixture(scope="session")
def ran(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The demo's whole loop on three dealers."""
    out = tmp_path_factory.mktemp("demo")
    scenario = scenarios.automotive(out / "data", dealers=3, customers=2_000)
    lake = Lake(stack, out / "lake")
    datasets, receipt = demo.run(scenario, stack, lake, demo.Progress(Console(quiet=True)))
    return Run(scenario, lake, receipt, summarise("automotive", scenario, lake, datasets, receipt, out), out)
