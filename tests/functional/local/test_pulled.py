"""The rows of a list's file, as the programs that people open it with read them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.stack.pulled import READERS, plainly, same

FILE = (
    "\ufeffcustomer_id,score,decile,reasons\n"
    'C001,0.12345678901234568,10,"lease, ""ends"" soon; 375 €"\n'
    "C002,1e-07,9,'=1+1\n"
    "C003,0.5,9,\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "part-0001.csv"
    path.write_text(FILE, "utf-8")
    return path


@pytest.mark.parametrize("program", READERS)
def test_a_program_reads_the_rows_that_the_file_has(path: Path, program: str) -> None:
    if program == "LibreOffice" and shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not on this machine")
    shown = READERS[program](path)
    assert shown is not None
    assert same(shown, plainly(path))


@pytest.mark.parametrize(
    "shown",
    [
        [["C001", "0.5"]],
        [["C001", "0.5"], ["C02", "0.25"]],
        [["C001", "0.5"], ["C002", "0.2500001"]],
        [["C001", "0.5"], ["2", "0.25"]],
    ],
    ids=["a row less", "another id", "another score", "an id of a number"],
)
def test_other_rows_are_not_the_same(shown: list[list[str]]) -> None:
    assert not same(shown, [["C001", "0.5"], ["002", "0.25"]])


def test_an_id_of_digits_is_compared_as_text() -> None:
    assert not same([["7"]], [["007"]])
    assert same([["0.0000001"]], [["1e-07"]])
