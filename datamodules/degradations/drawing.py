"""Draws the steps of blur, resize, noise and JPEG from their ranges: numpy only, from explicit generators."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import NamedTuple

import numpy as np

from srbench.datamodules.degradations.kernels import KernelSpec, Kind
from srbench.datamodules.degradations.ranges import (
    BlurRanges,
    FinalSinc,
    KernelMix,
    NoiseRanges,
    Range,
    ResizeRanges,
    SecondOrder,
    Stage,
)
from srbench.datamodules.degradations.resizing import scaled_side
from srbench.datamodules.degradations.steps import (
    Blur,
    Clamp,
    GaussianNoise,
    Jpeg,
    PoissonNoise,
    Resize,
    Round,
    Step,
)

KINDS: tuple[Kind, ...] = tuple(f.name for f in fields(KernelMix))  # type: ignore[misc]
_SEEDS = 2**53  # JSON keeps whole numbers up to here everywhere


class Dice(NamedTuple):
    """The two streams of an image's draws; they are one where nothing is shared.

    Attributes:
        own: of the image: kernels, noise level, grey, quality, seeds.
        shared: of its batch: resize, noise type, second blur, order of the last steps.
        real_jpeg: whole qualities for libjpeg instead of fractions for DiffJPEG.
    """

    own: np.random.Generator
    shared: np.random.Generator
    real_jpeg: bool = False


def happens(rng: np.random.Generator, probability: float) -> bool:
    """True with this probability; always draws, so what follows does not depend on the ranges."""
    return bool(rng.random() < probability)


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A plain float from [low, high)."""
    return float(rng.uniform(low, high))


def seed(rng: np.random.Generator) -> int:
    """The seed of a noise field."""
    return int(rng.integers(_SEEDS))


def kernel(rng: np.random.Generator, ranges: BlurRanges) -> KernelSpec:
    """One blur kernel as Real-ESRGAN's data set draws it."""
    size = int(rng.choice(ranges.sizes))
    if happens(rng, ranges.sinc):
        return KernelSpec(kind="sinc", size=size, cutoff=uniform(rng, math.pi / (3 if size < 13 else 5), math.pi))
    weights = np.array([getattr(ranges.mix, name) for name in KINDS])
    kind = KINDS[int(rng.choice(len(KINDS), p=weights / weights.sum()))]
    sigma_x = sigma_y = uniform(rng, *ranges.sigma)
    theta = 0.0
    if kind.endswith("aniso"):
        sigma_y, theta = uniform(rng, *ranges.sigma), uniform(rng, -math.pi, math.pi)
    beta = 1.0
    if kind.startswith("generalised"):
        beta = _beta(rng, ranges.beta_generalised)
    elif kind.startswith("plateau"):
        beta = _beta(rng, ranges.beta_plateau)
    return KernelSpec(kind=kind, size=size, sigma_x=sigma_x, sigma_y=sigma_y, theta=theta, beta=beta)


def _beta(rng: np.random.Generator, limits: Range) -> float:
    """Below and above 1 equally likely, as upstream has it; a range without 1 inside is uniform."""
    low, high = limits
    if not low <= 1 <= high:
        return uniform(rng, low, high)
    return uniform(rng, low, 1) if happens(rng, 0.5) else uniform(rng, 1, high)


def factor(rng: np.random.Generator, ranges: ResizeRanges) -> float:
    """Output side over input side of a random resize; 1 keeps the size."""
    turn = rng.random()
    if turn < ranges.up:
        return uniform(rng, 1, ranges.factor[1])
    return uniform(rng, ranges.factor[0], 1) if turn < ranges.up + ranges.down else 1.0


def mode(rng: np.random.Generator, ranges: ResizeRanges) -> str:
    """An interpolation."""
    return ranges.modes[int(rng.integers(len(ranges.modes)))]


