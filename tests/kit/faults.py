"""Processes that die, and stores that refuse: a fuse burns down by one before and after each call of a port."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

# the calls that change something. Between two of them a process may end anywhere: what it leaves is the same
WRITES = frozenset(
    {"put", "put_new", "upload_new", "replace", "remove", "append", "add_files", "replace_files", "put_many"}
)


class Crash(BaseException):
    """The process is gone: nothing may catch this."""


class Fuse:
    """Raises an error when it has burnt down: the end of the process, or what a store says that refuses.

    With `left` None it does not burn.
    """

    def __init__(self, error: Callable[[], BaseException] = Crash) -> None:
        self.left: int | None = None
        self._error = error

    def burn(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise self._error()

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
    """A port that burns the fuse before and after each call, or before and after those of some names."""

    def __init__(self, port: Any, fuse: Any, names: Collection[str] | None = None) -> None:
        self._port, self._fuse, self._names = port, fuse, names

    def __getattr__(self, name: str) -> Any:
        called = getattr(self._port, name)
        if not callable(called) or (self._names is not None and name not in self._names):
            return called

        def call(*arguments: Any, **named: Any) -> Any:
            self._fuse.burn()
            answer = called(*arguments, **named)
            self._fuse.burn()
            return answer

        return call


@contextmanager
def fused(world: Any, fuse: Any, names: Collection[str] = WRITES) -> Iterator[None]:
    """Inside this block the fuse is on a world's lake, tables and online table; only calls of these names burn it."""
    whole = world.lake, world.tables, world.online
    world.lake, world.tables, world.online = (Fused(port, fuse, names) for port in whole)
    try:
        yield
    finally:
        world.lake, world.tables, world.online = whole


def insist(
    world: Any,
    act: Callable[[], Any],
    error: Callable[[], BaseException] = Crash,
    after: Callable[[], object] = lambda: None,
) -> tuple[Any, int]:
    """Do something again until it is done, where each try fails one write later than the last; (answer, tries).

    A try fails before a write or after it, so that every state in which writes can leave a lake is gone on from. After
    each try that failed, `after` is called.
    """
    for left in count():
        fuse = Fuse(error)
        fuse.left = left
        try:
            with fused(world, fuse):
                return act(), left + 1
        except BaseException as failed:
            if fuse.left is not None and fuse.left >= 0:
                raise  # it did not fail by the fuse
            if not isinstance(failed, type(error())):
                raise
            after()
    raise AssertionError
