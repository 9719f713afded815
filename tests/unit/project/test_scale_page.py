"""The figures of docs/why/scale.md follow from its inputs, and the inputs that are settings are those of the stack."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.bench import arithmetic

ROOT = Path(__file__).resolve().parents[3]
PAGE = arithmetic.PAGE.read_text()
INPUTS = arithmetic.inputs(PAGE)
TEMPLATE = (ROOT / "template.yaml").read_text()


def block(name: str) -> str:
    """A resource or a parameter of the template, as text."""
    [found] = re.findall(rf"^  {name}:(.*?)(?=^  \w|^\w|^\n  #)", TEMPLATE, re.MULTILINE | re.DOTALL)
    return str(found)


def number(pattern: str, text: str) -> float:
    [found] = re.findall(pattern, text, re.MULTILINE)
    return float(found)


def test_every_result_on_the_page_is_what_its_formula_gives() -> None:
    assert arithmetic.results(PAGE, INPUTS)
    assert arithmetic.rewritten(PAGE) == PAGE, "run .venv/bin/python -m tests.bench.arithmetic --write"


def test_every_input_is_used_by_a_formula() -> None:
    formulas = " ".join(re.findall(r"^\| `\w+` \| `([^`]+)` \|", PAGE, re.MULTILINE))
    assert {name for name in INPUTS if not re.search(rf"\b{name}\b", formulas)} == set()


def test_the_inputs_that_are_settings_are_those_of_the_stack() -> None:
    workflow = json.loads((ROOT / "functions/workflows/score_population.asl.json").read_text())
    maps = [state for state in workflow["States"].values() if state["Type"] == "Map"]
    assert {state["MaxConcurrency"] for state in maps} == {INPUTS["concurrency"]}
    assert len(maps) == INPUTS["maps"]
    assert number(r"Default: (\d+)", block("RowsPerItem")) == INPUTS["rows_per_item"]
    pack = (ROOT / "shared/src/propensity/packs/automotive/pack.yaml").read_text()
    assert number(r"^buckets: (\d+)$", pack) == INPUTS["buckets"]
    assert number(r"LargeMemory: \{Type: Number, Default: (\d+)", TEMPLATE) == INPUTS["memory_mb"]
    assert number(r"EphemeralStorage: \{Size: (\d+)\}", TEMPLATE) == INPUTS["tmp_mb"]
    assert {number(r"Timeout: (\d+)", block(name)) for name in ("RankRun", "CommitRun")} == {INPUTS["one_timeout_s"]}
    steps = ("BuildFeatures", "ScoreShard", "LabelShard", "PublishScores")
    assert {number(r"Timeout: (\d+)", block(name)) for name in steps} == {INPUTS["item_timeout_s"]}


def test_an_input_of_ones_own_changes_what_rests_on_it_and_nothing_else() -> None:
    before = arithmetic.results(PAGE, INPUTS)
    after = arithmetic.results(PAGE, {**INPUTS, "customers": INPUTS["customers"] / 10})
    assert after["silver_rows"] == pytest.approx(before["silver_rows"] / 10)
    assert after["item_customers"] == pytest.approx(before["item_customers"], rel=0.05)


@pytest.mark.parametrize("formula", ["__import__('os')", "customers ** 2", "customers if 1 else 2"])
def test_a_formula_is_arithmetic_alone(formula: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        arithmetic.results(f"| `x` | `{formula}` | 1 |", INPUTS)


def test_a_name_that_the_page_has_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert arithmetic.main(["clients=5"]) == 2
    assert "clients=5: expected name=value, of customers" in capsys.readouterr().err
    assert arithmetic.main(["customers=1e6", "models=1"]) == 0
    told = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert told["silver_rows"] == arithmetic.shown(1_000_000 * INPUTS["silver_rows_each"])
