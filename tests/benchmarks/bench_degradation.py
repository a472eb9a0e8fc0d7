"""Degrading a batch of 16 images, 256 to 64, by Real-ESRGAN's second order: ours beside plain code, on two threads.

The plain reference goes image by image through OpenCV (where it is installed), SciPy and Pillow, as upstream's CPU code
does, from the same recipes: the same kernels, sizes, noise levels and qualities. With SRBENCH_UPSTREAM naming a
checkout of BasicSR that imports on today's torchvision (`basicsr/data/degradations.py` no longer finds
`torchvision.transforms.functional_tensor`; replace it by `functional`), upstream's own operators run too.
"""

from __future__ import annotations

import importlib
import io
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from srbench.datamodules.degradations import RealESRGAN, Recipe
from srbench.datamodules.degradations.filtering import automatic_sigma
from srbench.datamodules.degradations.steps import Blur, GaussianNoise, Jpeg, PoissonNoise, Resize, Round, Step, Usm
from srbench.threads import side_by_side

IMAGES, SIDE, ROUNDS, THREADS = 16, 256, 5, 2
Plane = NDArray[Any]  # (H,W,3) float32

try:
    import cv2
except ImportError:
    cv2 = None  # type: ignore[assignment]


def main() -> None:
    torch.set_num_threads(THREADS)
    if cv2 is not None:
        cv2.setNumThreads(THREADS)
    gts = photographs()
    ratios: dict[str, list[float]] = {}
    others: dict[str, Callable[[list[torch.Tensor], list[Recipe]], None]] = {"plain OpenCV/SciPy/Pillow": plain_batch}
    if folder := os.environ.get("SRBENCH_UPSTREAM"):
        others["upstream (BasicSR)"] = upstream(folder)
    print(
        f"{IMAGES} images {SIDE} -> {SIDE // 4}, realesrgan, {THREADS} threads, {'with' if cv2 else 'without'} OpenCV"
    )
    ours_batch(gts, recipes(0))  # both start warm
    for turn in range(1, ROUNDS + 1):
        drawn = recipes(turn)
        ours = seconds(ours_batch, gts, drawn)
        line = f"ours {ours:.2f} s"
        for name, run in others.items():
            taken = seconds(run, gts, drawn)
            ratios.setdefault(name, []).append(taken / ours)
            line += f", {name} {taken:.2f} s ({taken / ours:.1f}x)"
        print(line)
    for name, values in ratios.items():
        print(f"ours is {statistics.median(values):.1f} times as fast as {name} (median of {ROUNDS} batches)")
    print("ours by step, one thread:", by_step(gts, recipes(1)))


def photographs() -> list[torch.Tensor]:
    """Crops of scikit-image's astronaut, (3,256,256) in [0,1]."""
    from skimage import data

    image = torch.from_numpy(np.ascontiguousarray(data.astronaut().transpose(2, 0, 1))).float() / 255
    places = [(y, x) for y in range(0, 256, 64) for x in range(0, 256, 64)]
    return [image[:, y : y + SIDE, x : x + SIDE].contiguous() for y, x in places[:IMAGES]]


def recipes(turn: int) -> list[Recipe]:
    degradation = RealESRGAN()
    return [degradation.draw(np.random.default_rng((turn, i)), SIDE, SIDE) for i in range(IMAGES)]


def seconds(run: Callable[..., None], gts: list[torch.Tensor], drawn: list[Recipe]) -> float:
    start = time.perf_counter()
    run(gts, drawn)
    return time.perf_counter() - start


