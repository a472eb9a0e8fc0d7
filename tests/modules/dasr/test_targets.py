"""What DASR's predictor learns to read, number by number, of recipes written by hand and of drawn ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from srbench.datamodules.degradations import BSRGAN, DASR
from srbench.errors import InputError
from srbench.modules.dasr.targets import degradation_target

ROUND = {"step": "round"}


def blur(**kernel: Any) -> dict[str, Any]:
    given = {"kind": "iso", "size": 21, "sigma_x": 0.5, "sigma_y": 0.5, "theta": 0.0, "beta": 1.0, "cutoff": 0.0}
    return {"step": "blur", "kernel": {**given, **kernel}}


def resize(height: int, mode: str, scale: float | None = None) -> dict[str, Any]:
    return {"step": "resize", "height": height, "width": height, "mode": mode, "scale": scale}


def test_one_stage_over_its_levels_ranges() -> None:
    steps = [
        {"step": "usm"},
        blur(),
        resize(105, "bicubic", 1.025),
        {"step": "gaussian_noise", "sigma": 5.5, "grey": True, "seed": 1},
        {"step": "jpeg", "quality": 91.0, "differentiable": True},
        resize(25, "area"),
        ROUND,
    ]
    wanted = [0.0] * 33
    wanted[0:4] = [1, 0.5, 0.5, 0.5]  # 0.5 in 0.2..0.8; no rotation is the middle of -pi..pi
    wanted[10:14] = [0.5, 0, 0, 1]  # 1.025 in 0.85..1.2
    wanted[18:22] = [0.5, 1, 1, 0]  # 5.5 in 1..10
    wanted[26] = 0.2  # 91 in 90..95
    wanted[30] = 1
    assert degradation_target({"kind": "weak", "steps": steps}).tolist() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("sinc_first", [True, False])
def test_two_stages(sinc_first: bool) -> None:
    jpeg = {"step": "jpeg", "quality": 95.0}
    ending = [resize(100, "bilinear"), blur(kind="sinc", size=7, cutoff=math.pi)]
    steps = [
        *(blur(sigma_x=3.0, sigma_y=0.2, theta=math.pi), {"step": "poisson_noise", "scale": 3.0, "grey": False}),
        {"step": "jpeg", "quality": 30.0},
        *(blur(size=7, sigma_x=1.5, sigma_y=0.2), resize(75, "bicubic")),
        {"step": "gaussian_noise", "sigma": 13.0, "grey": False},
        *([*ending, jpeg] if sinc_first else [jpeg, *ending]),
        ROUND,
    ]
    wanted = [1, 1, 0, 1, 0, 1, 0, 0.5, 0, 1]  # a second blur writes number 9
    wanted += [(1 - 0.15) / 1.35, 0, 0, 0, 0.5, 0, 0, 1]  # kept; then 0.75 in 0.3..1.2
    wanted += [1, 0, 0, 1, 0.5, 0, 1, 0]
    wanted += [0, 1, float(sinc_first), float(not sinc_first), 0, 1, 0]
    assert degradation_target({"kind": "severe", "steps": steps}).tolist() == pytest.approx(wanted, abs=1e-6)
    unblurred = degradation_target({"kind": "severe", "steps": [s for s in steps if s is not steps[3]]})
    assert unblurred[4:10].tolist() == pytest.approx([0, 0, 0, 0, 0, 1], abs=1e-6)  # pi is the end of the range
    without = [s for s in steps if s["step"] != "blur" or s["kernel"]["kind"] != "sinc"]
    assert degradation_target({"kind": "severe", "steps": without})[8] == -0.5


@pytest.mark.parametrize("level", ["weak", "standard", "severe"])
def test_what_is_drawn_lies_in_its_range(level: Any) -> None:
    rng = np.random.default_rng(0)
    drawn = [DASR(level=level).draw(rng, 400, 400).as_dict() for _ in range(150)]
    numbers = torch.stack([degradation_target(recipe) for recipe in drawn])
    assert numbers.shape == (150, 33)
    assert numbers.min() >= -0.5
    assert numbers.max() <= 1 + 1e-5
    used = numbers.std(0) > 0
    assert int(used.sum()) == (33 if level == "severe" else 16)
    assert torch.equal(numbers[:, 20] + numbers[:, 21], torch.ones(150))


def test_a_step_without_a_place_is_refused() -> None:
    recipe = BSRGAN().draw(np.random.default_rng(0), 256, 256).as_dict()
    with pytest.raises(InputError, match="has no place among the 33 numbers"):
        degradation_target(recipe)
