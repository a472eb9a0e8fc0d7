"""Whether methods of this run may start programs: only the command line says so, never a config file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

FLAG = "--allow-commands"
"""The argument of ``srbench test``, ``validate``, ``predict`` and ``table`` that gives the permission."""

_allowed: ContextVar[bool] = ContextVar("commands_allowed", default=False)


def commands_allowed() -> bool:
    """Whether programs of somebody else may be started."""
    return _allowed.get()


@contextmanager
def commands(*, allowed: bool) -> Iterator[None]:
    """Gives the permission, or takes it away, for what runs inside."""
    before = _allowed.set(allowed)
    try:
        yield
    finally:
        _allowed.reset(before)
