"""Processes that work on one lake at once, as functions do, forked from one that has imported what they need."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

# to import these takes a second, which each of 24 processes on two cores would otherwise spend
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["tests.kit.promoters", "tests.kit.tables", "tests.kit.measured", "pyarrow.parquet", "pytest"]
)


def pool(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(processes, mp_context=_CONTEXT)


def alone(target: Callable[..., None], *arguments: object) -> None:
    """Run a function in a process of its own, and wait for its end. AssertionError where it failed."""
    process = _CONTEXT.Process(target=target, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0
