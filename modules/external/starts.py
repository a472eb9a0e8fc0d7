"""The starts of a program on one test set: what each was given, what it made, and which of that passes.

A folder holds ``lq/`` (every lq, written once) and ``start_001/``, ``start_002/``, each with ``lq/`` (the images that
were missing then), ``out/``, ``log.txt``, ``start.json`` (written before the program runs), ``command.txt`` and
``ended.json`` (behind its end). Nothing is moved or deleted, so that a run killed at any moment leaves only what the
next one can judge.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from srbench.atomic import make_folder, write_whole
from srbench.errors import InputError
from srbench.images import SUFFIXES, Pixels, write_png
from srbench.modules.external.finished import pair_up, read_sized

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Asked(NamedTuple):
    """An lq to restore: hash of its pixels, and height and width that its restoration must have."""

    sha256: str
    size: tuple[int, int]


class Made(NamedTuple):
    """A restoration that passed all checks: its file, and what the record says of how it came to be."""

    file: Path
    notes: tuple[str, ...] = ()


@dataclass
class Found:
    """What the starts so far have left.

    Attributes:
        made: what passes, by image.
        unfit: why a file does not pass, by image; empty for images that another start made well.
        extra: images that belong to no lq, of starts that ended by themselves.
    """

    made: dict[str, Made] = field(default_factory=dict)
    unfit: dict[str, InputError] = field(default_factory=dict)
    extra: list[Path] = field(default_factory=list)


def pixel_hash(pixels: Pixels) -> str:
    """A hash of (H,W,3) uint8 pixels and their shape."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Starts:
    """The folder of a program's starts on one test set.

    Attributes:
        folder: see the module.
        scale: magnification.
        suffixes: what outputs' names may carry.
        lq_below: where below ``lq_dir`` the program looks for images.
        out_below: where below ``out_dir`` it leaves them.
    """

    folder: Path
    scale: int
    suffixes: Sequence[str]
    lq_below: str = ""
    out_below: str = ""

    def look(self, asked: Mapping[str, Asked]) -> Found:
        """Goes through all starts and reads every image that is asked for; the first that passes counts."""
        found = Found()
        for start in sorted(self.folder.glob("start_*")):
            given, ended = _json(start / "start.json"), _json(start / "ended.json")
            if given is None:  # killed before its program ran
                continue
            names = [name for name, sha256 in given["lq"].items() if name in asked and asked[name].sha256 == sha256]
            files = self.images(start)
            pairs = pair_up(files, given["lq"], self.suffixes)
            if ended is not None:
                found.extra += sorted(set(files) - set(pairs.values()))
            for name in names:
                if name in pairs and name not in found.made:
                    self._judge(found, name, pairs[name], asked[name].size, _notes(given, ended))
        found.unfit = {name: error for name, error in found.unfit.items() if name not in found.made}
        return found

    def _judge(self, found: Found, name: str, file: Path, size: tuple[int, int], notes: tuple[str, ...]) -> None:
        try:
            read_sized(file, size, self.scale)
        except InputError as error:
            found.unfit[name] = error
        else:
            found.made[name] = Made(file, notes)

    def images(self, start: Path) -> list[Path]:
        """The image files that a start has left, finished or not; none where there is no folder yet."""
        with contextlib.suppress(OSError):
            inside = (start / "out" / self.out_below).iterdir()
            return sorted(p for p in inside if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
        return []

    def start_of(self, file: Path) -> Path:
        """The folder of the start that left ``file``."""
        return self.folder / file.relative_to(self.folder).parts[0]

    def keep(self, name: str, pixels: Pixels) -> Asked:
        """Writes an lq, once, and says what is asked of its restoration."""
        sha256 = pixel_hash(pixels)
        if not self._lq(name, sha256).is_file():
            write_png(self._lq(name, sha256), pixels)
        height, width = pixels.shape[:2]
        return Asked(sha256, (height * self.scale, width * self.scale))

    def _lq(self, name: str, sha256: str) -> Path:
        return self.folder / "lq" / f"{name}-{sha256[:12]}.png"

    def begin(self, asked: Mapping[str, Asked], about: Mapping[str, Any]) -> Path:
        """A new start's folder, with the images of ``asked`` in it and nothing else.

        Args:
            asked: the images that are missing.
            about: is kept in ``start.json``.
        """
        number = 1 + max((int(p.name[6:]) for p in self.folder.glob("start_*") if p.name[6:].isdigit()), default=0)
        start = self.folder / f"start_{number:03d}"
        make_folder(start / "out")
        make_folder(start / "lq" / self.lq_below)
        for name, image in asked.items():  # a copy: the program may do with it what it likes
            shutil.copyfile(self._lq(name, image.sha256), start / "lq" / self.lq_below / f"{name}.png")
        held = {**about, "number": number, "lq": {name: image.sha256 for name, image in asked.items()}}
        write_whole(start / "start.json", json.dumps(held, indent=1).encode())
        return start

    def ended(self, start: Path, status: int | None, how: str) -> None:
        """Notes how a start's program ended."""
        write_whole(start / "ended.json", json.dumps({"status": status, "how": how}).encode())

    @contextmanager
    def alone(self) -> Iterator[int]:
        """Keeps other processes out of the folder; yields the lock, for the program to inherit.

        A program that outlives a killed srbench holds the lock on, so that nobody starts a second one beside it.

        Raises:
            InputError: another process, or a program that it started, is at work here.
        """
        make_folder(self.folder)
        handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if fcntl is not None:
                _take(handle, self.folder)
            yield handle
        finally:
            os.close(handle)


def _take(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            "another run, or a program that one started and that outlived it, is at work here",
            where=folder,
            remedy="wait for its end, or end it (fuser lock names it)",
        ) from None
    except OSError:
        return  # a file system without locks


def _notes(given: Mapping[str, Any], ended: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What the record says of images of a start that was not the only one, or did not end well."""
    notes = [f"made by start {given['number']} of the program"] if given["number"] > 1 and given["of_many"] else []
    if ended is None:
        notes.append("the end of its program was not seen")
    elif ended["status"] != 0:
        notes.append(f"its program {ended['how']} later")
    return tuple(notes)


def _json(file: Path) -> dict[str, Any] | None:
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return held if isinstance(held, dict) else None
