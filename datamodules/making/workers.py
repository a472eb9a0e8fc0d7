"""Worker processes of one thread each that are handed an image at a time; one that dies is told by its image."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

from srbench.datamodules.making.item import Finished, ItemNote, make_items
from srbench.datamodules.making.plan import Plan, Source
from srbench.errors import InputError

_PATIENCE = 10.0  # seconds that a worker has for the item it is at when the run ends early


class Task(NamedTuple):
    """An image for a worker, with the notes of what was made of it before."""

    source: Source
    known: Mapping[str, ItemNote]


def work(plan: Plan, out: Path, tasks: Sequence[Task], workers: int) -> Iterator[Finished]:
    """Makes all items of all tasks, in whatever order they are finished.

    Worker processes even where there is one: a process of its own has one torch thread, whatever the caller has, so
    that the pixels do not depend on it.

    Raises:
        InputError: the first that a worker raised, or that a worker died; the others finish the item they are at.
        RuntimeError: a worker failed by a fault of ours; it carries its traceback.
    """
    left = list(reversed(tasks))
    crew = _Crew(plan, out, min(workers, len(tasks)))
    try:
        for worker in crew.workers:
            worker.give(left.pop() if left else None)
        while busy := [worker for worker in crew.workers if worker.task is not None]:
            ready = set(wait([worker.pipe for worker in busy]))
            for worker in busy:
                if worker.pipe in ready:
                    finished = worker.hear()
                    if finished is not None:
                        yield finished
                    else:
                        worker.give(left.pop() if left else None)
    finally:
        crew.dismiss()


class _Worker:
    """One process, the pipe to it, and the image it is at."""

    def __init__(self, context: Any, plan: Plan, out: Path) -> None:
        self.pipe: Connection
        self.pipe, end = context.Pipe()
        self.process = context.Process(target=_serve, args=(end, plan, out), daemon=True)
        self.process.start()
        end.close()  # so that the pipe ends with the process
        self.task: Task | None = None

    def give(self, task: Task | None) -> None:
        self.task = task
        if task is not None:
            with suppress(OSError):  # it has died: hear() says so
                self.pipe.send(task)

    def hear(self) -> Finished | None:
        """The next finished item, or None when the image is finished."""
        try:
            said: Finished | Exception | None = self.pipe.recv()
        except (EOFError, OSError):
            raise self._dead() from None
        if isinstance(said, Exception):
            raise said
        return said

    def _dead(self) -> InputError:
        self.process.join(_PATIENCE)
        code = self.process.exitcode
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        return InputError(
            f"the worker that was making this image died ({how})",
            where=None if self.task is None else self.task.source.path,
            remedy="usually memory ran out: run the same command with fewer --workers; what was made is kept",
        )


class _Crew:
    def __init__(self, plan: Plan, out: Path, size: int) -> None:
        context = multiprocessing.get_context("spawn")  # a forked torch may hang on threads it does not have
        self.workers: list[_Worker] = []
        try:
            with _interrupts_ignored():
                for _ in range(size):
                    self.workers.append(_Worker(context, plan, out))
        except BaseException:
            self.dismiss()
            raise

    def dismiss(self) -> None:
        """Closes the pipes, upon which workers end with the item they are at; a stuck one is ended."""
        for worker in self.workers:
            worker.pipe.close()
        for worker in self.workers:
            worker.process.join(_PATIENCE)
            if worker.process.is_alive():
                worker.process.terminate()
                worker.process.join()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes that are started in here ignore the terminal's interrupt from their first instruction.

    It reaches them too; the parent, which it is meant for, ends them.
    """
    if threading.current_thread() is not threading.main_thread():  # where signals cannot be set
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(pipe: Connection, plan: Plan, out: Path) -> None:
    """What a worker does until its pipe ends."""
    import torch

    torch.set_num_threads(1)
    with suppress(EOFError, OSError):  # the parent is gone
        while True:
            for said in _answers(pipe.recv(), plan, out):
                pipe.send(said)


def _answers(task: Task, plan: Plan, out: Path) -> Iterator[Finished | Exception | None]:
    """The finished items and then None, or what went wrong."""
    try:
        yield from make_items(plan, task.source, out, task.known)
    except InputError as error:
        yield error
    except Exception:
        yield RuntimeError(f"a worker failed at {task.source.path}\n{traceback.format_exc()}")
    else:
        yield None
