"""Running numba kernels on as many threads as torch uses, safely in forked processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import torch

_lock = threading.Lock()
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def _forget() -> None:
    """In a forked child: the parent's threads do not exist here, and its lock may be held for ever."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _pool(workers: int) -> ThreadPoolExecutor:
    with _lock:
        key = (os.getpid(), workers)
        if key not in _pools:
            _pools[key] = ThreadPoolExecutor(workers, thread_name_prefix="srbench-scan")
        return _pools[key]


def run_parallel(kernel: Callable[[int], None], tasks: int) -> None:
    """Call ``kernel(0)`` to ``kernel(tasks - 1)`` on ``torch.get_num_threads()`` threads, the caller's among them.

    Each task must write to memory of its own and release the GIL; which thread runs it then has no influence on the
    result.

    Raises:
        Exception: The first exception of a task, after all threads have stopped.
    """
    workers = min(torch.get_num_threads(), tasks)
    if workers <= 1:
        for task in range(tasks):
            kernel(task)
        return
    # One shared iterator hands out the tasks (its ``next`` is atomic under the GIL), so a slow thread takes fewer.
    queue = iter(range(tasks))
    futures = [_pool(workers - 1).submit(_drain, kernel, queue) for _ in range(workers - 1)]
    try:
        _drain(kernel, queue)
    finally:
        errors = [future.exception() for future in futures]
    for error in errors:
        if error is not None:
            raise error


def _drain(kernel: Callable[[int], None], queue: Iterable[int]) -> None:
    for task in queue:
        kernel(task)
