"""Images: anyone's low-quality photographs without a reference."""

from __future__ import annotations

from typing import Any

from srbench.datamodule import Pair, SRDataModule, TestSet
from srbench.datamodules.pairing import set_name
from srbench.errors import InputError
from srbench.images import by_stem, list_images

__all__ = ["Images"]


class Images(SRDataModule):
    """A folder of low-quality images: to predict, or to test with metrics that need no reference.

    Args:
        root: the folder; needed before anything runs.
        name: the set's name; None takes the folder's.
        source: where the images come from, for the record.
        licence: their terms, for the record.
        kwargs: see :class:`SRDataModule`.
    """

    def __init__(
        self, *, root: str | None = None, name: str | None = None, source: str = "", licence: str = "", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.root = root
        self.name = name
        self.source = source
        self.licence = licence

    def testing_sets(self) -> list[TestSet]:
        """The folder as one set without gt.

        Raises:
            InputError: no folder was named, or it holds no image.
        """
        if self.root is None:
            raise InputError("no folder of images was named", where="data", remedy="set data.init_args.root")
        pairs = [Pair(stem, lq=path) for stem, path in by_stem(list_images(self.root)).items()]
        name = self.name or set_name(self.root)
        return [self.files(name, pairs, source=self.source, licence=self.licence)]
