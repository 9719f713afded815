"""Waiting for the service, with a spinner where somebody looks on."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console

from propensity_cli.failures import NotReadyError

FIRST = 0.5  # seconds between two questions; each pause is longer than the one before
LONGEST = 5.0


def wait_for[T](look: Callable[[], tuple[str, T | None]], *, seconds: float, progress: Console, what: str) -> T:
    """Ask until there is a result. `look` returns how it stands, and the result or None.

    Raises NotReadyError after so many seconds; the service works on. Nothing is shown where `progress` is no terminal.
    """
    began, pause = time.monotonic(), FIRST
    with progress.status(f"{what}: asking") as status:
        while True:
            stands, result = look()
            if result is not None:
                return result
            gone = time.monotonic() - began
            if gone + pause > seconds:
                raise NotReadyError(
                    f"{what}: still {stands} after {gone:.0f} s; the work goes on, and the same command waits on"
                )
            status.update(f"{what}: {stands}, {gone:.0f} s")
            time.sleep(pause)  # the service is asked over HTTP: nothing can wake this process
            pause = min(pause * 1.5, LONGEST)
