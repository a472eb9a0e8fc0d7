"""PerImageSR: a method that learns from every image it restores, inside ``srbench test``."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from srbench.contracts import Batch
from srbench.modules.fixed import FixedSR
from srbench.modules.one_by_one import OneByOneSR


class PerImageSR(OneByOneSR, FixedSR):
    """A method whose network learns at test time; each image is restored by itself, from the same start.

    There is nothing to train before that: ``srbench fit`` is refused. Lightning tests in inference mode, where nothing
    can learn; :meth:`learn` is called outside of it, with gradients. Whatever it draws comes from the generator it is
    given, so that order and number of processes change nothing; the Benchmark callback keeps each image's scores as
    soon as they are there, so that a killed run goes on with the next.
    """

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

    def restore_image(self, lq: Tensor, name: str) -> Tensor:
        """Restores one image, as :meth:`learn` does."""
        with torch.inference_mode(False), torch.enable_grad():
            return self.learn(lq.clone(), name, self.generator(name)).detach()

    def warm_up(self, batch: Batch) -> None:
        """Does nothing: to learn an image twice would cost more than it makes right."""
