"""The folder of a set in the making: what it was begun for, the journal of what is done, what a kill left behind."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from srbench.atomic import locked, write_failed, write_whole
from srbench.datamodules import degradations
from srbench.datamodules.making import manifest
from srbench.datamodules.making.item import ItemNote
from srbench.errors import InputError

PLACE = ".making"
"""Folder within the set's while it is made; gone when the manifest stands."""

_BEGUN = "begun.json"
_JOURNAL = "journal.jsonl"


class Workshop:
    """A set's folder while it is made.

    Args:
        out: the set's folder.
        held: the manifest's header.
        sources: names of the source files, which must not change between two runs.
    """

    def __init__(self, out: Path, held: Mapping[str, Any], sources: list[str]) -> None:
        self.out = out
        self.held = held
        # Through JSON, so that it compares with what is read back.
        self.begun: dict[str, Any] = json.loads(json.dumps({**held, "sources": sources, "code": _code()}))

    @contextlib.contextmanager
    def opened(self) -> Iterator[dict[str, ItemNote]]:
        """Holds the folder for this process and gives the notes of what was made before, by the items' names.

        Raises:
            InputError: another process holds it, it holds something else, or it cannot be written.
        """
        self._refuse_strangers()
        with locked(self.out / PLACE, patience=0.0, holding="this set"):
            notes = self._before()
            self._sweep()
            write_whole(self.out / PLACE / _BEGUN, json.dumps(self.begun, sort_keys=True).encode())
            yield notes

    def note(self, note: ItemNote) -> None:
        """Adds a finished item to the journal; a kill after this does not lose it.

        Raises:
            InputError: the disk is full or the folder read-only.
        """
        path = self.out / PLACE / _JOURNAL
        try:
            with path.open("ab") as file:
                file.write(json.dumps(note).encode() + b"\n")
        except OSError as error:
            raise write_failed(path, error) from error

    def close(self) -> None:
        """Removes the journal, once the manifest stands."""
        for name in (_JOURNAL, _BEGUN, ".lock"):
            with contextlib.suppress(OSError):
                (self.out / PLACE / name).unlink()
        with contextlib.suppress(OSError):
            (self.out / PLACE).rmdir()

    def _refuse_strangers(self) -> None:
        """Nothing is written into a folder that holds anything but this very set."""
        if not self.out.exists():
            return
        if not self.out.is_dir():
            raise InputError("is a file", where=self.out, remedy="give another output folder")
        held = sorted(path.name for path in self.out.iterdir())
        if manifest.NAME in held:
            found = manifest.read(self.out)
            files = list(dict.fromkeys(image["source"]["file"] for image in found.pop("images")))
            self._compare({**found, "sources": files, "code": self.begun["code"]})
        elif (self.out / PLACE / _BEGUN).is_file():
            self._compare(_read_begun(self.out / PLACE / _BEGUN))
        elif other := [name for name in held if name != PLACE]:
            what = f"the folder holds something else already ({other[0]})"
            raise InputError(what, where=self.out, remedy="give an empty or a new output folder")

    def _compare(self, found: dict[str, Any]) -> None:
        for key in ("set", "seed", "crops", "title", "sources", *self.begun):
            if found.get(key) != self.begun[key]:
                what = f"holds {_named(found)}; its {_difference(key, found.get(key), self.begun[key])}"
                raise InputError(what, where=self.out, remedy="give another output folder, or remove this one")

    def _before(self) -> dict[str, ItemNote]:
        notes: dict[str, ItemNote] = {}
        if (self.out / manifest.NAME).is_file():
            notes.update((image["name"], image) for image in manifest.read(self.out)["images"])
        with contextlib.suppress(FileNotFoundError):
            for line in (self.out / PLACE / _JOURNAL).read_bytes().splitlines(keepends=True):
                # The line that was being written when the process was killed is no note.
                with contextlib.suppress(ValueError):
                    if line.endswith(b"\n"):
                        note: ItemNote = json.loads(line)
                        notes[note["name"]] = note
        return notes

    def _sweep(self) -> None:
        """Ends a torn last line, and removes the temporary files of processes that were killed."""
        journal = self.out / PLACE / _JOURNAL
        if journal.is_file() and not journal.read_bytes().endswith(b"\n"):
            with journal.open("ab") as file:
                file.write(b"\n")
        for folder in ("gt", "text", *self.held["parts"]):
            for left in (self.out / folder).glob(".*.tmp"):
                with contextlib.suppress(OSError):
                    left.unlink()


def _code() -> str:
    """sha256 of the source that draws and applies: half a set must not be made by one version and half by another."""
    folder = Path(degradations.__file__).parent
    text = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(text).hexdigest()


def _read_begun(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError("is damaged", where=path, remedy="remove the output folder and begin again") from error
    return dict(found)


def _named(found: Mapping[str, Any]) -> str:
    return f"{found.get('set')} of seed {found.get('seed')}"


def _difference(key: str, found: Any, wanted: Any) -> str:
    """``seed is 1, not 0``; of mappings and lists, the first entry that differs."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for name in (*wanted, *found):
            if found.get(name) != wanted.get(name):
                return _difference(f"{key} {name}", found.get(name), wanted.get(name))
    if isinstance(found, list) and isinstance(wanted, list) and key == "sources":
        changed = sorted(set(found) ^ set(wanted))
        if changed:
            return f"images differ ({changed[0]} was {'removed' if changed[0] in found else 'added'})"
    if key == "code":
        return "first part was made by another version of srbench's degradations"
    return f"{key} is {found}, not {wanted}"
