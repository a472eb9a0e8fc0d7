"""Somebody else's program: its argument list, its environment, and one run of it under limits."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from srbench.errors import InputError

PLACES = ("lq_dir", "out_dir", "scale", "seed", "home")
"""What may stand in braces in a command."""

_PLACE = re.compile(r"\{(\w+)\}")
_OURS = (
    *("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PL_GLOBAL_SEED", "PL_SEED_WORKERS", "SRBENCH_SAID"),
    # A program that looks for the other processes of its run would find ours.
    *("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
)
_GRACE_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where a program finds its interpreter and libraries: one of three, or the PATH as it is.

    Attributes:
        venv: folder of a Python virtual environment.
        conda: name or folder of a conda environment.
        prefix: arguments before the command's, such as a container's; places in braces are filled in.
        variables: environment variables on top, places in braces filled in.

    Raises:
        InputError: more than one is given.
    """

    venv: str | None = None
    conda: str | None = None
    prefix: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if sum(map(bool, (self.venv, self.conda, self.prefix))) > 1:
            raise InputError(
                "a program runs in one environment", where="venv, conda, prefix", remedy="set the others to null"
            )

    @property
    def before(self) -> list[str]:
        """The arguments before the command's own."""
        if self.conda:
            which = "--prefix" if os.sep in self.conda else "--name"
            return [os.environ.get("CONDA_EXE", "conda"), "run", "--no-capture-output", which, self.conda]
        return list(self.prefix)

    def variables_for(self, places: Mapping[str, str]) -> dict[str, str]:
        """All environment variables of the program: ours without what would mislead it, and its own."""
        held = {name: value for name, value in os.environ.items() if name not in _OURS}
        held.setdefault("PYTHONUNBUFFERED", "1")  # its log is read while it runs
        if self.venv:
            folder = Path(self.venv).expanduser().absolute()
            if not (folder / "bin").is_dir():
                raise InputError("there is no such virtual environment", where=folder, remedy="give its folder as venv")
            held["VIRTUAL_ENV"] = str(folder)
            held["PATH"] = os.pathsep.join([str(folder / "bin"), held.get("PATH", os.defpath)])
        return held | {name: fill(value, places) for name, value in self.variables.items()}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a program may run.

    Attributes:
        time_s: seconds of one start; None is no limit.
        stall_s: seconds without a new image; None is no limit.
    """

    time_s: float | None = None
    stall_s: float | None = None


def fill(text: str, places: Mapping[str, str]) -> str:
    """``text`` with its places filled in; those that are not known yet stay as they are.

    >>> fill("--out={out_dir}/x", {"out_dir": "a b"})
    '--out=a b/x'
    """
    return _PLACE.sub(lambda found: places.get(found[1], found[0]), text)


def check_places(arguments: Sequence[str]) -> None:
    """Refuses a word in braces that is no place.

    Raises:
        InputError: it names the word.
    """
    for argument in arguments:
        for word in _PLACE.findall(argument):
            if word not in PLACES:
                raise InputError(
                    f"'{{{word}}}' is not known", where=argument, remedy=f"use {', '.join(f'{{{p}}}' for p in PLACES)}"
                )


def run(
    argv: Sequence[str],
    *,
    folder: Path,
    variables: Mapping[str, str],
    log: Path,
    limits: Limits,
    count: Callable[[], int],
    keep: Sequence[int] = (),
    pause_s: float = 0.5,
) -> tuple[int | None, str]:
    """Runs a program to its end, or ends it with all that it started.

    Args:
        argv: program and arguments; no shell sees them.
        folder: to run in.
        variables: all of its environment.
        log: takes what it prints.
        limits: beyond which it is ended.
        count: how many images it has made; called while it runs.
        keep: file descriptors that it inherits.
        pause_s: between two looks at it.

    Returns:
        Its exit status, None where it was ended; and what it did, for a sentence that begins with its name.

    Raises:
        InputError: it cannot be started.
    """
    with log.open("ab") as printed:
        try:
            process = subprocess.Popen(
                list(argv), cwd=folder, env=dict(variables), stdin=subprocess.DEVNULL, stdout=printed,
                stderr=subprocess.STDOUT, pass_fds=tuple(keep), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise InputError(
                f"it cannot be started ({error.strerror})",
                where=argv[0],
                remedy="check the command, and that its environment is installed",
            ) from error
        try:
            why = _watch(process, limits, count, pause_s)
        finally:
            end(process)
    if why is not None:
        return None, why
    status = process.returncode
    return status, f"ended with status {status}" if status >= 0 else f"was killed by signal {-status}"


def _watch(process: subprocess.Popen[bytes], limits: Limits, count: Callable[[], int], pause_s: float) -> str | None:
    """Waits for the program's end; None where it came by itself, else which limit it passed."""
    start = moved = time.monotonic()
    made = count()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(pause_s)
            return None
        now = time.monotonic()
        if (found := count()) != made:
            made, moved = found, now
        if limits.time_s is not None and now - start > limits.time_s:
            return f"was stopped after its time of {limits.time_s:g} s"
        if limits.stall_s is not None and now - moved > limits.stall_s:
            return f"was stopped: no new image for {limits.stall_s:g} s"


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a program and all that it started: asked first, then killed."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
    _signal(process, signal.SIGKILL)  # also what stayed behind of its group
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def commit_of(folder: Path) -> str | None:
    """The git commit that is checked out in ``folder``; None where it is no checkout."""
    git = folder / ".git"
    try:
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head
        name = head[5:]
        if (git / name).is_file():
            return (git / name).read_text(encoding="utf-8").strip()
        packed = (git / "packed-refs").read_text(encoding="utf-8").splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {name}")), None)
    except OSError:
        return None
