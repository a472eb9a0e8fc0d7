"""Bad input met by several processes of one run is told once. Imports no torch."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = "SRBENCH_SAID"
"""Environment variable: the folder in which the processes of a run note what they have said."""

_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Socket Timeout", "Timed out waiting")


class PeerLost(RuntimeError):
    """Another process of the run ended while this one waited for it."""


def is_peer_lost(error: BaseException) -> bool:
    """Whether ``error`` is what torch.distributed raises when another process has ended."""
    return any(text in str(error) for text in _LOST) and "LOCAL_RANK" in os.environ


@contextmanager
def one_voice() -> Iterator[None]:
    """Gives this process and those it starts a place to agree on who speaks."""
    if FOLDER in os.environ:  # a process that was started by another one
        yield
        return
    try:
        folder = tempfile.mkdtemp(prefix="srbench-")
    except OSError:  # no room at all: every process speaks for itself
        yield
        return
    os.environ[FOLDER] = folder
    try:
        yield
    finally:
        os.environ.pop(FOLDER, None)
        shutil.rmtree(folder, ignore_errors=True)


def say(line: str) -> None:
    """Prints why this process ends to standard error, unless another process of the run has said so first."""
    folder = os.environ.get(FOLDER)
    if folder is not None:
        note = Path(folder) / "said"
        try:
            os.close(os.open(note, os.O_CREAT | os.O_EXCL))
        except (FileExistsError, FileNotFoundError):  # said, or the first process has spoken and gone
            return
        except OSError:  # the disk is full: better twice than not at all
            pass
    print(line, file=sys.stderr)


def said(patience: float = 5.0) -> bool:
    """Whether any process of the run has said why it ended; waits a little for it."""
    folder = os.environ.get(FOLDER)
    deadline = time.monotonic() + patience
    while folder is not None:
        if not Path(folder).is_dir() or any(Path(folder).iterdir()):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return False
