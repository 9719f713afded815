"""Puts one fault after the other into a copy of the repository, and looks which tests turn red there."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from tests.mutations.catalogue import ROOT, Mutation

# what a test of the copy does not need, and what is too big to copy
_LEFT = shutil.ignore_patterns(
    ".git", ".venv*", ".tools", "build", ".aws-sam", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info"
)
_TESTS_FAILED = 1  # pytest's exit code; 2 to 5 are a broken collection, a wrong call or no tests at all
_SECONDS = 900
_LIBRARIES = ["pytest", "hypothesis", "numpy", "scipy.stats", "sklearn.ensemble", "sklearn.linear_model", "skl2onnx"]
_LIBRARIES += ["onnxruntime", "duckdb", "deltalake", "pyarrow.parquet", "pydantic", "yaml", "boto3", "moto.server"]


class Outcome(StrEnum):
    RED = "red"
    SURVIVED = "SURVIVED"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Result:
    """`note` names the tests that stayed green, or why the mutation could not be judged."""

    slug: str
    outcome: Outcome
    seconds: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A run of pytest: its exit code, how each case ended, and the end of what it printed."""

    code: int
    cases: dict[tuple[str, str], str]
    said: str

    def ended(self, test: str) -> set[str]:
        """How the cases of one test ended: `passed`, `failed`, `error` or `skipped`. A test may have many cases."""
        file, _, name = test.partition("::")
        plain, given, parameters = name.partition("[")  # parameters may hold `::` too
        *classes, function = plain.split("::")
        module = ".".join((*Path(file).with_suffix("").parts, *classes))
        wanted = f"{function}{given}{parameters}"
        return {
            outcome
            for (place, case), outcome in self.cases.items()
            if place == module and (case == wanted or (not given and case.startswith(f"{function}[")))
        }


def copied(to: Path, root: Path = ROOT) -> Path:
    """The repository as it stands, changes that are not committed included, without what was built or installed."""
    shutil.copytree(root, to, ignore=_LEFT, symlinks=True)
    return to


@contextmanager
def put_into(copy: Path, entry: Mutation) -> Iterator[None]:
    """The fault stands in the copy within the block only. Raises: CatalogueError."""
    path = copy / entry.file
    before = path.read_text()
    _write(path, entry.mutated(before))
    try:
        yield
    finally:
        _write(path, before)


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    if path.suffix == ".py":
        # bytecode is valid by size and whole second: of two versions of one second, the older could run
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def run_tests(copy: Path, tests: Iterable[str]) -> Judged:
    """Runs tests of the copy, in one process and with one seed, so that a second run says the same."""
    report, said = copy / "mutation.xml", copy / "mutation.log"
    report.unlink(missing_ok=True)
    said.write_text("")
    process = _processes().Process(target=_pytest, args=(copy, report, said, list(tests)))
    process.start()
    process.join(_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        return Judged(code=-1, cases={}, said=f"no end after {_SECONDS} s")
    cases = _cases(report) if report.exists() else {}
    return Judged(code=process.exitcode, cases=cases, said="\n".join(said.read_text().splitlines()[-15:]))


@cache
def _processes() -> ForkServerContext:
    """Processes that are forked from one that has loaded the libraries: loading them takes longer than most tests."""
    # a library reads these when it is loaded, before the copy's conftest can say so
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("PYTHON_CPU_COUNT", "1")
    context = get_context("forkserver")
    context.set_forkserver_preload(_LIBRARIES)
    return context


def _pytest(copy: Path, report: Path, said: Path, tests: list[str]) -> None:
    """Becomes a run of pytest in the copy: nothing of the repository itself stays loaded or can be found."""
    log = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(copy)
    own = [str(copy / "shared/src"), str(copy)]
    os.environ["PYTHONPATH"] = os.pathsep.join(own)  # of processes that a test starts
    here = {"", str(ROOT), str(ROOT / "shared/src"), "shared/src", "."}
    sys.path[:] = own + [path for path in sys.path if path not in here]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("tests", "propensity", "functions")]:
        del sys.modules[name]
    options = ["-n0", "-q", "--no-header", "--tb=line", f"--junitxml={report}", "--hypothesis-seed=0"]
    code = int(pytest.main([*options, *tests]))
    sys.stdout.flush()
    os._exit(code)


def _cases(report: Path) -> dict[tuple[str, str], str]:
    ended = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest's own report
        found = {child.tag for child in case}
        outcome = next((one for one in ("error", "failure", "skipped") if one in found), "passed")
        ended[case.get("classname", ""), case.get("name", "")] = "failed" if outcome == "failure" else outcome
    return ended


def not_green(copy: Path, entries: Sequence[Mutation]) -> list[str]:
    """Tests that do not pass without any fault: their red would prove nothing."""
    tests = list(dict.fromkeys(test for entry in entries for test in entry.tests))
    judged = run_tests(copy, tests)
    ends = {test: judged.ended(test) for test in tests}
    found = [f"{test}: {', '.join(sorted(end)) or 'not run'}" for test, end in ends.items() if end != {"passed"}]
    return [*found, judged.said] if found or judged.code else []


def judge(copy: Path, entry: Mutation) -> Result:
    """Red: each named test failed. A fixture or an import that fails is an error, for it proves nothing of the test."""
    began = time.monotonic()
    with put_into(copy, entry):
        judged = run_tests(copy, entry.tests)
    seconds = time.monotonic() - began
    green = [test for test in entry.tests if "failed" not in judged.ended(test)]
    if judged.code not in (0, _TESTS_FAILED) or any("error" in judged.ended(test) for test in green):
        return Result(entry.slug, Outcome.ERROR, seconds, f"pytest ended with {judged.code}: {judged.said}")
    if green:
        return Result(entry.slug, Outcome.SURVIVED, seconds, f"stayed green: {', '.join(green)}")
    return Result(entry.slug, Outcome.RED, seconds)


def judge_all(copy: Path, entries: Sequence[Mutation], tell: Callable[[str], None]) -> list[Result]:
    """Each entry's result, told as it comes."""
    results = []
    for number, entry in enumerate(entries, start=1):
        result = judge(copy, entry)
        results.append(result)
        tell(f"[{number}/{len(entries)}] {result.outcome:8} {result.seconds:6.1f} s  {entry.slug}")
        if result.note:
            tell(f"    {result.note}")
    return results
