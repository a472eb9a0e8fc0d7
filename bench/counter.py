"""Counting long work on the terminal: one line that is rewritten, or ten lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Takes how many are done and how many there are."""


def counter(things: str) -> Progress:
    """Counts ``things`` ("images") on standard error, with the time that is left."""
    first: tuple[float, int] | None = None
    shown = -1

    def count(done: int, total: int) -> None:
        nonlocal first, shown
        now = time.monotonic()
        first = first or (now, done)  # from here: before it, workers were starting
        pace = (now - first[0]) / (done - first[1]) if done > first[1] else None
        line = f"{done} of {total} {things}" + (f", {pace * (total - done):.0f} s left" if pace is not None else "")
        if sys.stderr.isatty():
            print(f"\r{line:<40}", end="\n" if done == total else "", file=sys.stderr, flush=True)
        elif done * 10 // total > shown:
            shown = done * 10 // total
            print(line, file=sys.stderr, flush=True)

    return count
