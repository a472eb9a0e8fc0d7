"""What a network made of a batch, as 8-bit images that wait to be scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.images import Pixels, to_uint8
from srbench.module import Restored
from srbench.records import ImageRow
from srbench.scoring import Item, Scorer


class Restoration(NamedTuple):
    """One restored image.

    Attributes:
        test_set: name of the set it belongs to.
        name: its id.
        sr: (H,W,3) uint8.
        gt: as ``sr``, None where there is none.
        ms: its share of the batch's warm time in milliseconds, None when it was not timed.
        notes: what was done to it on reading, and what the method remarked.
    """

    test_set: str
    name: str
    sr: Pixels
    gt: Pixels | None
    ms: float | None
    notes: tuple[str, ...]


def restorations(outputs: Restored, batch: Batch, test_set: str) -> Iterator[Restoration]:
    """The images of a batch, in its order.

    Raises:
        InputError: naming set and image: what the network gave is not finite.
    """
    share = None if outputs["ms"] is None else outputs["ms"] / len(batch["name"])
    for i, name in enumerate(batch["name"]):
        try:
            sr = to_uint8(outputs["sr"][i])
        except InputError as error:
            raise InputError(
                f"the restored image cannot be scored: {error.what}",
                where=f"{test_set}/{name}",
                remedy="check the weights and the precision",
            ) from error
        gt = to_uint8(batch["gt"][i]) if "gt" in batch else None
        notes = tuple(note for held in (batch, outputs) if "notes" in held for note in held["notes"][i])
        yield Restoration(test_set, name, sr, gt, share, notes)


def rows_of(images: Sequence[Restoration], scorer: Scorer) -> list[ImageRow]:
    """The scores of some images.

    Raises:
        InputError: naming set and image: see :meth:`Scorer.score_all`.
    """
    # An image's name alone does not say where it lies.
    scores = scorer.score_all([Item(f"{image.test_set}/{image.name}", image.sr, image.gt) for image in images])
    return [
        ImageRow(image.name, found.values, image.ms, image.notes, found.vectors)
        for image, found in zip(images, scores, strict=True)
    ]


class Waiting:
    """Restored images of one size and one test set, until there are enough for a pass of the metrics' networks.

    Args:
        scorer: what scores them, and how many it takes together.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._images: list[Restoration] = []

    def add(self, image: Restoration) -> Iterator[tuple[str, ImageRow]]:
        """Takes an image; gives the rows, with their set's name, of those whose turn has come."""
        if self._images and (self._images[0].sr.shape, self._images[0].test_set) != (image.sr.shape, image.test_set):
            yield from self.rest()
        self._images.append(image)
        if len(self._images) >= self._scorer.batch:
            yield from self.rest()

    def rest(self) -> Iterator[tuple[str, ImageRow]]:
        """Gives the rows of all that still wait."""
        images, self._images = self._images, []
        yield from zip([image.test_set for image in images], rows_of(images, self._scorer), strict=True)
