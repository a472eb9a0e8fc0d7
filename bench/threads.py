"""Work on many images of a CPU at once, each image on one thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import torch

T = TypeVar("T")
S = TypeVar("S")


def side_by_side(work: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """``work`` of every item, in order, on as many threads as torch uses, each with one thread of torch's own.

    Images of a few hundred pixels are too small to be shared out: torch's threads then wait for each other at the end
    of every operator, and wait long where another process has one of the cores.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        return [work(item) for item in items]
    return list(_pool(threads, os.getpid()).map(work, items))


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """A pool of this process (threads do not survive a fork) whose threads have all begun."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="degrade", initializer=_alone)
    begun = threading.Barrier(threads)
    for started in [pool.submit(begun.wait, 60) for _ in range(threads)]:
        started.result()
    torch.set_num_threads(threads)
    return pool


def _alone() -> None:
    """One thread of torch's for the thread that calls.

    The setting is a thread's own, but each thread first takes over what any thread set last, when it first asks or
    computes: so it asks now, before the main thread sets its own again.
    """
    torch.set_num_threads(1)
    torch.get_num_threads()
