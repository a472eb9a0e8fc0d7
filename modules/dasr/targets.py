"""What DASR's predictor learns to read: an image's recipe as 33 numbers.

Order and ranges are those of the released ``dasr/models/DASR_model.py`` and ``options/train/DASR/train_DASR.yml``:

=====  =====================================================================================================
 0-3   first blur: side, sigma_x, sigma_y, rotation
 4-7   second blur
 8-9   final sinc filter: side, cut-off; the second is 1 wherever a second blur happened
10-13  first resize: factor, and which of area, bilinear, bicubic
14-17  second resize, of the size of lq
18-21  first noise: strength, grey, and whether Gaussian or Poisson
22-25  second noise
26-27  JPEG qualities
28-29  whether the sinc filter comes before the second JPEG or behind it
30-32  mode of the last resize
=====  =====================================================================================================

Numbers are over their level's range, (value - least) / (greatest - least); what does not happen is 0, but the absent
sinc filter, of side and cut-off 0, is -0.5 in both as released. That a second blur overwrites number 9 looks like a
slip of the released code, and the released predictor learned it. Two values that the released code notes and a recipe
does not hold are 0 here: a second blur that was drawn and not applied, and the mode of a resize that keeps the size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from srbench.datamodules.degradations.published import DASR_SEVERE, DASR_STANDARD, DASR_WEAK
from srbench.datamodules.degradations.ranges import Range, Stage
from srbench.datamodules.degradations.resizing import MODES
from srbench.errors import InputError

SIZE = 33
_SIDES = (7.0, 21.0)
_ANGLES = (-math.pi, math.pi)
_PLACED = ("blur", "resize", "gaussian_noise", "poisson_noise", "jpeg", "usm", "clamp", "round")
_ONE_STAGE: Mapping[str, Stage] = {"weak": DASR_WEAK, "standard": DASR_STANDARD}

Step = Mapping[str, Any]


def degradation_target(recipe: Mapping[str, Any]) -> Tensor:
    """The 33 numbers of an image's recipe.

    Args:
        recipe: as ``batch["degradation"]`` carries it; of kind ``weak``, ``standard``, or any other, which is read as
            two stages over the ranges of ``severe`` (Real-ESRGAN's).

    Returns:
        (33,) float32.

    Raises:
        InputError: it holds a step that has no place here.
    """
    steps: Sequence[Step] = recipe.get("steps") or ()
    for step in steps:
        if step["step"] not in _PLACED:
            raise InputError(
                f"the degradation step {step['step']} has no place among the {SIZE} numbers that DASR predicts",
                where="data.init_args.degradation",
                remedy="use DASR, DACESR or RealESRGAN, or --model.init_args.regression_weight 0",
            )
    cut = next((i for i, step in enumerate(steps) if step["step"] == "jpeg"), len(steps)) + 1
    numbers = [0.0] * SIZE
    ranges = _ONE_STAGE.get(str(recipe.get("kind")), DASR_SEVERE.first)
    _first(numbers, steps[:cut], ranges)
    if any(step["step"] == "jpeg" for step in steps[cut:]):
        _second(numbers, steps[cut:])
    else:
        _last_mode(numbers, _of(steps[cut:], "resize"))
    return torch.tensor(numbers)


def _first(numbers: list[float], steps: Sequence[Step], ranges: Stage) -> None:
    for step in _of(steps, "blur"):
        numbers[0:4] = _kernel(step["kernel"], ranges.blur.sigma)
    # A resize that keeps the size is no step of the recipe.
    resized = next(iter(_of(steps, "resize")), None)
    numbers[10] = _over(resized["scale"] if resized else 1.0, ranges.resize.factor)
    if resized:
        numbers[11:14] = _mode(resized)
    numbers[18:22] = _noise(steps, ranges)
    for step in _of(steps, "jpeg"):
        numbers[26] = _over(step["quality"], ranges.jpeg)


def _second(numbers: list[float], steps: Sequence[Step]) -> None:
    ranges = DASR_SEVERE.second
    sharp = [step for step in _of(steps, "blur") if step["kernel"]["kind"] == "sinc"]
    # Behind the noise a sinc kernel is the final filter; before it, the second blur is one.
    noisy = next((i for i, step in enumerate(steps) if step["step"].endswith("_noise")), 0)
    blurs, finals = list(_of(steps[:noisy], "blur")), [step for step in sharp if step in steps[noisy:]]
    sinc = finals[0]["kernel"] if finals else {"size": 0, "cutoff": 0.0}
    numbers[8:10] = [_over(sinc["size"], _SIDES), _over(sinc["cutoff"], DASR_SEVERE.sinc.cutoff)]
    for step in blurs:
        numbers[4:8], numbers[9] = _kernel(step["kernel"], ranges.blur.sigma), 1.0
    resizes = list(_of(steps, "resize"))
    if resizes:  # the first one's factor is of the size of lq, which the last one makes
        numbers[14] = _over(resizes[0]["height"] / resizes[-1]["height"], ranges.resize.factor)
        numbers[15:18] = _mode(resizes[0])
    numbers[22:26] = _noise(steps, ranges)
    jpeg = next(i for i, step in enumerate(steps) if step["step"] == "jpeg")
    numbers[27] = _over(steps[jpeg]["quality"], ranges.jpeg)
    before = any(step["step"] in ("blur", "resize") for step in steps[noisy:jpeg])
    numbers[28:30] = [float(before), float(not before)]
    _last_mode(numbers, resizes[1:])


def _of(steps: Sequence[Step], name: str) -> Iterator[Step]:
    return (step for step in steps if step["step"] == name)


def _kernel(kernel: Mapping[str, Any], sigmas: Range) -> list[float]:
    side = _over(kernel["size"], _SIDES)
    if kernel["kind"] == "sinc":
        return [side, 0.0, 0.0, 0.0]
    return [side, _over(kernel["sigma_x"], sigmas), _over(kernel["sigma_y"], sigmas), _over(kernel["theta"], _ANGLES)]


def _noise(steps: Sequence[Step], ranges: Stage) -> list[float]:
    for step in _of(steps, "gaussian_noise"):
        return [_over(step["sigma"], ranges.noise.sigma), float(step["grey"]), 1.0, 0.0]
    for step in _of(steps, "poisson_noise"):
        return [_over(step["scale"], ranges.noise.poisson), float(step["grey"]), 0.0, 1.0]
    return [0.0] * 4


def _mode(resize: Step) -> list[float]:
    return [float(resize["mode"] == mode) for mode in MODES]


def _last_mode(numbers: list[float], resizes: Any) -> None:
    for resize in resizes:
        numbers[30:33] = _mode(resize)


def _over(value: float, limits: Range) -> float:
    least, greatest = limits
    return (value - least) / (greatest - least)
