"""What differs between ZSSR's three uses: bicubic lq, lq of a known kernel, and real photographs."""

from __future__ import annotations

from dataclasses import dataclass

from srbench.modules.zssr.fathers import NONE, Augmentation


@dataclass(frozen=True)
class Setting:
    """How an image is learned and restored; see :func:`setting` for the values.

    Attributes:
        how: fathers are drawn.
        noise: standard deviation added to sons, of the range [0,1].
        ensemble: restore all eight turned and mirrored versions and take the median.
        back_projections: before the median, and once more behind it.
    """

    how: Augmentation
    noise: float
    ensemble: bool
    back_projections: int


def setting(
    *,
    known: bool,
    real: bool,
    augment: bool | None = None,
    noise: float | None = None,
    ensemble: bool | None = None,
    back_projections: int | None = None,
) -> Setting:
    """The values of the released code, where nothing else is given.

    Args:
        known: the kernel is known. A kernel need not be symmetric, so nothing is turned or mirrored, neither fathers
            nor at the end, and 2 back-projections are made.
        real: the image is a photograph: noise of 0.0125 in the sons, no back-projection (lq has noise that it would
            bring back), and warps that shrink to no less than 0.75.
        augment: instead of what ``known`` says.
        noise: instead of what ``real`` says.
        ensemble: instead of what ``known`` says.
        back_projections: instead of 10 (``known``: 2, ``real``: 0).
    """
    usual = Augmentation(zoom=(0.75, 1.0)) if real else Augmentation()
    times = 0 if real else 2 if known else 10
    return Setting(
        how=usual if (augment if augment is not None else not known) else NONE,
        noise=noise if noise is not None else 0.0125 if real else 0.0,
        ensemble=ensemble if ensemble is not None else not known,
        back_projections=back_projections if back_projections is not None else times,
    )
