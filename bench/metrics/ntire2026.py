"""The perceptual score of the NTIRE 2026 challenge on image super-resolution (x4).

Its eval.py (zhengchen1999/NTIRE2026_ImageSR_x4, 9a2562b) takes IQA-PyTorch's ``lpips`` (AlexNet), ``dists``, ``niqe``,
``musiq``, ``maniqa`` (KonIQ) and ``clipiqa`` of uncropped images with their default options, on whatever version is
installed, and applies the formula to the means over the set. Applied per image it gives the same mean, unless an image
has a NIQE above 10: then the term that may not fall below 0 makes the per-image mean the higher of the two, and the
challenge's own number is told beside it (:func:`srbench.summary.remarks`).
"""

from __future__ import annotations

from collections.abc import Mapping

from srbench.metrics import DerivedMetric


def combine(values: Mapping[str, float]) -> float:
    """(1 - LPIPS) + (1 - DISTS) + CLIPIQA + MANIQA + MUSIQ/100 + max(0, (10 - NIQE)/10), so at most about 6.

    Args:
        values: metric -> value, of one image or the means of a set. NaN in any of them gives NaN.
    """
    natural = (10 - values["niqe"]) / 10
    return (
        (1 - values["lpips_alex"])
        + (1 - values["dists"])
        + values["clipiqa"]
        + values["maniqa_koniq"]
        + values["musiq"] / 100
        + (0.0 if natural < 0 else natural)
    )


METRICS = (
    DerivedMetric(
        "ntire2026",
        "derived",
        higher_is_better=True,
        library="srbench",
        source="NTIRE 2026 image SR x4, perceptual track: eval.py and README of zhengchen1999/NTIRE2026_ImageSR_x4",
        inputs=("lpips_alex", "dists", "clipiqa", "maniqa_koniq", "musiq", "niqe"),
        combine=combine,
    ),
)
