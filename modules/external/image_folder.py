"""Finished images that any program made: the door for methods that srbench does not run itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from srbench.errors import InputError
from srbench.images import fingerprint, list_images
from srbench.modules.external.finished import FinishedSR, NamedSet, lacking, pair_up


class ImageFolder(FinishedSR):
    """A folder of finished images as a method: it is scored and ranked, never run.

    Images belong together by name: ``butterfly.png`` of the set and ``butterfly.png``, ``butterfly_x4.png`` or
    ``butterfly<suffix>.png`` of the folder. The images of a set ``Set5`` lie in ``root/Set5`` when there is such a
    folder, else in ``root`` itself. Before the first image is scored the folder must be complete, with none too many.

    Args:
        root: the folder.
        kwargs: ``name`` and ``suffix`` of :class:`~srbench.modules.external.finished.FinishedSR`; see also
            :class:`~srbench.module.SRModule`.
    """

    unhashed = ("weights", "root")

    def __init__(self, *, root: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = Path(root)
        self._files: dict[Path, dict[str, Path]] = {}

    def file(self, name: str) -> Path:
        """Where image ``name`` lies.

        Raises:
            InputError: it is not there.
        """
        folder = self.root if self.set_in_hand is None else self._folder_of(self.set_in_hand)
        file = self._in(folder, [name]).get(name)
        if file is None:
            raise _missing(folder, [name], self.suffixes)
        return file

    def prepare(self) -> None:
        """Hashes the images into the configuration: other pixels are another run, wherever they lie."""
        super().prepare()
        if "images" not in self.files:
            folders = [self.root, *sorted(p for p in _children(self.root) if p.is_dir())]
            files = [(p.relative_to(self.root).as_posix(), p) for f in folders for p in _children(f) if p.is_file()]
            self.rests_on("images", sha256=fingerprint(sorted(files)))

    def complete(self, sets: Sequence[NamedSet]) -> None:
        """Checks the folders against the sets' names.

        Raises:
            InputError: an image is missing, there is one too many, or two sets share a folder and a name.
        """
        wanted: dict[Path, list[str]] = {}
        for test_set in sets:
            wanted.setdefault(self._folder_of(test_set.name), []).extend(test_set.names)
        for folder, names in wanted.items():
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise InputError(
                    f"several sets have an image {twice[0]!r}",
                    where=folder,
                    remedy="make a subfolder per set, named like it",
                )
            found = self._in(folder, names)
            if missing := [name for name in names if name not in found]:
                raise _missing(folder, missing, self.suffixes)
            extra = sorted({p.name for p in list_images(folder)} - {found[name].name for name in names})
            if extra:
                raise InputError(
                    f"{len(extra)} images belong to no image of the set, the first is {extra[0]}",
                    where=folder,
                    remedy="take them out, or set suffix to what the files' names carry",
                )

    def _folder_of(self, set_name: str) -> Path:
        inner = self.root / set_name
        return inner if inner.is_dir() else self.root

    def _in(self, folder: Path, names: Iterable[str]) -> Mapping[str, Path]:
        """Where the images lie, looked up once per folder; images without a file are left out."""
        known = self._files.setdefault(folder, {})
        if any(name not in known for name in names):
            known.update(pair_up(list_images(folder), names, self.suffixes))
        return known


def _children(folder: Path) -> list[Path]:
    try:
        return [p for p in folder.iterdir() if not p.name.startswith(".")]
    except OSError as error:
        raise InputError(
            f"cannot list the folder ({error.strerror})", where=folder, remedy="give the folder that holds the images"
        ) from error


def _missing(folder: Path, names: Sequence[str], suffixes: Sequence[str]) -> InputError:
    return InputError(
        lacking(names, suffixes),
        where=folder,
        remedy="restore every image of the set, or set suffix to what the files' names carry",
    )
