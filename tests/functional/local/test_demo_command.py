"""make demo, without a real stack: however it ends, it ends the stack too, unless it was asked to keep it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.stack import bridge, demo, pulled, scenarios, up, watch, why
from tests.stack.stack import ROOT, Stack, StackError

OUTPUTS = {name: name for name in ("LandingBucket", "LakeBucket", "StartDueRuns", "ScorePopulation", "ApiId")}


@dataclass
class Standing(Stack):
    """Stands for a started stack, and counts how often it was ended."""

    ended: int = 0

    def down(self) -> None:
        self.ended += 1

    def resources(self, *kinds: str) -> dict[str, str]:
        return {"StartDueRuns": "propensity-StartDueRuns-1"}


PROVEN: dict[str, Any] = {
    "model": "buy",
    "short_of": None,
    "proof": {"difference": {"value": 0.15, "low": 0.12, "high": 0.18}, "positives": 900},
}
RECEIPT: dict[str, Any] = {
    "model": "buy",
    "model_version": 1,
    "destination": "plain",
    "as_of": "2025-07-15",
    "population": 18,
    "arms": {"exported": 10, "held_out": 2, "suppressed": 6},
    "why": {"exported": {"listed": 10}, "held_out": {"holdout": 2}, "suppressed": {"no_consent": 3, "household": 3}},
}
LISTED = pulled.Pulled("dealer_14", {"receipt": RECEIPT}, {"pandas": 10, "LibreOffice": None})


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Standing:
    stack = Standing(tmp_path / "stack", "http://127.0.0.1:1", os.getpid(), "automotive", OUTPUTS)
    stack.folder.mkdir()
    monkeypatch.setattr(demo, "ROOT", tmp_path)
    monkeypatch.setattr(demo, "start", lambda pack, folder: stack)
    scenario = SimpleNamespace(gap_model="buy", gap_day=date(2025, 7, 15))
    monkeypatch.setattr(scenarios, "make", lambda pack, data, out: scenario)
    monkeypatch.setattr(pulled, "backtest", lambda *_: PROVEN)
    monkeypatch.setattr(pulled, "pull", lambda *_: LISTED)
    monkeypatch.setattr(demo, "run", lambda *_: ({}, {}))
    monkeypatch.setattr(demo, "summarise", lambda *_: {})
    monkeypatch.setattr(sys, "argv", ["make demo", "--pack", "automotive", "--json"])
    return stack


@pytest.mark.parametrize("command", ["demo", "up", "watch", "why", "bridge", "down"])
def test_what_runs_beside_the_stack_needs_nothing_of_the_product(command: str) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    said = subprocess.run(
        [sys.executable, "-m", f"tests.stack.{command}", "--help"], cwd=ROOT, env=plain, capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    assert "usage:" in said.stdout


def test_a_demo_ends_its_stack_and_writes_its_summary(standing: Standing, tmp_path: Path) -> None:
    assert demo.main() == 0
    assert standing.ended == 1
    assert (tmp_path / "build/demo/automotive/summary.json").is_file()
    assert not (standing.folder / "env").exists()


def test_a_demo_tells_the_list_that_it_pulled(
    standing: Standing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "table", lambda *_: None)
    monkeypatch.setattr(sys, "argv", [one for one in sys.argv if one != "--json"])
    assert demo.main() == 0
    told = " ".join(capsys.readouterr().out.split())
    for said in (
        "15.0 more convert",
        "95 %: 12.0–18.0; 900",
        "no_consent │ (3)",
        "18 of 18",
        "pandas opens the file, 10",
    ):
        assert said in told
    assert "LibreOffice is not on this machine" in told
    assert json.loads((tmp_path / "build/demo/automotive/summary.json").read_text())["list"]["receipt"]["arms"]


def test_a_demo_whose_backtest_lets_no_list_leave_says_why(
    standing: Standing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pulled, "backtest", lambda *_: {**PROVEN, "short_of": "12 conversions, expected 30"})
    assert demo.main() == 1
    assert standing.ended == 1
    assert "12 conversions, expected 30" in capsys.readouterr().err


def test_a_demo_that_is_to_leave_its_stack_says_how_to_speak_to_it(
    standing: Standing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--keep", str(standing.folder)])
    assert demo.main() == 0
    assert standing.ended == 0
    assert "export LAKE=LakeBucket" in (standing.folder / "env").read_text()
    assert f"make down FOLDER={standing.folder} ends it" in capsys.readouterr().err.replace("\n", "")


@pytest.mark.parametrize("usual", [True, False])
def test_a_stack_in_a_folder_of_its_own_prints_commands_with_the_folder(
    standing: Standing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], usual: bool
) -> None:
    monkeypatch.setattr(up, "attach", lambda folder: standing)
    monkeypatch.setattr(up, "USUAL", standing.folder if usual else up.USUAL)
    command = ["make up", "--pack", "automotive", "--folder", str(standing.folder), "--port", "1"]
    monkeypatch.setattr(sys, "argv", command)
    assert up.main() == 0
    said = capsys.readouterr().out
    for name in ("make watch", "make why WHAT=…", "make down"):
        [line] = [line.strip() for line in said.splitlines() if line.strip().startswith(name)]
        assert (f"{name} FOLDER={standing.folder}" in line) != usual


@pytest.mark.parametrize("when", ["make", "run"], ids=["while it deploys", "while it runs"])
@pytest.mark.parametrize("keep", [False, True])
def test_an_interrupted_demo_ends_its_stack(
    standing: Standing, monkeypatch: pytest.MonkeyPatch, when: str, keep: bool
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(scenarios if when == "make" else demo, when, interrupted)
    if keep:
        monkeypatch.setattr(sys, "argv", [*sys.argv, "--keep", str(standing.folder)])
    with pytest.raises(KeyboardInterrupt):
        demo.main()
    assert standing.ended == 1


def test_a_demo_that_fails_says_why_and_ends_its_stack(
    standing: Standing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: Any) -> None:
        raise StackError("execution train-buy FAILED")

    monkeypatch.setattr(demo, "run", failing)
    assert demo.main() == 1
    assert standing.ended == 1
    assert "execution train-buy FAILED" in capsys.readouterr().err


@pytest.mark.parametrize("ran", [False, True], ids=["started", "ran already"])
def test_every_command_that_up_prints_names_its_folder(
    standing: Standing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, ran: bool
) -> None:
    """A shell reads each command as it is printed, in a folder with a blank too."""
    folder = tmp_path / "my stacks" / "one"
    folder.mkdir(parents=True)
    stack = replace(standing, folder=folder)
    monkeypatch.setattr(up, "attach", lambda _: stack if ran else None)
    monkeypatch.setattr(up, "start", lambda *_, **__: stack)
    monkeypatch.setattr(sys, "argv", ["make up", "--pack", stack.pack, "--folder", str(folder), "--port", "4600"])
    assert up.main() == 0
    said = capsys.readouterr().out
    commands = re.findall(r"make (?:up|down|watch|why)\b[^`#\n]*", said)
    assert {command.split()[1] for command in commands} >= {"watch", "why", "down"}
    assert [shlex.split(command)[-1] for command in commands] == [f"FOLDER={folder}"] * len(commands)
    [sourced] = [line for line in said.splitlines() if line.strip().startswith("source ")]
    assert (Path.cwd() / shlex.split(sourced, comments=True)[1]).resolve() == folder / "env"


@pytest.mark.parametrize("command", [watch, why, bridge])
def test_a_command_without_a_stack_says_how_to_start_one_in_its_folder(
    command: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    what = ["--what", "x"] if command is why else []
    monkeypatch.setattr(sys, "argv", ["make it", "--folder", str(tmp_path / "none"), *what])
    assert command.main() != 0
    assert f"`make up FOLDER={tmp_path / 'none'}` starts one" in capsys.readouterr().err
