"""Writing a file whole or not at all, and keeping two processes out of one folder."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from srbench.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: os.replace alone still keeps every file whole
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def write_whole(path: Path, data: bytes | memoryview, *, durable: bool = True) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one, and a failure leaves the old one.

    Args:
        path: the file; its folder is made when it is missing.
        data: the whole content.
        durable: wait until it is on disk, so that it survives a power cut too.

    Raises:
        InputError: the disk is full, the folder is read-only or cannot be made; no temporary file stays behind.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise write_failed(path, error) from error
        raise


def make_folder(folder: Path) -> None:
    """Make ``folder`` and its parents.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failed(folder, error) from error


def write_failed(path: Path, error: OSError) -> InputError:
    """The one-line error for a file that could not be written, with the remedy for the usual causes."""
    remedies = {
        errno.ENOSPC: "make room on the disk and run the command again; what was written before is kept",
        errno.EDQUOT: "make room in your quota and run the command again; what was written before is kept",
        errno.EACCES: "give another output folder, or make this one writable",
        errno.EPERM: "give another output folder, or make this one writable",
        errno.EROFS: "give another output folder; this one is read-only",
        errno.ENOTDIR: "a file stands where a folder is needed; give another output folder",
        errno.EEXIST: "a file stands where a folder is needed; give another output folder",
    }
    remedy = remedies.get(error.errno or 0, "give another output folder")
    return InputError(f"cannot be written ({error.strerror or error})", where=path, remedy=remedy)


@contextlib.contextmanager
def locked(folder: Path, *, patience: float = 60.0, holding: str = "this record") -> Iterator[None]:
    """Hold ``folder`` for this process; another one that wants it waits.

    The lock is the system's and ends with its process, so one that was killed leaves nothing stale. File systems
    without locks go on without: every file is still replaced whole.

    Args:
        folder: what to hold; it is made.
        patience: seconds to wait for another process.
        holding: what the folder is, for the error.

    Raises:
        InputError: another process held the folder for ``patience`` seconds, or the folder cannot be written.
    """
    make_folder(folder)
    path = folder / ".lock"
    handle = _acquire(path, time.monotonic() + patience, holding)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()  # while it is held: a process that waits notices and takes a fresh one
        os.close(handle)


def _acquire(path: Path, deadline: float, holding: str) -> int:
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise write_failed(path, error) from error
        if _try_lock(handle) and _same_file(handle, path):
            return handle
        os.close(handle)
        if time.monotonic() > deadline:
            raise InputError(
                f"another process is writing {holding}",
                where=path.parent,
                remedy="wait until it ends, or give another output folder",
            )
        time.sleep(0.02)


def _try_lock(handle: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _NO_LOCKS
    return True


def _same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
