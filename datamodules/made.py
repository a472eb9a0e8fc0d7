"""MadeSet: what ``srbench data make`` made, to test on; every file is checked against the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from srbench.contracts import SetInfo
from srbench.datamodule import FileTestSet, Pair, SRDataModule, TestSet
from srbench.datamodules.making import manifest
from srbench.datasets import Sample
from srbench.errors import InputError
from srbench.images import file_sha256
from srbench.naming import unknown_name

__all__ = ["MadeSet"]

_AGAIN = "run the same srbench data make again: it keeps what is whole and makes the rest"


class MadeSet(SRDataModule):
    """Synthetic sets made by ``srbench data make``, to test on.

    Records call them by what they are and the seed (``div2k_level1@srbench-seed0``), so that they never pass for the
    images that the papers' authors published. Checked on disk: sha256 and size of every file.

    Args:
        root: the folder that holds ``manifest.json``.
        parts: which of its lq folders, in this order; None takes all.
        licence: terms of the images it was made of, for the record.
        kwargs: see :class:`SRDataModule`; with ``carry_degradation`` every sample has its recipe in ``degradation``,
            and where the set has words for it, those under ``words`` in the recipe.
    """

    def __init__(
        self, *, root: str | None = None, parts: list[str] | None = None, licence: str = "", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.root = root
        self.parts = parts
        self.licence = licence

    def testing_sets(self) -> list[TestSet]:
        """One set per part.

        Raises:
            InputError: no folder was named, it holds no manifest, a part is unknown, the scale is another, or a file
                is missing or not as the manifest has it.
        """
        if self.root is None:
            raise InputError("no folder of a made set was named", where="data", remedy="set data.init_args.root")
        root = Path(self.root)
        held = manifest.read(root)
        if held["scale"] != self.scale:
            what = f"it was made for scale {held['scale']}, not {self.scale}"
            raise InputError(what, where=root, remedy=f"set data.init_args.scale to {held['scale']}")
        parts = self.parts if self.parts is not None else list(held["parts"])
        for part in parts:
            if part not in held["parts"]:
                raise unknown_name("part", part, held["parts"], where="data.init_args.parts")
        _check_files(root, held["images"], parts)
        return [self._part(root, held, part) for part in parts]

    def _part(self, root: Path, held: Mapping[str, Any], part: str) -> TestSet:
        made = held["made_with"]
        images: list[dict[str, Any]] = held["images"]
        pairs = [Pair(i["name"], gt=root / i["gt"]["file"], lq=root / i["parts"][part]["file"]) for i in images]
        return MadeTestSet(
            held["parts"][part]["record"],
            pairs,
            recipes=_recipes(images, part) if self.carry_degradation else {},
            origin=f"srbench data make {held['set']}, seed {held['seed']}",
            scale=self.scale,
            source=f"made of the images {held['title']} as in {held['paper']}",
            licence=self.licence,
            notes=(f"not the authors' files; made with srbench {made['srbench']}, torch {made['torch']}",),
            pixel_limit=self.pixel_limit,
        )


class MadeTestSet(FileTestSet):
    """One part of a made set.

    Args:
        origin: how lq was made, for the record.
        recipes: what made each lq, by the images' names; may be empty.
        args: see :class:`FileTestSet`.
        kwargs: likewise.
    """

    def __init__(self, *args: Any, origin: str, recipes: Mapping[str, dict[str, Any]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.origin = origin
        self.recipes = recipes

    @cached_property
    def info(self) -> SetInfo:
        """As of any files, and how lq was made."""
        return replace(super().info, lq_origin=self.origin)

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        if self.recipes:
            sample["degradation"] = self.recipes[sample["name"]]
        return sample


def _recipes(images: list[dict[str, Any]], part: str) -> dict[str, dict[str, Any]]:
    notes = {image["name"]: image["parts"][part] for image in images}
    return {
        name: {**note["recipe"], **({"words": note["words"]} if "words" in note else {})}
        for name, note in notes.items()
    }


def _check_files(root: Path, images: list[dict[str, Any]], parts: list[str]) -> None:
    """Every gt and lq is there with the bytes that the manifest notes."""
    try:
        files = [note for image in images for note in (image["gt"], *(image["parts"][part] for part in parts))]
        noted = [(str(note["file"]), int(note["bytes"]), str(note["sha256"])) for note in files]
    except (KeyError, TypeError) as error:
        raise InputError(f"the manifest lacks {error}", where=root / manifest.NAME, remedy=_AGAIN) from error
    for file, size, digest in noted:
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
            raise InputError(f"{file!r} leads out of the folder", where=root / manifest.NAME, remedy=_AGAIN)
        path = root / file
        if not path.is_file():
            raise InputError("the manifest notes this file and it is not there", where=path, remedy=_AGAIN)
        if path.stat().st_size != size or file_sha256(path) != digest:
            raise InputError("it is not the file that the manifest notes", where=path, remedy=_AGAIN)
