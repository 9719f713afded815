"""The tests that tests/kit/README.md shows run as they stand there, and it says what each module of the kit gives."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KIT = Path(__file__).resolve().parents[2] / "kit"
README = KIT / "README.md"
_EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_LINES = 10


def examples() -> list[str]:
    """Each block of Python on the page, behind as many empty lines as stand before it: a traceback names its line."""
    page = README.read_text()
    return ["\n" * page[: found.start(1)].count("\n") + found[1] for found in _EXAMPLE.finditer(page)]


def loaded(example: str) -> dict[str, Callable[..., None]]:
    """The tests of an example by name."""
    names: dict[str, Any] = {"__name__": "kit_example"}
    exec(compile(example, README, "exec"), names)  # noqa: S102 - our own page
    return {name: value for name, value in names.items() if name.startswith("test_")}


def test_the_page_shows_a_file_a_score_and_a_law_each_in_ten_lines() -> None:
    lines = [sum(bool(line.strip()) for line in example.splitlines()) for example in examples()]
    assert len(lines) == 3
    assert max(lines) <= MOST_LINES


@pytest.mark.parametrize("example", examples(), ids=["file", "score", "law"])
def test_an_example_of_the_page_runs_as_it_stands(example: str, tmp_path: Path) -> None:
    [test] = loaded(example).values()
    test(**({"tmp_path": tmp_path} if "tmp_path" in inspect.signature(test).parameters else {}))


def test_an_example_that_does_not_hold_is_told_with_its_line() -> None:
    [broken, *_] = [example.replace('("pieces", "required")', '("pieces", "type")') for example in examples()]
    [test] = loaded(broken).values()
    with pytest.raises(AssertionError) as failed:
        test()
    [*_, place] = failed.traceback
    assert README.read_text().splitlines()[place.lineno].lstrip().startswith("assert drops.quarantine")


def test_the_page_says_what_each_module_gives() -> None:
    [table] = re.findall(r"^## What each module gives\n(.*)", README.read_text(), re.MULTILINE | re.DOTALL)
    told = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(told) == sorted(path.stem for path in KIT.glob("*.py") if path.stem != "__init__")
