"""What must not stand in a record that may be published: absolute paths, and the machine's host and user."""

from __future__ import annotations

import functools
import getpass
import re
import socket
from pathlib import PurePosixPath

# An absolute POSIX path starts a word ("and/or", "1/2" and the slashes of a URL do not); Windows drives, UNC shares,
# file: URLs and home folders are absolute too.
_POSIX = r"(?<![\w/.:~)\]}%])/(?=[\w.~-])[^\s'\"`,;:)\]}>|]*"
_FILE_URL = r"(?i:\bfile:/+)[^\s'\"`,;)\]}>|]*"
_WINDOWS = r"(?<![A-Za-z])[A-Za-z]:[\\/](?!/)[^\s'\"`,;)\]}>|]*"
_UNC = r"\\\\[\w.-]+\\[^\s'\"`,;)\]}>|]*"
_HOME = r"(?<![\w/])~[\w.-]*[\\/][^\s'\"`,;)\]}>|]*"
_ABSOLUTE = re.compile("|".join((_FILE_URL, _UNC, _WINDOWS, _HOME, _POSIX)))
_ACCOUNT_KEYS = re.compile(r"(?i)(^|[_.-])(host(name)?|nodename|user(name)?|login|home|cwd|pwd|path)($|[_.-])")


def absolute_path(text: str) -> str | None:
    """The first absolute path in ``text``, or None.

    >>> absolute_path("weights in /home/ann/w.pth")
    '/home/ann/w.pth'
    >>> absolute_path("https://example.org/a/b and/or 1/2") is None
    True
    """
    found = _ABSOLUTE.search(text)
    return found.group() if found else None


def personal_key(key: str) -> bool:
    """Whether an environment key would hold a host, a user or a path."""
    return bool(_ACCOUNT_KEYS.search(key))


def portable(text: str) -> str:
    """``text`` with absolute paths cut to their last part, and this machine's host and user names taken out.

    For text that comes from elsewhere (reasons, notes, exceptions) and ends up in a record.

    >>> portable("no weights at /home/ann/w.pth; fetch them")
    'no weights at w.pth; fetch them'
    """
    text = _ABSOLUTE.sub(lambda m: _last_part(m.group()), text)
    for name, stand_in in _identity():
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", stand_in, text)
    return text


def _last_part(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).name or "."


@functools.cache
def _identity() -> tuple[tuple[str, str], ...]:
    """Host and user names that are distinctive enough to be recognised; "root" or "linux" give nothing away."""
    host = socket.gethostname()
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no account for this user id, common in containers
        user = ""
    names = ((host, "<host>"), (user, "<user>"))
    common = {"root", "user", "admin", "linux", "ubuntu", "debian", "localhost", "runner", "nobody", "main", "gpu"}
    return tuple((name, stand_in) for name, stand_in in names if len(name) >= 4 and name.lower() not in common)
