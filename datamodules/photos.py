"""Photos: the photographs that ship with scikit-image, for demos, tests and first steps. Nothing is downloaded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from srbench.datamodule import Pair, SRDataModule, TestSet, TrainingSet
from srbench.datamodules.synthesis import matlab_bicubic
from srbench.errors import InputError

__all__ = ["Photos"]

TRAIN = ("astronaut.png", "motorcycle_left.png", "motorcycle_right.png", "rocket.jpg")
"""Two views of one motorcycle must not end up on both sides of the split."""

TEST = ("chelsea.png", "coffee.png")

SOURCE = "sample photographs of scikit-image (skimage/data)"
LICENCE = "CC0 or public domain"


class Photos(SRDataModule):
    """Six colour photographs inside the installed scikit-image: four to train on, two to test on.

    Left out are the package's microscope, text and telescope pictures and everything grey. lq is made by MATLAB's
    bicubic; a photograph whose sides are no multiples of the scale is cropped at the top left first.

    Args:
        samples_per_epoch: training samples in an epoch; four photographs would make a short one.
        kwargs: see :class:`SRDataModule`.
    """

    def __init__(self, *, samples_per_epoch: int | None = 1000, **kwargs: Any) -> None:
        super().__init__(samples_per_epoch=samples_per_epoch, **kwargs)

    def training_set(self) -> TrainingSet:
        """Patches of the astronaut, the rocket and the motorcycle."""
        return self.patches(_pairs(TRAIN), matlab_bicubic(self.scale))

    def testing_sets(self) -> list[TestSet]:
        """The cat and the coffee."""
        synthesis = matlab_bicubic(self.scale)
        return [self.files("Photos", _pairs(TEST), synthesis, source=SOURCE, licence=LICENCE)]


def _pairs(names: tuple[str, ...]) -> list[Pair]:
    folder = _folder()
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise InputError(
            "the installed scikit-image lacks this photograph",
            where=folder / missing[0],
            remedy="install scikit-image from its wheel (0.22 or later)",
        )
    return [Pair((folder / name).stem, gt=folder / name) for name in names]


def _folder() -> Path:
    """The data folder of skimage, found without importing the package."""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise InputError("scikit-image is not installed", remedy="install srbench again")
    return Path(next(iter(spec.submodule_search_locations))) / "data"
