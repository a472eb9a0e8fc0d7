"""What degradations are drawn from: probabilities and ranges, each in a documented dataclass that YAML can override.

A range is (least, greatest) of a uniform draw. The defaults are Real-ESRGAN's first stage (``train_realesrgan_x4plus``
of its released options); :mod:`~srbench.datamodules.degradations.published` holds every other paper's numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from srbench.datamodules.degradations.resizing import MODES
from srbench.errors import InputError

Range = tuple[float, float]

ODD_7_TO_21 = (7, 9, 11, 13, 15, 17, 19, 21)
"""Kernel sides of Real-ESRGAN's data set, which draws one of 2v+1 for v = 3..10."""

ODD_9_TO_21 = (9, 11, 13, 15, 17, 19, 21)
"""Kernel sides of DASR's and DACESR's: the options say 7..21, the code draws 2v+1 for v = ceil(7/2)..ceil(21/2)-1."""


@dataclass(frozen=True)
class KernelMix:
    """How often each kind of blur kernel is drawn when it is no sinc filter; sums to 1.

    Attributes:
        iso: isotropic Gaussian.
        aniso: anisotropic Gaussian.
        generalised_iso: isotropic generalised Gaussian.
        generalised_aniso: anisotropic generalised Gaussian.
        plateau_iso: isotropic plateau.
        plateau_aniso: anisotropic plateau.
    """

    iso: float = 0.45
    aniso: float = 0.25
    generalised_iso: float = 0.12
    generalised_aniso: float = 0.03
    plateau_iso: float = 0.12
    plateau_aniso: float = 0.03

    def __post_init__(self) -> None:
        _check_probabilities(self, tuple(f.name for f in fields(self)), total=True)


@dataclass(frozen=True)
class BlurRanges:
    """Blur kernels.

    Attributes:
        probability: of blurring at all.
        sinc: probability of a sinc filter instead of one of ``mix``; its cutoff is uniform from pi/3 (kernels under
            13) or pi/5 (others) to pi.
        mix: the other kinds.
        sizes: sides to draw from, odd.
        sigma: standard deviation in pixels, each axis of its own where anisotropic.
        beta_generalised: exponent of the generalised Gaussians. Where the range holds 1, below and above 1 are equally
            likely, as upstream has it.
        beta_plateau: of the plateau kernels, likewise.
    """

    probability: float = 1.0
    sinc: float = 0.1
    mix: KernelMix = field(default_factory=KernelMix)
    sizes: tuple[int, ...] = ODD_7_TO_21
    sigma: Range = (0.2, 3.0)
    beta_generalised: Range = (0.5, 4.0)
    beta_plateau: Range = (1.0, 2.0)

    def __post_init__(self) -> None:
        _check_probabilities(self, ("probability", "sinc"))
        _check_ranges(self, sigma=0.0, beta_generalised=0.0, beta_plateau=0.0)
        if not self.sizes or any(size < 1 or size % 2 == 0 for size in self.sizes):
            raise _refused(self, f"sizes {list(self.sizes)} are impossible", "give odd sides of 1 or more")


@dataclass(frozen=True)
class ResizeRanges:
    """A random resize; the three probabilities sum to 1.

    Attributes:
        up: probability of enlarging, by a factor from 1 to the end of ``factor``.
        down: probability of shrinking, by a factor from the start of ``factor`` to 1.
        keep: probability of neither.
        factor: the range of both.
        modes: interpolations to draw from, equally likely.
    """

    up: float = 0.2
    down: float = 0.7
    keep: float = 0.1
    factor: Range = (0.15, 1.5)
    modes: tuple[str, ...] = MODES

    def __post_init__(self) -> None:
        _check_probabilities(self, ("up", "down", "keep"), total=True)
        _check_ranges(self, factor=1e-3)
        if (self.up and self.factor[1] < 1) or (self.down and self.factor[0] > 1):
            raise _refused(self, f"factor {list(self.factor)} has no room for up or down", "let it hold 1")
        if not self.modes or set(self.modes) - set(MODES):
            raise _refused(self, f"modes {list(self.modes)} are unknown", "use area, bilinear, bicubic")


