"""What a piece of work costs in a process of its own. What its module imports is no part of the seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from statistics import median
from typing import Any

from tests.bench.measure import peak_mb


@dataclass(frozen=True)
class Cost:
    """CPU seconds of all threads, seconds by the clock, peak memory in MB, and what the work gave."""

    cpu: float
    seconds: float
    memory: float
    result: Any


class _NoPandas:
    """No layer has pandas. Where it is there, pyarrow loads it at its first use, which takes 2 s and 60 MB."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


if parent_process() is not None:
    sys.meta_path.insert(0, _NoPandas())


def apart(work: Callable[..., Any], *arguments: Any) -> Cost:
    """Measure one call in a fresh process."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, arguments))


def _measured(work: Callable[..., Any], arguments: tuple[Any, ...]) -> Cost:
    cpu, clock = time.process_time(), time.perf_counter()
    result = work(*arguments)
    return Cost(time.process_time() - cpu, time.perf_counter() - clock, peak_mb(), result)


def middle_cpu(costs: Sequence[Cost]) -> float:
    """The median of the CPU seconds."""
    return median(cost.cpu for cost in costs)


def most_memory(costs: Sequence[Cost]) -> float:
    """The greatest peak memory in MB."""
    return max(cost.memory for cost in costs)
