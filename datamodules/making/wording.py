"""A second-order degradation written as text, for methods that are prompted with it.

After PromptSR (arXiv 2311.14282), which DeeDSR's variant (4) follows: every operation becomes a word or two, its
strength is binned into three equal parts of the range it was drawn from. DeeDSR published neither texts nor bins, so
the wording is ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from srbench.datamodules.degradations.ranges import BlurRanges, NoiseRanges, Range, SecondOrder, Stage
from srbench.datamodules.degradations.recipe import Recipe
from srbench.datamodules.degradations.steps import Blur, GaussianNoise, Jpeg, PoissonNoise, Resize, Step

LEVELS = ("light", "medium", "heavy")


def describe(recipe: Recipe, ranges: SecondOrder, *, height: int, width: int, scale: int) -> str:
    """What was done to an image of ``height`` x ``width``, operation by operation, separated by commas.

    ``medium blur, downsample, light noise, light compression, unchange, heavy noise, medium compression, downsample``;
    a second blur and a sinc filter are named where they were drawn. A sinc filter has no strength.
    """
    if recipe.kind == "bicubic":
        return "downsample"
    steps = [step for step in recipe.steps if isinstance(step, (Blur, Resize, GaussianNoise, PoissonNoise, Jpeg))]
    cut = next(index for index, step in enumerate(steps) if isinstance(step, Jpeg)) + 1
    first = _stage(steps[:cut], ranges.first, (height, width))
    return ", ".join((*first, *_stage(steps[cut:], ranges.second, (height // scale, width // scale)), "downsample"))


def level(value: float, limits: Range) -> str:
    """The third of its range that a value lies in.

    >>> level(2.5, (1, 4)), level(1, (1, 1))
    ('medium', 'light')
    """
    low, high = limits
    third = (value - low) / (high - low) * 3 if high > low else 0
    return LEVELS[min(2, max(0, int(third)))]


def _stage(steps: Sequence[Step], ranges: Stage, size: tuple[int, int]) -> Iterator[str]:
    """The words of one stage. Its first resize is the drawn one; a later one only leads to lq's size."""
    noised = False
    resized = False
    for step in steps:
        if isinstance(step, Blur):
            # After the noise of the second stage comes the final sinc filter.
            yield "sinc filter" if noised or step.kernel.kind == "sinc" else _blur(step, ranges.blur)
        elif isinstance(step, Resize) and not noised:
            resized = True
            yield _change((step.height, step.width), size)
        elif isinstance(step, (GaussianNoise, PoissonNoise)):
            if not resized:
                yield "unchange"
            noised = True
            yield _noise(step, ranges.noise)
        elif isinstance(step, Jpeg):
            low, high = ranges.jpeg
            yield f"{level(low + high - step.quality, ranges.jpeg)} compression"


def _blur(step: Blur, ranges: BlurRanges) -> str:
    kernel = step.kernel
    wide = (kernel.sigma_x + kernel.sigma_y) / 2 if kernel.kind.endswith("aniso") else kernel.sigma_x
    return f"{level(wide, ranges.sigma)} blur"


def _change(size: tuple[int, int], before: tuple[int, int]) -> str:
    if size == before:
        return "unchange"
    return "upsample" if size[0] * size[1] > before[0] * before[1] else "downsample"


def _noise(step: GaussianNoise | PoissonNoise, ranges: NoiseRanges) -> str:
    if isinstance(step, GaussianNoise):
        return f"{level(step.sigma, ranges.sigma)} noise"
    return f"{level(step.scale, ranges.poisson)} noise"
