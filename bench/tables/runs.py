"""Running what a plan calls for, one process per cell or all in this one; a cell that fails leaves the others alone."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import io
import os
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from srbench.errors import InputError
from srbench.leaderboard import load_entries
from srbench.naming import safe_name
from srbench.processes import FOLDER
from srbench.tables.plan import Cell, Plan, State, recorded

Command = Callable[[Sequence[str]], int]
"""``srbench.cli.main``: arguments to an exit status."""

_MARK = "srbench: error: "
_BAD_INPUT = 2
_INTERRUPTED = 130


class Outcome(NamedTuple):
    """How a cell's command ended.

    Attributes:
        status: its exit status.
        reason: the sentence it ended with; empty when it said none.
    """

    status: int
    reason: str


def run_plan(plan: Plan, out: Path, command: Command, say: Callable[[str], None] = print) -> Plan:
    """Runs every cell that is to run, and gives the plan with what came of it.

    A run that was interrupted goes on where it stopped when the table is asked for again: finished cells are recorded,
    and the unfinished one keeps its scored images.

    Args:
        plan: what there is to do.
        out: the records' folder that the cells' arguments name.
        command: runs one command line.
        say: gets a line per cell.

    Raises:
        KeyboardInterrupt: the running cell was interrupted.
    """
    waiting = [cell for cell in plan.cells if cell.state == "to run"]
    refused: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for number, cell in enumerate(waiting, start=1):
        say(f"[{number}/{len(waiting)}] {place(cell)}")
        mine = refused[cell.test_set.name]
        reason = _of_the_set(mine)
        if reason:
            done = dataclasses.replace(cell, state="cannot run", reason=reason)
        else:
            done = finished(plan, cell, out, outcome(cell.arguments, lock_of(out, cell), command))
        if done.state == "cannot run":
            mine.add((_kind(cell), done.reason))
        if done.state != "recorded":
            say(f"  {done.state}: {done.reason}")
        plan = plan.replaced(cell, done)
    return plan


def _of_the_set(refused: set[tuple[str, str]]) -> str:
    """What two kinds of methods were told alike, so that it is the set's; empty where there is no such thing.

    Methods of one kind may lack the same: programs, for instance, that all start by conda.
    """
    reasons = {reason for _, reason in refused}
    return reasons.pop() if len(reasons) == 1 and len(refused) > 1 else ""


def _kind(cell: Cell) -> str:
    """The folder of the method's first config."""
    return cell.method.configs[0].rpartition("/")[0]


def place(cell: Cell) -> str:
    """``DVMSR on Set5 x4``."""
    return f"{cell.method.name} on {cell.test_set.name} x{cell.test_set.scale}"


def lock_of(out: Path, cell: Cell) -> Path:
    """The file that whoever runs this cell holds."""
    return out / ".locks" / safe_name(f"{cell.method.name}-{cell.test_set.name}_x{cell.test_set.scale}")


def outcome(arguments: Sequence[str], lock: Path, command: Command) -> Outcome:
    """Runs a cell's command in this process.

    Args:
        arguments: of ``srbench``.
        lock: held while it runs, so that two runs never write one record.
        command: runs one command line.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    heard = _Listener(sys.stderr)
    with _held(lock) as mine:
        if not mine:
            return Outcome(1, "another run is at this cell and writes its record")
        try:
            with contextlib.redirect_stderr(heard), _argv(arguments), _own_voice():
                status = command(list(arguments))
        except Exception as error:  # whatever broke one cell (a full GPU, a defect) must not take the others with it
            traceback.print_exc()
            return Outcome(1, " ".join(f"{type(error).__name__}: {error}".split())[:300])
    gc.collect()  # a network of the last cell must not stay beside that of the next
    if status == _INTERRUPTED:
        raise KeyboardInterrupt
    return Outcome(status, heard.reason)


def finished(plan: Plan, cell: Cell, out: Path, ended: Outcome) -> Cell:
    """The cell as it is after its command ended: recorded, or why not."""
    if ended.status != 0:
        state: State = "cannot run" if ended.status == _BAD_INPUT else "failed"
        return dataclasses.replace(cell, state=state, reason=ended.reason or f"it ended with status {ended.status}")
    entry = recorded(plan.spec, cell.method, cell.test_set, load_entries([out]) if out.is_dir() else [])
    if entry is None:
        reason = f"it left no record of {cell.test_set.name} x{cell.test_set.scale}: the table names the set otherwise"
        return dataclasses.replace(cell, state="failed", reason=reason)
    return dataclasses.replace(cell, state="recorded", entry=entry)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Whether the file could be locked; a process that dies lets it go."""
    try:
        import fcntl
    except ImportError:  # pragma: no cover - not on Windows, where a table runs alone
        yield True
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        what = f"it cannot be written ({error.strerror})"
        raise InputError(what, where=path.parent, remedy="give another folder by --out") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@contextlib.contextmanager
def _argv(arguments: Sequence[str]) -> Iterator[None]:
    """Lightning starts the other processes of a run by ``sys.argv``; they must run the cell and not the table."""
    kept = sys.argv
    sys.argv = [kept[0], *arguments]
    try:
        yield
    finally:
        sys.argv = kept


@contextlib.contextmanager
def _own_voice() -> Iterator[None]:
    """A command says once why it ends, its other processes then keep silent; every cell is a command of its own."""
    kept = os.environ.pop(FOLDER, None)
    try:
        yield
    finally:
        if kept is not None:
            os.environ[FOLDER] = kept


class _Listener(io.TextIOBase):
    """Passes text on, but for the error line: that is remembered, and told once by whoever listens."""

    def __init__(self, to: TextIO) -> None:
        self._to = to
        self._text = ""
        self._in_error = False

    def write(self, text: str) -> int:
        self._text = (self._text + text)[-20_000:]
        if self._in_error or text.startswith(_MARK):
            self._in_error = not text.endswith("\n")
            return len(text)
        return self._to.write(text)

    def flush(self) -> None:
        self._to.flush()

    def isatty(self) -> bool:
        return self._to.isatty()

    def fileno(self) -> int:
        return self._to.fileno()

    @property
    def reason(self) -> str:
        """The last error's sentence; empty when none was said."""
        found = [line for line in self._text.splitlines() if line.startswith(_MARK)]
        return found[-1].removeprefix(_MARK) if found else ""