def ours_batch(gts: list[torch.Tensor], drawn: list[Recipe]) -> None:
    """As a training process degrades a batch on a CPU."""
    for made in side_by_side(lambda pair: pair[1].apply(pair[0]), zip(gts, drawn, strict=True)):
        assert made.lq.shape == (3, SIDE // 4, SIDE // 4)


def by_step(gts: list[torch.Tensor], drawn: list[Recipe]) -> str:
    """Milliseconds of a batch by kind of step, on one thread."""
    torch.set_num_threads(1)
    spent: Counter[str] = Counter()
    with torch.no_grad():
        for gt, recipe in zip(gts, drawn, strict=True):
            image = gt
            for step in recipe.steps:
                start = time.perf_counter()
                image = step.apply(image)
                spent[step.name] += time.perf_counter() - start  # type: ignore[assignment]
    return ", ".join(f"{name} {1000 * taken:.0f} ms" for name, taken in spent.most_common())


# ----------------------------------------------------------------------------------------------------- plain reference


def plain_batch(gts: list[torch.Tensor], drawn: list[Recipe]) -> None:
    for gt, recipe in zip(gts, drawn, strict=True):
        image = np.ascontiguousarray(gt.permute(1, 2, 0).numpy())
        for step in recipe.steps:
            image = plain_step(image, step)
        assert image.shape == (SIDE // 4, SIDE // 4, 3)


def plain_step(image: Plane, step: Step) -> Plane:
    """One step on (H,W,3), as a line or two of the usual libraries."""
    if isinstance(step, Usm):
        return plain_usm(image, step)
    if isinstance(step, Blur):
        return filtered(image, step.kernel.build())
    if isinstance(step, Resize):
        return resized(image, step)
    if isinstance(step, (GaussianNoise, PoissonNoise)):
        return noisy(image, step)
    if isinstance(step, Jpeg):
        return plain_jpeg(image, int(step.quality))
    assert isinstance(step, Round)
    return np.clip(np.round(image * 255), 0, 255) / 255


def filtered(image: Plane, kernel: NDArray[np.float64]) -> Plane:
    if cv2 is not None:
        return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return ndimage.correlate(image, kernel[:, :, None].astype(np.float32), mode="mirror")


def plain_usm(image: Plane, step: Usm) -> Plane:
    taps = step.radius + 1 - step.radius % 2
    sigma = automatic_sigma(taps)

    def blurred(plane: Plane) -> Plane:
        if cv2 is not None:
            return cv2.GaussianBlur(plane, (taps, taps), 0)
        return ndimage.gaussian_filter(plane, (sigma, sigma, 0), mode="mirror", radius=(taps // 2, taps // 2, 0))

    detail = image - blurred(image)
    soft = blurred((np.abs(detail) * 255 > step.threshold).astype(np.float32))
    return soft * np.clip(image + step.weight * detail, 0, 1) + (1 - soft) * image


def resized(image: Plane, step: Resize) -> Plane:
    if cv2 is not None:
        how = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}[step.mode]
        return cv2.resize(image, (step.width, step.height), interpolation=how)
    how = {"area": Image.Resampling.BOX, "bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    planes = [Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(3)]
    return np.stack([np.asarray(p.resize((step.width, step.height), how[step.mode])) for p in planes], -1)


def noisy(image: Plane, step: GaussianNoise | PoissonNoise) -> Plane:
    rng = np.random.default_rng(step.seed)
    shape = (*image.shape[:2], 1 if step.grey else 3)
    if isinstance(step, GaussianNoise):
        return np.clip(image + rng.standard_normal(shape, dtype=np.float32) * np.float32(step.sigma / 255), 0, 1)
    counted = image @ np.array([[0.2989], [0.587], [0.114]], dtype=np.float32) if step.grey else image
    counted = np.clip(np.round(counted * 255), 0, 255) / 255
    photons = 2 ** np.ceil(np.log2(len(np.unique(counted))))
    noise = rng.poisson(counted * photons) / photons - counted
    return np.clip(image + noise * step.scale, 0, 1).astype(np.float32)


def plain_jpeg(image: Plane, quality: int) -> Plane:
    file = io.BytesIO()
    levels = np.clip(np.round(image * 255), 0, 255).astype(np.uint8)
    Image.fromarray(levels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), dtype=np.float32) / 255


# ------------------------------------------------------------------------------------------------------------ upstream


def upstream(folder: str) -> Callable[[list[torch.Tensor], list[Recipe]], None]:
    """BasicSR's operators on the whole batch, in Real-ESRGAN's order; per batch it draws what upstream does."""
    sys.path.insert(0, folder)
    from torch.nn import functional as F

    # By name: it is no dependency, and static checkers would ask for it.
    operators = importlib.import_module("basicsr.data.degradations")
    filtered_by = importlib.import_module("basicsr.utils.img_process_util").filter2D
    jpeg = importlib.import_module("basicsr.utils").DiffJPEG(differentiable=False)
    sharpen = importlib.import_module("basicsr.utils").USMSharp()

    def kernels(drawn: list[Recipe], which: int) -> torch.Tensor:
        out = torch.zeros(len(drawn), 21, 21)
        for kernel, recipe in zip(out, drawn, strict=True):
            specs = [s.kernel for s in recipe.steps if isinstance(s, Blur)]
            built = torch.from_numpy(specs[min(which, len(specs) - 1)].build()).float()
            pad = (21 - len(built)) // 2
            kernel[pad : 21 - pad, pad : 21 - pad] = built
        return out

    def noise(image: torch.Tensor, gaussian: bool, sigma: Any, scale: Any) -> torch.Tensor:
        if gaussian:
            return operators.random_add_gaussian_noise_pt(
                image, sigma_range=sigma, gray_prob=0.4, clip=True, rounds=False
            )
        return operators.random_add_poisson_noise_pt(image, scale_range=scale, gray_prob=0.4, clip=True, rounds=False)

    @torch.no_grad()
    def run(gts: list[torch.Tensor], drawn: list[Recipe]) -> None:
        # What a batch shares upstream is taken from one of the recipes.
        lead = drawn[0].steps
        out = filtered_by(sharpen(torch.stack(gts)), kernels(drawn, 0))
        for resize in [s for s in lead if isinstance(s, Resize) and s.scale is not None]:
            out = F.interpolate(out, scale_factor=resize.scale, mode=resize.mode)
        kinds = [isinstance(s, GaussianNoise) for s in lead if isinstance(s, (GaussianNoise, PoissonNoise))]
        out = noise(out, kinds[0], (1, 30), (0.05, 3)).clamp(0, 1)
        out = jpeg(out, quality=out.new_zeros(IMAGES).uniform_(30, 95)).contiguous()  # filter2D takes a view
        out = filtered_by(out, kernels(drawn, 1))
        sized = [s for s in lead if isinstance(s, Resize) and s.scale is None]
        out = F.interpolate(out, size=(sized[0].height, sized[0].width), mode=sized[0].mode)
        out = noise(out, kinds[1], (1, 25), (0.05, 2.5)).clamp(0, 1)
        out = F.interpolate(out, size=(SIDE // 4, SIDE // 4), mode=sized[-1].mode)
        out = filtered_by(out, kernels(drawn, 2)).clamp(0, 1)
        out = jpeg(out, quality=out.new_zeros(IMAGES).uniform_(30, 95))
        assert out.shape == (IMAGES, 3, SIDE // 4, SIDE // 4)

    return run


if __name__ == "__main__":
    main()
