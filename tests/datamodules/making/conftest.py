"""Photographs from scikit-image, cut small, and sets made of them without worker processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from srbench.datamodules.making import manifest
from srbench.datamodules.making.item import make_items
from srbench.datamodules.making.plan import Plan, draw_plan
from srbench.datamodules.making.sets import find

Photographs = Callable[..., Path]
MakeHere = Callable[..., tuple[Plan, Path]]


@pytest.fixture
def photographs(tmp_path: Path) -> Photographs:
    """Writes ``count`` photographs of ``height`` x ``width`` and gives their folder."""

    def write(count: int = 2, height: int = 97, width: int = 102, folder: str = "Some/HR") -> Path:
        source = data.astronaut()
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = np.roll(source, 37 * index, axis=(0, 1))[:height, :width]
            if max(height, width) > 512:
                pixels = np.asarray(Image.fromarray(source).resize((width, height)))
            Image.fromarray(pixels).save(place / f"img{index}.png")
        return place

    return write


@pytest.fixture
def make_here(tmp_path: Path, photographs: Photographs) -> MakeHere:
    """Makes a set in this process, as the engine does in its workers, and gives its plan and folder."""

    def make(
        name: str = "div2k_levels", *, hr: Path | None = None, crops: int | None = None, seed: int = 0, out: str = "out"
    ) -> tuple[Plan, Path]:
        plan = draw_plan(find(name), hr or photographs(), seed=seed, crops=crops)
        place = tmp_path / out
        made = [item.note for source in plan.sources for item in make_items(plan, source, place, {})]
        manifest.write(place, manifest.header(plan), made)
        return plan, place

    return make