@dataclass(frozen=True)
class NoiseRanges:
    """Gaussian or else Poisson noise.

    Attributes:
        gaussian: probability of Gaussian noise.
        sigma: its standard deviation, of 255.
        poisson: scale of Poisson noise.
        grey: probability that the three channels share one field.
    """

    gaussian: float = 0.5
    sigma: Range = (1.0, 30.0)
    poisson: Range = (0.05, 3.0)
    grey: float = 0.4

    def __post_init__(self) -> None:
        _check_probabilities(self, ("gaussian", "grey"))
        _check_ranges(self, sigma=0.0, poisson=0.0)


@dataclass(frozen=True)
class Stage:
    """Blur, resize, noise, JPEG: one round of degradation.

    Attributes:
        blur: its kernels.
        resize: its resize; of gt's size in a first stage, of lq's size in a second.
        noise: its noise.
        jpeg: its JPEG quality, 1 to 100.
    """

    blur: BlurRanges = field(default_factory=BlurRanges)
    resize: ResizeRanges = field(default_factory=ResizeRanges)
    noise: NoiseRanges = field(default_factory=NoiseRanges)
    jpeg: Range = (30.0, 95.0)

    def __post_init__(self) -> None:
        _check_ranges(self, jpeg=1.0)
        if self.jpeg[1] > 100:
            raise _refused(self, f"jpeg {list(self.jpeg)} is impossible", "use qualities from 1 to 100")


@dataclass(frozen=True)
class FinalSinc:
    """The sinc filter at the end of a second stage.

    Attributes:
        probability: of filtering at all.
        sizes: kernel sides to draw from.
        cutoff: in radians; the default is pi/3 to pi.
        before_jpeg: probability of resize, sinc, JPEG instead of JPEG, resize, sinc.
    """

    probability: float = 0.8
    sizes: tuple[int, ...] = ODD_7_TO_21
    cutoff: Range = (1.0471975511965976, 3.141592653589793)
    before_jpeg: float = 0.5

    def __post_init__(self) -> None:
        _check_probabilities(self, ("probability", "before_jpeg"))
        _check_ranges(self, cutoff=0.0)


@dataclass(frozen=True)
class SecondOrder:
    """Two stages and a final sinc filter (Real-ESRGAN, Fig. 2).

    Attributes:
        first: acts at gt's size.
        second: acts at lq's size.
        sinc: the last filter.
    """

    first: Stage = field(default_factory=Stage)
    second: Stage = field(default_factory=Stage)
    sinc: FinalSinc = field(default_factory=FinalSinc)


@dataclass(frozen=True)
class LevelMix:
    """How often each of DASR's three levels is drawn; sums to 1.

    Attributes:
        weak: level I.
        standard: level II.
        severe: level III.
    """

    weak: float = 0.3
    standard: float = 0.3
    severe: float = 0.4

    def __post_init__(self) -> None:
        _check_probabilities(self, ("weak", "standard", "severe"), total=True)


def _check_probabilities(ranges: Any, names: tuple[str, ...], *, total: bool = False) -> None:
    values = [getattr(ranges, name) for name in names]
    for name, value in zip(names, values, strict=True):
        if not 0 <= value <= 1:
            raise _refused(ranges, f"{name} {value} is no probability", "use 0 to 1")
    if total and abs(sum(values) - 1) > 1e-6:
        raise _refused(ranges, f"{', '.join(names)} sum to {sum(values):g}", "let them sum to 1")


def _check_ranges(ranges: Any, **least: float) -> None:
    for name, floor in least.items():
        low, high = getattr(ranges, name)
        if not floor <= low <= high:
            raise _refused(ranges, f"{name} [{low:g}, {high:g}] is no range", f"give [least, greatest] from {floor:g}")


def _refused(ranges: Any, what: str, remedy: str) -> InputError:
    return InputError(what, where=type(ranges).__name__, remedy=remedy)
