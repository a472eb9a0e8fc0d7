"""From noise to latents: DDIM as DeeDSR, StableSR and Stable Diffusion run it, with the ways to start it.

DeeDSR's Noise Guidance and LR Initialization are Eqs. 11 and 12 of its paper (``ldm/models/diffusion/ddim.py`` of the
released code at commit 108132a).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from srbench.errors import InputError
from srbench.modules.nets.stable_diffusion.tiling import Window, blended, windows

TRAIN_STEPS = 1000
Start = Literal["noise", "lr", "guided"]
Conditions = Any
"""What a method predicts the noise from; its own type."""


def make_scheduler() -> Any:
    """Diffusers' ``DDIMScheduler`` with Stable Diffusion's betas; 50 steps are 981, 961, ..., 1, as in LDM's code.

    Its cumulative alphas at 981 and 961 are 0.0057755 and 0.0072817; it predicts the noise and clips nothing.
    """
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        TRAIN_STEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


@dataclass(frozen=True)
class Sampling:
    """How latents are sampled.

    Attributes:
        steps: of DDIM, 1 to 1000.
        eta: 0 draws nothing on the way (DDIM), 1 as much as DDPM.
        start: ``noise``; ``lr``, the latents of lq with the noise of the first step (Eq. 12); ``guided``: from noise,
            and in the first steps the predicted noise is the one that leads to the latents of lq (Eq. 11).
        guided_steps: how many these are.
        start_step: of 1000, the step whose noise ``lr`` adds; None takes the sampler's first (981 of 50 steps).
            StableSR and SeeSR take 999.
    """

    steps: int = 50
    eta: float = 0.0
    start: Start = "noise"
    guided_steps: int = 1
    start_step: int | None = None

    def __post_init__(self) -> None:
        for name, wrong, remedy in (
            ("steps", not 1 <= self.steps <= TRAIN_STEPS, f"use 1 to {TRAIN_STEPS}"),
            ("eta", not 0.0 <= self.eta <= 1.0, "use 0 to 1"),
            ("start", self.start not in ("noise", "lr", "guided"), "use noise, lr or guided"),
            ("guided_steps", not 0 <= self.guided_steps <= self.steps, f"use 0 to {self.steps}, the number of steps"),
            ("start_step", not 0 <= (self.start_step or 0) < TRAIN_STEPS, f"use 0 to {TRAIN_STEPS - 1}"),
        ):
            if wrong:
                value = getattr(self, name)
                raise InputError(f"{name} {value} is impossible", where=f"model.init_args.{name}", remedy=remedy)


class _Sampled(Protocol):
    sampling: Sampling


@contextlib.contextmanager
def in_one_step(method: _Sampled) -> Iterator[None]:
    """Within, ``method`` samples in a single step."""
    whole, method.sampling = method.sampling, Sampling(1)
    try:
        yield
    finally:
        method.sampling = whole


def alpha_bar(scheduler: Any, step: Tensor | int, like: Tensor) -> Tensor:
    """The cumulative alpha of ``step``, shaped to multiply ``like`` (B,...)."""
    held = scheduler.alphas_cumprod.to(like.device)[torch.as_tensor(step, device=like.device)]
    return held.reshape(-1, *[1] * (like.dim() - 1)).to(like.dtype)


def noised(scheduler: Any, latents: Tensor, noise: Tensor, step: Tensor | int) -> Tensor:
    """``latents`` (B,...) with the noise of ``step`` (one, or (B,)): sqrt(abar) z + sqrt(1 - abar) noise."""
    kept = alpha_bar(scheduler, step, latents)
    return kept.sqrt() * latents + (1 - kept).sqrt() * noise


def leading_noise(scheduler: Any, noisy: Tensor, latents: Tensor, step: int) -> Tensor:
    """The noise that, predicted at ``step``, leads to ``latents`` z: (x_t - sqrt(abar) z)/sqrt(1 - abar)."""
    kept = alpha_bar(scheduler, step, noisy)
    return (noisy - kept.sqrt() * latents) / (1 - kept).sqrt()


def sample(
    predict: Callable[[Tensor, int], Tensor],
    latents_lq: Tensor,
    draw: Callable[[], Tensor],
    settings: Sampling,
    *,
    shown: Callable[[list[int]], Iterable[int]] = iter,
    scheduler: Any | None = None,
) -> Tensor:
    """Samples latents.

    Args:
        predict: the noise in x_t (B,4,h,w) at a step.
        latents_lq: (B,4,h,w), of lq, scaled.
        draw: standard normal (B,4,h,w); called once for the start and, with ``eta`` above 0, once in every step.
        settings: steps, start, eta.
        shown: goes through the steps, for a progress bar.
        scheduler: a ``DDIMScheduler``; None takes Stable Diffusion's, of :func:`make_scheduler`.

    Returns:
        Scaled latents (B,4,h,w) float32.
    """
    scheduler = scheduler or make_scheduler()
    scheduler.set_timesteps(settings.steps)
    steps = scheduler.timesteps.tolist()
    x = draw()
    if settings.start == "lr":
        x = noised(scheduler, latents_lq, x, steps[0] if settings.start_step is None else settings.start_step)
    guided = settings.guided_steps if settings.start == "guided" else 0
    for i, step in enumerate(shown(steps)):
        predicted = leading_noise(scheduler, x, latents_lq, step) if i < guided else predict(x, step).float()
        drawn = draw() if settings.eta > 0 else None
        x = scheduler.step(predicted, step, x, eta=settings.eta, variance_noise=drawn).prev_sample
    return x


def aggregated(
    predict: Callable[[Tensor, int, Conditions], Tensor],
    cropped: Callable[[Conditions, Window], Conditions],
    held: Conditions,
    shape: tuple[int, int],
    *,
    tile: int | None,
    overlap: int,
) -> Callable[[Tensor, int], Tensor]:
    """A prediction of noise for latents of any size, of one that sees a window (StableSR's aggregation sampling).

    Args:
        predict: the noise (1,4,h,w) of a window's x_t at a step, under the window's conditions.
        cropped: the conditions of a window; asked once per window, never where one is enough.
        held: the conditions of the whole.
        shape: height and width of the whole, in latent cells.
        tile: side of a window; None takes the whole.
        overlap: of neighbouring windows.
    """
    cuts = list(windows(*shape, tile, overlap))
    parts = {cut: held if len(cuts) == 1 else cropped(held, cut) for cut in cuts}

    def whole(x_t: Tensor, step: int) -> Tensor:
        return blended(lambda cut: predict(cut.of(x_t), step, parts[cut]), *shape, tile=tile, overlap=overlap)

    return whole
