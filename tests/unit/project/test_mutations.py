"""The hand-picked mutations still fit the code; `make mutations` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutations.catalogue import CatalogueError, Mutation, chosen, faults, read_catalogue
from tests.mutations.runner import Outcome, copied, judge, not_green, put_into

ENTRIES = read_catalogue()
CODE = "def half(number: int) -> int:\n    return number // 2\n"
TEST = "from code_here import half\n\n\ndef test_half() -> None:\n    assert half(7) == 3\n"


def entry(**fields: object) -> Mutation:
    given = {
        "slug": "halves-round-up",
        "kind": "Halves are rounded up.",
        "file": "shared/src/code_here.py",
        "old": "number // 2",
        "new": "-(-number // 2)",
        "tests": ("tests/test_here.py::test_half",),
        "group": "here",
    }
    return Mutation.model_validate({**given, **fields})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "shared/src").mkdir(parents=True)
    (root / "tests").mkdir()
    (root / "shared/src/code_here.py").write_text(CODE)
    (root / "tests/test_here.py").write_text(TEST)
    (root / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\n')
    return root


@pytest.mark.parametrize("mutation", ENTRIES, ids=lambda mutation: mutation.slug)
def test_a_mutation_fits_the_code_and_names_tests_that_are_there(mutation: Mutation) -> None:
    assert faults(mutation) == []


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"file": "shared/src/gone.py"}, "is not there"),
        ({"old": "number // 3"}, "stands 0 times"),
        ({"old": "number"}, "stands 2 times"),
        ({"new": "number // 2"}, "`new` is `old`"),
        ({"new": "number //"}, "is no Python"),
        ({"tests": ("tests/test_here.py::test_third",)}, "no test is named"),
        ({"tests": ("tests/test_gone.py::test_half",)}, "no test is named"),
    ],
)
def test_an_entry_that_does_not_fit_is_named(fields: dict[str, object], fault: str, repository: Path) -> None:
    [told] = faults(entry(**fields), repository)
    assert "halves-round-up" in told
    assert fault in told


def test_a_slug_stands_once_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    line = "- {slug: same, kind: A fault of some kind., file: f.py, old: a, new: b, tests: ['t.py::test_t']}\n"
    (tmp_path / "one.yaml").write_text(line)
    (tmp_path / "two.yaml").write_text(line)
    with pytest.raises(CatalogueError, match="slugs stand twice: same"):
        read_catalogue(tmp_path)
    with pytest.raises(CatalogueError, match="no entry or group is named halves"):
        chosen([entry()], slugs=["halves"], groups=[])


def test_red_and_survived_and_an_error_are_three_outcomes(repository: Path, tmp_path: Path) -> None:
    copy = copied(tmp_path / "copy", repository)
    assert not_green(copy, [entry()]) == []
    assert judge(copy, entry()).outcome is Outcome.RED
    survived = judge(copy, entry(new="number // 2 + 0"))
    assert survived.outcome is Outcome.SURVIVED
    assert "test_half" in survived.note
    assert judge(copy, entry(old="def half", new="def third")).outcome is Outcome.ERROR
    assert (copy / "shared/src/code_here.py").read_text() == CODE


def test_one_case_of_many_may_be_named(repository: Path, tmp_path: Path) -> None:
    cases = "@pytest.mark.parametrize('number', [8, 7], ids=['a::even', 'odd [7]'])\n"
    many = TEST.replace("def test_half()", f"{cases}def test_half(number)").replace("half(7) == 3", "half(number) < 5")
    (repository / "tests/test_here.py").write_text(f"import pytest\n{many}")
    copy, named = copied(tmp_path / "copy", repository), "tests/test_here.py::test_half"
    fault = {"new": "number - 3"}  # 5 of 8, and 4 of 7
    assert judge(copy, entry(**fault, tests=(f"{named}[a::even]",))).outcome is Outcome.RED
    assert judge(copy, entry(**fault, tests=(f"{named}[odd [7]]",))).outcome is Outcome.SURVIVED
    assert judge(copy, entry(**fault, tests=(named,))).outcome is Outcome.RED


def test_tests_that_fail_without_a_mutation_are_told(repository: Path, tmp_path: Path) -> None:
    (repository / "shared/src/code_here.py").write_text(CODE.replace("// 2", "// 3"))
    told = not_green(copied(tmp_path / "copy", repository), [entry(old="number // 3")])
    assert told[0] == "tests/test_here.py::test_half: failed"


def test_a_fault_is_in_the_copy_only_while_it_is_judged(repository: Path, tmp_path: Path) -> None:
    copy = copied(tmp_path / "copy", repository)
    with put_into(copy, entry()):
        assert "-(-number // 2)" in (copy / "shared/src/code_here.py").read_text()
    assert (copy / "shared/src/code_here.py").read_text() == CODE
    assert (repository / "shared/src/code_here.py").read_text() == CODE
