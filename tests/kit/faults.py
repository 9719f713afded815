"""Processes that die: a fuse burns down by one before each call of a port, and by one after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Crash(BaseException):
    """The process is gone: nothing may catch this."""


class Fuse:
    """Ends the process when it has burnt down. With `left` None it does not burn."""

    def __init__(self) -> None:
        self.left: int | None = None

    def burn(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Crash

    def spares(self, act: Callable[[], object], left: int | None) -> bool:
        """Whether the process outlives an act under a fuse of this length. Afterwards the fuse does not burn."""
        self.left = left
        try:
            act()
        except Crash:
            return False
        finally:
            self.left = None
        return True


def light(world: Any, left: int) -> Fuse:
    """Put a fuse of this length on a world's lake and tables."""
    fuse = Fuse()
    fuse.left = left
    world.lake, world.tables = Fused(world.lake, fuse), Fused(world.tables, fuse)
    return fuse


class Fused:
    """A port that burns the fuse before and after each call."""

    def __init__(self, port: Any, fuse: Fuse) -> None:
        self._port, self._fuse = port, fuse

    def __getattr__(self, name: str) -> Any:
        called = getattr(self._port, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self._fuse.burn()
            answer = called(*arguments, **named)
            self._fuse.burn()
            return answer

        return call
