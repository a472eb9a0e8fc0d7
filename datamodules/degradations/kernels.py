"""Blur kernels of the second-order degradations: Gaussian, generalised Gaussian, plateau and sinc.

Formulas as Real-ESRGAN (arXiv 2107.10833, section 3.2) and its code, ``basicsr/data/degradations.py``, have them, in
float64. With the covariance C of standard deviations sigma_x, sigma_y turned by theta, and q = x' C^-1 x at a pixel's
offset x from the centre: ``exp(-q/2)``, ``exp(-q^beta/2)`` (beta = 1 is the Gaussian; Pascal et al. 2013) and
``1/(1 + q^beta)``. Every kernel is divided by its sum.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import j1

from srbench.errors import InputError

Kernel = NDArray[np.float64]
Kind = Literal["iso", "aniso", "generalised_iso", "generalised_aniso", "plateau_iso", "plateau_aniso", "sinc"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def gaussian_kernel(
    size: int, sigma_x: float, sigma_y: float = 0.0, theta: float = 0.0, *, isotropic: bool = False
) -> Kernel:
    """A bivariate Gaussian.

    Args:
        size: side in pixels, odd.
        sigma_x: standard deviation along the first axis (horizontal at theta 0), pixels, above 0.
        sigma_y: along the second axis, above 0; not read when isotropic.
        theta: rotation in radians; not read when isotropic.
        isotropic: ``sigma_x`` in every direction.

    Returns:
        (size,size) float64 of sum 1, symmetric about its centre.

    Raises:
        InputError: an even size, or a standard deviation that is not a positive number.
    """
    return _normalised(np.exp(-0.5 * _distance(size, sigma_x, sigma_y, theta, isotropic)))


def generalised_kernel(
    size: int, sigma_x: float, sigma_y: float = 0.0, theta: float = 0.0, beta: float = 1.0, *, isotropic: bool = False
) -> Kernel:
    """A generalised Gaussian: beta below 1 has a sharper peak than the Gaussian, above 1 a flatter one.

    Arguments, return value and errors as :func:`gaussian_kernel`; ``beta`` is the shape, above 0.
    """
    _positive("beta", beta)
    return _normalised(np.exp(-0.5 * _distance(size, sigma_x, sigma_y, theta, isotropic) ** beta))


def plateau_kernel(
    size: int, sigma_x: float, sigma_y: float = 0.0, theta: float = 0.0, beta: float = 1.0, *, isotropic: bool = False
) -> Kernel:
    """A plateau-shaped kernel, flat around its centre.

    Arguments, return value and errors as :func:`gaussian_kernel`; ``beta`` is the shape, above 0.
    """
    _positive("beta", beta)
    return _normalised(1.0 / (1.0 + _distance(size, sigma_x, sigma_y, theta, isotropic) ** beta))


def sinc_kernel(size: int, cutoff: float) -> Kernel:
    """The circularly symmetric low-pass filter, which rings and overshoots: ``cutoff/(2 pi r) J1(cutoff r)``.

    Args:
        size: side in pixels, odd.
        cutoff: cut-off frequency in radians a pixel, above 0 and at most pi.

    Returns:
        (size,size) float64 of sum 1, with negative lobes.

    Raises:
        InputError: an even size or a cut-off out of range.
    """
    _positive("cutoff", cutoff)
    if cutoff > math.pi:
        raise InputError(f"a sinc kernel's cutoff is at most pi radians a pixel, not {cutoff!r}")
    offsets = _offsets(size)
    radius = np.hypot(offsets[:, None], offsets[None, :])
    centre = radius == 0
    radius[centre] = 1.0
    return _normalised(
        np.where(centre, cutoff**2 / (4 * math.pi), cutoff * j1(cutoff * radius) / (2 * math.pi * radius))
    )


@dataclass(frozen=True)
class KernelSpec:
    """A kernel as its parameters, small enough to travel with a batch or to stand in a manifest.

    Attributes:
        kind: one of :data:`KINDS`.
        size: side in pixels, odd.
        sigma_x: standard deviation, pixels; every kind but ``sinc``.
        sigma_y: second standard deviation; the ``aniso`` kinds.
        theta: rotation in radians; the ``aniso`` kinds.
        beta: shape; the ``generalised`` and ``plateau`` kinds.
        cutoff: cut-off in radians a pixel; ``sinc``.

    Raises:
        InputError: an unknown kind, or a parameter that this kind cannot take.

    >>> round(float(KernelSpec("iso", 7, sigma_x=1.0).build()[3, 3]), 4)
    0.1592
    """

    kind: Kind
    size: int
    sigma_x: float = 0.0
    sigma_y: float = 0.0
    theta: float = 0.0
    beta: float = 1.0
    cutoff: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"no kernel is called {self.kind!r}", remedy=f"choose one of {', '.join(KINDS)}")
        _check_size(self.size)
        names = {"iso": ("sigma_x",), "aniso": ("sigma_x", "sigma_y"), "sinc": ("cutoff",)}[self.kind.split("_")[-1]]
        for name in (*names, *(("beta",) if "_" in self.kind else ())):
            _positive(name, getattr(self, name))

    def build(self) -> Kernel:
        """The kernel, (size,size) float64 of sum 1."""
        if self.kind == "sinc":
            return sinc_kernel(self.size, self.cutoff)
        axes = (self.size, self.sigma_x, self.sigma_y, self.theta)
        isotropic = not self.kind.endswith("aniso")
        if self.kind.startswith("generalised"):
            return generalised_kernel(*axes, self.beta, isotropic=isotropic)
        if self.kind.startswith("plateau"):
            return plateau_kernel(*axes, self.beta, isotropic=isotropic)
        return gaussian_kernel(*axes, isotropic=isotropic)

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON has them; ``KernelSpec(**fields)`` is the way back."""
        return asdict(self)


def _distance(size: int, sigma_x: float, sigma_y: float, theta: float, isotropic: bool) -> Kernel:
    """The quadratic form of C^-1 at every pixel's offset, columns first, (size,size)."""
    _positive("sigma_x", sigma_x)
    offsets = _offsets(size)
    if isotropic:
        return (offsets[None, :] ** 2 + offsets[:, None] ** 2) / sigma_x**2
    _positive("sigma_y", sigma_y)
    cos, sin = math.cos(theta), math.sin(theta)
    along = cos * offsets[None, :] + sin * offsets[:, None]
    across = cos * offsets[:, None] - sin * offsets[None, :]
    return (along / sigma_x) ** 2 + (across / sigma_y) ** 2


def _offsets(size: int) -> Kernel:
    _check_size(size)
    return np.arange(size, dtype=np.float64) - size // 2


def _normalised(kernel: Kernel) -> Kernel:
    return kernel / kernel.sum()


def _check_size(size: int) -> None:
    if size < 1 or size % 2 == 0:
        raise InputError(f"a kernel's size is an odd number above 0, not {size!r}")


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"a kernel's {name} is a positive number, not {value!r}")