def noise(dice: Dice, ranges: NoiseRanges) -> Step:
    """Gaussian or Poisson noise; which of them is shared, its strength and field are the image's own."""
    gaussian = happens(dice.shared, ranges.gaussian)
    grey = happens(dice.own, ranges.grey)
    if gaussian:
        return GaussianNoise(uniform(dice.own, *ranges.sigma), grey, seed(dice.own))
    return PoissonNoise(uniform(dice.own, *ranges.poisson), grey, seed(dice.own))


def jpeg(dice: Dice, limits: Range) -> Jpeg:
    """JPEG of a quality from ``limits``; libjpeg's are whole numbers, both ends included."""
    if dice.real_jpeg:
        low, high = math.ceil(limits[0]), math.floor(limits[1])
        return Jpeg(float(dice.own.integers(low, max(low, high) + 1)), differentiable=False)
    return Jpeg(uniform(dice.own, *limits))


def first_stage(dice: Dice, ranges: Stage, height: int, width: int) -> list[Step]:
    """Blur, resize of gt's size, noise, JPEG."""
    steps: list[Step] = []
    blurred = happens(dice.shared, ranges.blur.probability)
    spec = kernel(dice.own, ranges.blur)
    if blurred:
        steps.append(Blur(spec))
    scale, how = factor(dice.shared, ranges.resize), mode(dice.shared, ranges.resize)
    if scale != 1:
        steps.append(Resize(scaled_side(height, scale), scaled_side(width, scale), how, scale))
    return [*steps, noise(dice, ranges.noise), jpeg(dice, ranges.jpeg)]


def one_stage(dice: Dice, ranges: Stage, height: int, width: int, scale: int) -> tuple[Step, ...]:
    """A single stage at gt's size, then to lq's size and to 8 bits (DASR's levels I and II)."""
    steps = first_stage(dice, ranges, height, width)
    last = Resize(height // scale, width // scale, mode(dice.shared, ranges.resize))
    return (*steps, last, Round())


def two_stages(dice: Dice, ranges: SecondOrder, height: int, width: int, scale: int) -> tuple[Step, ...]:
    """Real-ESRGAN's second order: stage, stage at lq's size, resize and sinc before or after the last JPEG, 8 bits."""
    steps = first_stage(dice, ranges.first, height, width)
    second = ranges.second
    blurred = happens(dice.shared, second.blur.probability)
    spec = kernel(dice.own, second.blur)
    if blurred:
        steps.append(Blur(spec))
    times, how = factor(dice.shared, second.resize), mode(dice.shared, second.resize)
    between = max(1, int(height / scale * times)), max(1, int(width / scale * times))
    steps += [Resize(*between, how), noise(dice, second.noise)]
    return (*steps, *_ending(dice, ranges, between, (height // scale, width // scale)), Round())


def _ending(dice: Dice, ranges: SecondOrder, size: tuple[int, int], last: tuple[int, int]) -> list[Step]:
    sinc_first = happens(dice.shared, ranges.sinc.before_jpeg)
    how = mode(dice.shared, ranges.second.resize)
    # Nothing to do where the size stays: each of the three interpolations is the identity there.
    sized = [] if size == last else [Resize(*last, how)]
    filtered = [*sized, *_final_sinc(dice.own, ranges.sinc)]
    compressed = jpeg(dice, ranges.second.jpeg)
    # Every JPEG clamps what it is given, and Round what leaves the last step.
    return [*filtered, compressed] if sinc_first else [compressed, *filtered]


def _final_sinc(rng: np.random.Generator, ranges: FinalSinc) -> list[Step]:
    filtered = happens(rng, ranges.probability)
    spec = KernelSpec(kind="sinc", size=int(rng.choice(ranges.sizes)), cutoff=uniform(rng, *ranges.cutoff))
    return [Blur(spec)] if filtered else []


def plain_bicubic(height: int, width: int, scale: int) -> tuple[Step, ...]:
    """Only shrinking by torch's bicubic, which is not antialiased (one in a hundred of DeeDSR's batches)."""
    return (Resize(height // scale, width // scale, "bicubic"), Clamp(), Round())
