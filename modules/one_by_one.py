"""OneByOneSR: a method that restores each image by itself, from draws of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

from srbench.contracts import Batch
from srbench.module import SRModule

Step = TypeVar("Step")


class OneByOneSR(SRModule):
    """A stochastic method whose restoration of an image takes many steps: sampled, or learned from the image.

    What it draws comes from :meth:`~srbench.module.SRModule.generator`, so that neither the order of images nor the
    number of processes change anything.
    """

    stochastic: ClassVar[bool] = True

    @abstractmethod
    def restore_image(self, lq: Tensor, name: str) -> Tensor:
        """Restores one image.

        Args:
            lq: (1,3,h,w) in [0,1].
            name: the image's, for its generator, messages and remarks.

        Returns:
            Sr (1,3,s*h,s*w) in [0,1].
        """

    def upscale(self, lq: Tensor) -> Tensor:
        """Restores ``lq`` (B,3,h,w) in [0,1] to (B,3,s*h,s*w) in [0,1], each image as if it were named ``image``."""
        return self.restore({"lq": lq, "name": ["image"] * len(lq)})

    def restore(self, batch: Batch) -> Tensor:
        """Restores the images of a batch one after the other."""
        pairs = zip(batch["lq"], batch["name"], strict=True)
        return torch.cat([self.restore_image(image[None], name) for image, name in pairs])

    def shown(self, steps: Sequence[Step], name: str) -> Iterator[Step]:
        """Goes through ``steps`` and shows on the terminal how far image ``name`` is."""
        hidden = self.global_rank != 0 or getattr(self._trainer, "progress_bar_callback", None) is None
        # None shows the bar on a terminal alone: in a log every step would be a line.
        yield from tqdm(steps, desc=name, leave=False, disable=hidden or None)
