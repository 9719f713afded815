"""Processes that die: a fuse that burns with every call of a port, before and after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Crash(BaseException):
    """The process is gone: nothing may catch this."""


class Fuse:
    """Ends the process when it is through; `left` None never burns."""

    def __init__(self) -> None:
        self.left: int | None = None

    def burn(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Crash

    def spares(self, act: Callable[[], object], left: int | None) -> bool:
        """Whether the process outlives an act that may call so many times; the fuse is whole again after it."""
        self.left = left
        try:
            act()
        except Crash:
            return False
        finally:
            self.left = None
        return True


def light(world: Any, left: int) -> Fuse:
    """Put a fuse of so many calls, before and after, on a world's lake and tables."""
    fuse = Fuse()
    fuse.left = left
    world.lake, world.tables = Fused(world.lake, fuse), Fused(world.tables, fuse)
    return fuse


class Fused:
    """A port whose every call burns the fuse."""

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
