"""Finished images that any program made: the door for methods that srbench does not run itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch
from torch import Tensor, nn

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.images import by_stem, fingerprint, list_images, read_image, to_tensor
from srbench.module import Restored
from srbench.modules.fixed import FixedSR
from srbench.naming import safe_name


class NamedSet(Protocol):
    """What is asked of a test set here: its name and its images' names."""

    @property
    def name(self) -> str:
        """The set's name."""

    @property
    def names(self) -> Sequence[str]:
        """Its images' names."""


class ImageFolder(FixedSR):
    """A folder of finished images as a method: it is scored and ranked, never run.

    Images belong together by name: ``butterfly.png`` of the set and ``butterfly.png``, ``butterfly_x4.png`` or
    ``butterfly<suffix>.png`` of the folder. The images of a set ``Set5`` lie in ``root/Set5`` when there is such a
    folder, else in ``root`` itself. Before the first image is scored the folder must be complete, with none too many.

    Args:
        root: the folder.
        name: the row's name.
        suffix: what the files' names carry behind the images' names, e.g. ``_out``; None tries none, ``x4``, ``_x4``,
            ``_sr`` and ``_out`` (with the scale).
        kwargs: see :class:`~srbench.module.SRModule`.
    """

    timed = False
    unhashed = ("weights", "root")

    def __init__(self, *, root: str, name: str, suffix: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = Path(root)
        self.name = safe_name(name, kind="method name")
        usual = ("", f"x{self.scale}", f"_x{self.scale}", "_sr", "_out")
        self.suffixes = usual if suffix is None else (suffix,)
        self.net = nn.Module()  # nothing to run: no parameters
        self._files: dict[Path, dict[str, Path]] = {}
        self._folder = self.root

    @property
    def method(self) -> str:
        """``name``."""
        return self.name

    def upscale(self, lq: Tensor) -> NoReturn:
        """Refuses: finished images are found by name, which pixels do not tell.

        Raises:
            InputError: always.
        """
        raise InputError(
            "ImageFolder makes no images", where=self.root, remedy="use srbench test, which knows their names"
        )

    def warm_up(self, batch: Batch) -> None:
        """Nothing runs, so nothing needs to get warm."""

    def restore(self, batch: Batch) -> Tensor:
        """The finished images of a batch, (B,3,s*h,s*w) in [0,1].

        Raises:
            InputError: an image is missing, unreadable or of another size than ``scale`` times its lq.
        """
        lq = batch["lq"]
        size = (lq.shape[-2] * self.scale, lq.shape[-1] * self.scale)
        return torch.stack([self._read(name, size) for name in batch["name"]]).to(lq.device)

    def _read(self, name: str, size: tuple[int, int]) -> Tensor:
        file = self._in(self._folder, [name]).get(name)
        if file is None:
            raise _missing(self._folder, [name], self.suffixes)
        image = to_tensor(read_image(file).pixels)
        if tuple(image.shape[-2:]) != size:
            raise InputError(
                f"it is {image.shape[-1]}x{image.shape[-2]} pixels, x{self.scale} of its lq is {size[1]}x{size[0]}",
                where=file,
                remedy="restore it again at this scale, without cropping or resizing",
            )
        return image

    def prepare(self) -> None:
        """Hashes the images into the configuration: other pixels are another run, wherever they lie."""
        super().prepare()
        if "images_sha256" not in self.hparams:
            folders = [self.root, *sorted(p for p in _children(self.root) if p.is_dir())]
            files = [(p.relative_to(self.root).as_posix(), p) for f in folders for p in _children(f) if p.is_file()]
            self.hparams["images_sha256"] = fingerprint(sorted(files))

    # ------------------------------------------------------------------------- which folder, and is it complete

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Restored:
        """As the base's, from the folder of the set in hand."""
        self._turn_to(self._sets("test_sets"), dataloader_idx)
        return super().test_step(batch, batch_idx, dataloader_idx)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Restored:
        """As the base's, from the folder of the set in hand."""
        self._turn_to(self._sets("val_sets"), dataloader_idx)
        return super().validation_step(batch, batch_idx, dataloader_idx)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Restored:
        """As the base's, from the folder of the set in hand."""
        self._turn_to(self._sets("test_sets"), dataloader_idx)
        return super().predict_step(batch, batch_idx, dataloader_idx)

    def on_test_start(self) -> None:
        """Checks that every image of every set is there, and no other."""
        self.check_complete(self._sets("test_sets"))

    def on_validation_start(self) -> None:
        """As :meth:`on_test_start`."""
        self.check_complete(self._sets("val_sets"))

    def on_predict_start(self) -> None:
        """As :meth:`on_test_start`."""
        self.check_complete(self._sets("test_sets"))

    def check_complete(self, sets: Sequence[NamedSet]) -> None:
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

    def _sets(self, kind: str) -> Sequence[NamedSet]:
        return getattr(getattr(self._trainer, "datamodule", None), kind, ())

    def _turn_to(self, sets: Sequence[NamedSet], index: int) -> None:
        self._folder = self._folder_of(sets[index].name) if index < len(sets) else self.root

    def _folder_of(self, set_name: str) -> Path:
        inner = self.root / set_name
        return inner if inner.is_dir() else self.root

    def _in(self, folder: Path, names: Iterable[str]) -> Mapping[str, Path]:
        """Where the images lie, looked up once per folder; images without a file are left out."""
        known = self._files.setdefault(folder, {})
        if any(name not in known for name in names):
            known.update(pair_up(list_images(folder), names, self.suffixes))
        return known


def pair_up(files: Sequence[Path], names: Iterable[str], suffixes: Sequence[str]) -> dict[str, Path]:
    """The file of every name: its stem is the name with one of ``suffixes``, the first that fits.

    Raises:
        InputError: two files have the same stem.
    """
    stems = by_stem(files)
    found = {name: [stems[name + s] for s in suffixes if name + s in stems] for name in names}
    return {name: candidates[0] for name, candidates in found.items() if candidates}


def _children(folder: Path) -> list[Path]:
    try:
        return [p for p in folder.iterdir() if not p.name.startswith(".")]
    except OSError as error:
        raise InputError(
            f"cannot list the folder ({error.strerror})", where=folder, remedy="give the folder that holds the images"
        ) from error


def _missing(folder: Path, names: Sequence[str], suffixes: Sequence[str]) -> InputError:
    tried = ", ".join(f"{names[0]}{suffix}" for suffix in suffixes)
    return InputError(
        f"{len(names)} images are missing, the first is {names[0]} (looked for {tried})",
        where=folder,
        remedy="restore every image of the set, or set suffix to what the files' names carry",
    )
