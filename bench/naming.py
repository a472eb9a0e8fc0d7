"""Names: the nearest valid one for a misspelt one, and what a name may look like before it becomes a path."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from srbench.errors import InputError

_UNSAFE = re.compile(r"[\x00-\x1f/\\:*?\"<>|]")


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that resembles ``name`` most, or None when nothing does.

    >>> nearest("presett", ["preset", "scale"])
    'preset'
    """
    lowered = {v.lower(): v for v in valid}
    found = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    return lowered[found[0]] if found else None


def unknown_name(kind: str, name: str, valid: Iterable[str], *, where: str | None = None) -> InputError:
    """The error for a name nobody knows: it suggests the nearest one, or lists the valid ones.

    >>> print(unknown_name("protocol", "y219_crop", ["y219_crop4", "rgb_crop4"]))
    unknown protocol 'y219_crop'; did you mean 'y219_crop4'?
    """
    choices = sorted(valid)
    hint = nearest(name, choices)
    if hint is not None:
        remedy = f"did you mean '{hint}'?"
    else:
        shown = ", ".join(choices[:20]) + (", ..." if len(choices) > 20 else "")
        remedy = f"valid: {shown}" if choices else "there is none to choose from"
    return InputError(f"unknown {kind} '{name}'", where=where, remedy=remedy)


def safe_name(name: str, *, kind: str = "name") -> str:
    """``name``, when it can be one component of a path on any system.

    Raises:
        InputError: it is empty, ``.`` or ``..``, longer than 200 characters, or holds a separator, a control
            character or one of ``: * ? " < > |``.
    """
    if not name or name.strip(". ") == "" or len(name) > 200 or _UNSAFE.search(name):
        raise InputError(
            f"{name!r} cannot be used as {'an' if kind[:1] in 'aeiou' else 'a'} {kind}",
            remedy="use letters, digits, '-', '_' and '.', no path separators and no '..'",
        )
    return name


def printable(text: str) -> str:
    """``text`` on one line with control characters taken out, for terminals and logs."""
    return "".join(c if c.isprintable() else " " for c in text)
