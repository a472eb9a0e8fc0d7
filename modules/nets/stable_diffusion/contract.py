"""What a method gives to :class:`srbench.modules.latent.LatentSR`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.modules.nets.stable_diffusion.sampling import Conditions
from srbench.modules.nets.stable_diffusion.tiling import Window


class LatentMethod(ABC):
    """What the noise is predicted from, and how.

    Attributes:
        trains_on_lq_latents: whether :meth:`training_conditions` looks at the latents of lq.
    """

    trains_on_lq_latents: ClassVar[bool] = True

    @abstractmethod
    def conditions(self, lq: Tensor, lq_up: Tensor, z_lr: Tensor) -> Conditions:
        """What does not change during the sampling of one image.

        Args:
            lq: (1,3,H/s,W/s) in [0,1], as it lies on the canvas.
            lq_up: (1,3,H,W) in [-1,1], magnified bicubically; sides divisible by 64.
            z_lr: (1,4,H/8,W/8), its scaled latents.
        """

    @abstractmethod
    def cropped(self, conditions: Conditions, window: Window) -> Conditions:
        """The conditions of one window, in latent cells; ``window.scaled(8)`` is that of ``lq_up``.

        It is asked for once per image and window, and never where one window covers the canvas.
        """

    @abstractmethod
    def predict_noise(self, x_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """The noise (B,4,h,w) in ``x_t`` (B,4,h,w) at steps ``t`` (B,) of 0 to 999."""

    @abstractmethod
    def training_conditions(self, batch: Batch, z_lr: Tensor | None) -> Conditions:
        """The conditions of a training batch; ``z_lr`` (B,4,h,w) is None unless ``trains_on_lq_latents``."""

    def without_prompt(self, conditions: Conditions) -> Conditions:
        """The conditions of the other prediction of classifier-free guidance, the empty or negative prompt's."""
        raise InputError(
            f"{type(self).__name__} knows no classifier-free guidance",
            where="model.init_args.guidance",
            remedy="set it to 1",
        )
