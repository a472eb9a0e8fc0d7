"""What lies finished in a folder as a method's restoration: found by name, checked for its size."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Protocol

import torch
from torch import Tensor, nn

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.images import Pixels, by_stem, read_image, to_tensor
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


class FinishedSR(FixedSR):
    """A method whose restorations are files when the first image is asked for.

    A subclass says which file holds an image of the set in hand (:meth:`file`), and sees to it that all are there
    before the first one is read (:meth:`complete`).

    Args:
        name: the row's name.
        suffix: what the files' names carry behind the images' names; None tries none, ``x4``, ``_x4``, ``_sr`` and
            ``_out`` (with the scale).
        kwargs: see :class:`~srbench.module.SRModule`.
    """

    timed: ClassVar[bool] = False

    def __init__(self, *, name: str, suffix: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.name = safe_name(name, kind="method name")
        usual = ("", f"x{self.scale}", f"_x{self.scale}", "_sr", "_out")
        self.suffixes = usual if suffix is None else (suffix,)
        self.net = nn.Module()  # nothing to run: no parameters
        self.set_in_hand: str | None = None

    @abstractmethod
    def file(self, name: str) -> Path:
        """Where image ``name`` of the set in hand lies; of any, where no set is in hand.

        Raises:
            InputError: there is none.
        """

    @abstractmethod
    def complete(self, sets: Sequence[NamedSet]) -> None:
        """Sees to it that the images of all sets are there.

        Raises:
            InputError: it says which is not.
        """

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
            f"{type(self).__name__} makes no images of pixels alone",
            where=self.name,
            remedy="use srbench test, which knows their names",
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
        images = [to_tensor(read_sized(self.file(name), size, self.scale)) for name in batch["name"]]
        return torch.stack(images).to(lq.device)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Restored:
        """As the base's, from the files of the set in hand."""
        self._turn_to(self._sets("test_sets"), dataloader_idx)
        return super().test_step(batch, batch_idx, dataloader_idx)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Restored:
        """As the base's, from the files of the set in hand."""
        self._turn_to(self._sets("val_sets"), dataloader_idx)
        return super().validation_step(batch, batch_idx, dataloader_idx)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Restored:
        """As the base's, from the files of the set in hand."""
        self._turn_to(self._sets("test_sets"), dataloader_idx)
        return super().predict_step(batch, batch_idx, dataloader_idx)

    def on_test_start(self) -> None:
        """Sees to it that every image of every set is there."""
        self.complete(self._sets("test_sets"))

    def on_validation_start(self) -> None:
        """As :meth:`on_test_start`."""
        self.complete(self._sets("val_sets"))

    def on_predict_start(self) -> None:
        """As :meth:`on_test_start`."""
        self.complete(self._sets("test_sets"))

    def _sets(self, kind: str) -> Sequence[Any]:
        return getattr(getattr(self._trainer, "datamodule", None), kind, ())

    def _turn_to(self, sets: Sequence[NamedSet], index: int) -> None:
        self.set_in_hand = sets[index].name if index < len(sets) else None


def pair_up(files: Sequence[Path], names: Iterable[str], suffixes: Sequence[str]) -> dict[str, Path]:
    """The file of every name: its stem is the name with one of ``suffixes``, the first that fits.

    Raises:
        InputError: two files have the same stem.
    """
    stems = by_stem(files)
    found = {name: [stems[name + s] for s in suffixes if name + s in stems] for name in names}
    return {name: candidates[0] for name, candidates in found.items() if candidates}


def read_sized(file: Path, size: tuple[int, int], scale: int) -> Pixels:
    """An image of ``size`` (height, width), which is ``scale`` times its lq's.

    Raises:
        InputError: it cannot be read whole, or has another size.
    """
    pixels = read_image(file).pixels
    if pixels.shape[:2] != size:
        raise InputError(
            f"it is {pixels.shape[1]}x{pixels.shape[0]} pixels, x{scale} of its lq is {size[1]}x{size[0]}",
            where=file,
            remedy="restore it again at this scale, without cropping or resizing",
        )
    return pixels


def lacking(names: Sequence[str], suffixes: Sequence[str]) -> str:
    """Which images are missing, and under which names they were looked for."""
    tried = ", ".join(f"{names[0]}{suffix}" for suffix in suffixes)
    return f"{len(names)} images are missing, the first is {names[0]} (looked for {tried})"
