"""The words of a degradation, against Table 6's ranges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from srbench.datamodules.degradations import DeeDSR, DeeDSRLevels
from srbench.errors import InputError
from srbench.modules.deedsr.degradation_words import in_words


@pytest.mark.parametrize("level", ["light", "medium", "heavy"])
def test_a_level_of_table_6_is_called_by_its_name(level: str) -> None:
    for seed in range(20):
        recipe = DeeDSRLevels(level=level).draw(np.random.default_rng(seed), 512, 512).as_dict()  # type: ignore[arg-type]
        said = in_words(recipe).split(", ")
        graded = [word.split()[0] for word in said if " " in word]
        assert len(graded) >= 4
        assert set(graded) == {level}


def _kernel(kind: str, sigma: float) -> dict[str, Any]:
    return {"step": "blur", "kernel": {"kind": kind, "sigma_x": sigma, "sigma_y": 0.3}}


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([], ""),
        ([{"step": "round"}, {"step": "usm"}, {"step": "clamp"}], ""),
        ([_kernel("iso", 0.6), _kernel("aniso", 1.2), _kernel("sinc", 0.0)], "light blur, heavy blur, ringing"),
        ([{"step": "gaussian_noise", "sigma": 9.0}] * 2, "medium noise, heavy noise"),
        ([{"step": "poisson_noise", "scale": 0.5}] * 2, "light noise, medium noise"),
        ([{"step": "jpeg", "quality": 71.0}] * 2, "medium compression, heavy compression"),
        (
            [{"step": "resize", "height": h, "scale": s} for h, s in ((600, 1.2), (300, None), (400, None))],
            "upsample, downsample, upsample",
        ),
        ([{"step": "matlab_resize", "scale": 0.25}, {"step": "decimate", "factor": 2}], "downsample, downsample"),
    ],
)
def test_operations_are_named_in_their_order(steps: list[dict[str, Any]], words: str) -> None:
    assert in_words({"steps": steps}) == words


def test_every_recipe_fits_a_prompt() -> None:
    longest = max(
        len(in_words(DeeDSR().draw(np.random.default_rng(seed), 512, 512).as_dict()).split()) for seed in range(200)
    )
    assert 10 < longest < 30  # words are one token or two, and 75 fit


def test_what_is_no_recipe_is_refused() -> None:
    with pytest.raises(InputError, match="list of steps"):
        in_words({"kind": "second_order"})
