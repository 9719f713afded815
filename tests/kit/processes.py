"""Processes that work on one lake at once, as functions do: started from one that has imported what they need."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

# an import of these takes a process a second, which 24 of them would otherwise spend each, on two cores
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.kit.promoters", "tests.kit.tables", "pyarrow.parquet", "pytest"])


def pool(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(processes, mp_context=_CONTEXT)


def alone(target: Callable[..., None], *arguments: object) -> None:
    """Once, in a process of its own, to its end; one that fails raises AssertionError."""
    process = _CONTEXT.Process(target=target, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0
