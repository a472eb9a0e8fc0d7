"""Images that ``srbench predict`` has made: which of a folder's need not be made again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from srbench.atomic import write_whole
from srbench.naming import safe_name

NOTE = ".made_by.json"
"""The file beside the images that says what made them."""


def image_path(folder: Path, name: str) -> Path:
    """Where the image of that name lies.

    Raises:
        InputError: the name cannot be a file's.
    """
    return folder / f"{safe_name(name, kind='image name')}.png"


def made_earlier(folder: Path, fingerprint: str, names: Iterable[str]) -> list[str]:
    """The names whose images an earlier run of the same method, weights and files has written.

    Images are whole or absent. Where something else made what lies there, or nothing says what, all are made anew.

    Args:
        folder: of the images.
        fingerprint: of the run: the same inputs, the same value.
        names: of the test set.
    """
    try:
        held = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if not isinstance(held, dict) or held.get("fingerprint") != fingerprint:
        return []
    return [name for name in names if image_path(folder, name).is_file()]


def note_maker(folder: Path, fingerprint: str, method: str) -> None:
    """Says what makes the images of the folder from now on.

    Raises:
        InputError: it cannot be written.
    """
    note = {"fingerprint": fingerprint, "method": method}
    write_whole(folder / NOTE, (json.dumps(note) + "\n").encode())
