"""What the first process does is known to all of them; here processes are threads."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Trainer

from srbench.errors import InputError
from srbench.modules.external.errand import done_by_first


class Strategy:
    def __init__(self, together: threading.Barrier) -> None:
        self.together = together

    def broadcast(self, held: str) -> str:
        return "token"

    def barrier(self, name: str) -> None:
        self.together.wait(60)


class Process(Trainer):
    """One of two processes, as far as an errand looks at it."""

    def __init__(self, rank: int, strategy: Strategy) -> None:
        self.rank, self._strategy = rank, strategy

    world_size = 2
    is_global_zero = property(lambda self: self.rank == 0)
    strategy = property(lambda self: self._strategy)


def both(folder: Path, work: Callable[[], Any]) -> list[Any]:
    strategy = Strategy(threading.Barrier(2))

    def ask(rank: int) -> Any:
        try:
            return done_by_first(Process(rank, strategy), folder, work, beat_s=0.05)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(ask, (0, 1)))


def test_one_works_and_all_know(tmp_path: Path) -> None:
    calls = []

    def work() -> list[int]:
        calls.append(threading.get_ident())
        return [1, 2]

    assert both(tmp_path / "new", work) == [[1, 2], [1, 2]]
    assert len(calls) == 1
    assert list((tmp_path / "new").iterdir()) == []


def test_all_fail_with_the_same_line(tmp_path: Path) -> None:
    def work() -> None:
        raise InputError("it hangs", where="log.txt", remedy="wait")

    assert both(tmp_path, work) == ["log.txt: it hangs; wait"] * 2


def test_nobody_waits_for_a_process_that_is_gone(tmp_path: Path) -> None:
    alone = Process(1, Strategy(threading.Barrier(2)))
    with pytest.raises(InputError, match="no sign of life"):
        done_by_first(alone, tmp_path, lambda: None, patience_s=0.3)
