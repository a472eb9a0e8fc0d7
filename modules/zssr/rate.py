"""ZSSR's learning rate: divided by ten whenever the reconstruction of the image has ceased to get better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from scipy.stats import linregress

from srbench.errors import InputError


@dataclass(frozen=True)
class RateRule:
    """When the learning rate falls, and when learning ends; section 3.1 of the paper, numbers of the released code.

    Attributes:
        start: first learning rate.
        drop: what it is divided by.
        end: learning stops when it is below.
        every: iterations between two looks at the curve.
        least: iterations between two drops, and the stretch of the curve a line is fitted to.
        ratio: a line goes on falling if this many times its slope exceeds the slope's standard error.

    Raises:
        InputError: a number is out of range.
    """

    start: float = 1e-3
    drop: float = 10.0
    end: float = 9e-6
    every: int = 60
    least: int = 256
    ratio: float = 1.5

    def __post_init__(self) -> None:
        if not (self.start > 0 and self.drop > 1 and self.every > 0 and self.least > 0 and self.ratio > 0):
            raise InputError(
                f"{self} is impossible",
                where="model.init_args.rate",
                remedy="use a drop above 1 and other numbers above 0",
            )


RATES = RateRule()
"""The released code's numbers."""


def stalled(curve: Sequence[tuple[int, float]], ratio: float) -> bool:
    """Whether a line through the points (iteration, error) does not clearly fall.

    Args:
        curve: three points or more.
        ratio: the line falls clearly if ``ratio`` times its negative slope exceeds the slope's standard error.

    Returns:
        True too for a curve that is level all along, such as that of a constant image.
    """
    line = linregress([at for at, _ in curve], [error for _, error in curve])
    return not -ratio * line.slope > line.stderr  # of a level curve SciPy's standard error is not a number


@dataclass
class Rate:
    """The learning rate in the course of one image's learning.

    Args:
        rule: see :class:`RateRule`.

    Attributes:
        value: of the learning rate now.
    """

    rule: RateRule
    value: float = field(init=False)
    _curve: list[tuple[int, float]] = field(default_factory=list, init=False)
    _since: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.value = self.rule.start

    @property
    def over(self) -> bool:
        """Whether learning is at its end."""
        return self.value < self.rule.end

    def measured(self, done: int, error: float) -> None:
        """Notes the reconstruction error (MSE) after ``done`` iterations."""
        self._curve.append((done, error))

    def advance(self, done: int) -> bool:
        """Looks at the curve if it is time to, after ``done`` iterations; says whether the rate was dropped."""
        rule = self.rule
        if done % rule.every or done - self._since < rule.least:
            return False
        recent = [point for point in self._curve if point[0] > done - rule.least]
        if len(recent) < 3 or not stalled(recent, rule.ratio):
            return False
        self.value /= rule.drop
        self._since = done
        return True
