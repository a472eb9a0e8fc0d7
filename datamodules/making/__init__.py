"""Synthetic sets that anyone can rebuild: every file is a function of a seed, the set's name and the images' names.

``srbench data make`` finds :data:`MAKES` without importing this package and then calls :func:`make`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from srbench.datamodules.making.engine import Made

__all__: list[str] = []

MAKES = {
    "div2k_levels": "Level-I, II and III of DASR and DACESR: whole images, weak, standard and severe",
    "deedsr_val": "DIV2K-Val of DeeDSR: 3000 random 512 crops, the degradation it trains with",
    "deedsr_levels": "the light, medium and heavy group of DeeDSR's Table 6, on the same 512 crops",
    "deedsr_v2": "DIV2K-Val-V2 of DeeDSR: 3000 crops with the degradation written as text",
    "cassr_pairs": "training pairs of CasSR's second stage: random 512 crops, Real-ESRGAN's degradation",
    "cassr_div2k": "DIV2K-val of CasSR: whole images, Real-ESRGAN's degradation",
}
"""What can be made: name and what it is. A literal, so that it can be read without running anything."""


def make(
    name: str,
    *,
    hr: str | Path,
    out: str | Path,
    seed: int = 0,
    workers: int = 1,
    crops: int | None = None,
    title: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Made:
    """Makes a set, or goes on with one that was begun in ``out``; see :func:`srbench.datamodules.making.engine.make`.

    Args:
        name: one of :data:`MAKES`.
        hr: folder of the images to degrade.
        out: folder to write; empty, missing, or begun by the same command.
        seed: of every draw, not negative.
        workers: processes, of one thread each; their number changes nothing but the time.
        crops: how many crops to take over all images, for the sets that crop; None takes the paper's number.
        title: what the images are, for the records' names; None recognises DIV2K-val and otherwise takes the folder's.
        progress: called with the numbers of finished images and of all.

    Raises:
        InputError: the set is unknown, an image or folder is unfit, ``out`` holds something else or cannot be written,
            a worker died.
    """
    from srbench.datamodules.making import engine, sets

    spec = sets.find(name)
    return engine.make(
        spec, hr=Path(hr), out=Path(out), seed=seed, workers=workers, crops=crops, title=title, progress=progress
    )
