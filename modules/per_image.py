"""PerImageSR: a method that learns from every image it restores, inside ``srbench test``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

from srbench.contracts import Batch
from srbench.modules.fixed import FixedSR

Step = TypeVar("Step")


class PerImageSR(FixedSR):
    """A method whose network learns at test time; each image is restored by itself, from the same start.

    There is nothing to train before that: ``srbench fit`` is refused. Lightning tests in inference mode, where nothing
    can learn; :meth:`learn` is called outside of it, with gradients. Whatever it draws comes from the generator it is
    given, so that order and number of processes change nothing; the Benchmark callback keeps each image's scores as
    soon as they are there, so that a killed run goes on with the next.
    """

    stochastic: ClassVar[bool] = True
    needs_weights: ClassVar[bool] = False

    @abstractmethod
    def learn(self, lq: Tensor, name: str, generator: torch.Generator) -> Tensor:
        """Learns from one image and restores it.

        Args:
            lq: (1,3,h,w) in [0,1], free of inference mode.
            name: the image's, for messages and :meth:`~srbench.module.SRModule.remark`.
            generator: on the CPU; every random choice comes from it.

        Returns:
            Sr (1,3,s*h,s*w) in [0,1].
        """

    def upscale(self, lq: Tensor) -> Tensor:
        """Restores ``lq`` (B,3,h,w) in [0,1] to (B,3,s*h,s*w), each image as if it were named ``image``."""
        return self.restore({"lq": lq, "name": ["image"] * len(lq)})

    def restore(self, batch: Batch) -> Tensor:
        """Restores the images of a batch one after the other, as :meth:`learn` does."""
        with torch.inference_mode(False), torch.enable_grad():
            made = [
                self.learn(image.clone()[None], name, self.generator(name)).detach()
                for image, name in zip(batch["lq"], batch["name"], strict=True)
            ]
        return torch.cat(made)

    def warm_up(self, batch: Batch) -> None:
        """Does nothing: to learn an image twice would cost more than it makes right."""

    def steps(self, of: Sequence[Step], name: str) -> Iterator[Step]:
        """Goes through ``of`` and shows on the terminal how far the learning of image ``name`` is."""
        hidden = self.global_rank != 0 or getattr(self._trainer, "progress_bar_callback", None) is None
        yield from tqdm(of, desc=name, leave=False, disable=hidden)
