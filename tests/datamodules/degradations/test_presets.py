"""2,000 draws of every preset: each probability and range is the paper's."""

from __future__ import annotations

import contextlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from srbench.datamodules.degradations import (
    BSRGAN,
    DACESR,
    DASR,
    Bicubic,
    DeeDSR,
    DeeDSRLevels,
    RealESRGAN,
    Recipe,
    Single,
    StableSRLight,
)
from srbench.datamodules.degradations.imresize import imresize
from srbench.datamodules.degradations.ranges import ODD_7_TO_21, ODD_9_TO_21, KernelMix
from srbench.datamodules.degradations.steps import (
    Blur,
    Clamp,
    GaussianNoise,
    Jpeg,
    PoissonNoise,
    Resize,
    Round,
    Step,
    Usm,
)
from srbench.degradation import Degradation
from srbench.errors import InputError

DRAWS = 2000
SIDE = 400

PRESETS: dict[str, Callable[[], Degradation]] = {
    "bicubic": Bicubic,
    "realesrgan": RealESRGAN,
    "weak": lambda: DASR(level="weak"),
    "standard": lambda: DASR(level="standard"),
    "severe": lambda: DASR(level="severe"),
    "mixed": DASR,
    "dacesr": DACESR,
    "stablesr_light": StableSRLight,
    "deedsr": DeeDSR,
    "light": lambda: DeeDSRLevels(level="light"),
    "medium": lambda: DeeDSRLevels(level="medium"),
    "heavy": lambda: DeeDSRLevels(level="heavy"),
    "bsrgan": BSRGAN,
    "blur": lambda: Single(kind="blur", strength=1.5),
    "noise": lambda: Single(kind="noise", strength=20),
    "jpeg": lambda: Single(kind="jpeg", strength=30),
}


@cache
def drawn(name: str) -> tuple[Recipe, ...]:
    degradation = PRESETS[name]()
    recipes = (degradation.draw(np.random.default_rng(i), SIDE, SIDE) for i in range(DRAWS))
    return tuple(recipe for recipe in recipes if isinstance(recipe, Recipe))


def steps(recipes: Iterable[Recipe], kind: type[Step]) -> list[Any]:
    return [step for recipe in recipes for step in recipe.steps if isinstance(step, kind)]


def near(count: float, of: int, probability: float) -> bool:
    """Within 4.5 standard deviations of a binomial count: fails once in 150,000 by chance, and the seeds are fixed."""
    return abs(count - of * probability) <= 4.5 * math.sqrt(of * probability * (1 - probability)) + 1e-9


def spans(values: Iterable[float], low: float, high: float, *, share: float = 0.02) -> bool:
    """All within the range, and reaching its ends but for ``share`` of it."""
    got, slack = list(values), share * (high - low)
    return low <= min(got) <= low + slack and high - slack <= max(got) <= high


@pytest.mark.parametrize("name", PRESETS)
def test_a_gt_of_400_gives_lq_of_100(name: str) -> None:
    degradation = PRESETS[name]()
    gt = torch.rand((3, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    for i in range(3):
        lq, target = degradation(gt, degradation.draw(np.random.default_rng(i), SIDE, SIDE))
        assert lq.shape == (3, 100, 100)
        assert target.shape == gt.shape
        assert 0 <= float(lq.min()) <= float(lq.max()) <= 1
        assert (lq * 255 - (lq * 255).round()).abs().max() < 1e-4, "lq is an 8-bit image"


@pytest.mark.parametrize("name", PRESETS)
def test_draws_are_functions_of_the_generator_and_survive_json(name: str) -> None:
    degradation = PRESETS[name]()
    for recipe in drawn(name)[:20]:
        assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe
    again = [degradation.draw(np.random.default_rng(i), SIDE, SIDE) for i in range(20)]
    assert again == list(drawn(name)[:20])


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("realesrgan", ODD_7_TO_21), ("dacesr", ODD_9_TO_21), ("mixed", ODD_9_TO_21), ("weak", ODD_9_TO_21),
     ("standard", ODD_9_TO_21), ("severe", ODD_9_TO_21), ("stablesr_light", ODD_7_TO_21), ("deedsr", ODD_7_TO_21)],
)  # fmt: skip
def test_kernel_sizes(name: str, sizes: tuple[int, ...]) -> None:
    drawn_sizes = Counter(blur.kernel.size for blur in steps(drawn(name), Blur))
    assert set(drawn_sizes) == set(sizes)
    total = sum(drawn_sizes.values())
    assert all(near(count, total, 1 / len(sizes)) for count in drawn_sizes.values())


def first_blurs(recipes: Iterable[Recipe]) -> list[Blur]:
    """The blur of the first stage: the first step that does not sharpen, where that is one."""
    firsts = [next(step for step in recipe.steps if not isinstance(step, Usm)) for recipe in recipes]
    return [step for step in firsts if isinstance(step, Blur)]


REAL_MIX = KernelMix()
DASR_MIX = {"iso": 0.65, "aniso": 0.35}


@pytest.mark.parametrize(
    ("name", "sinc", "mix", "sigma"),
    [
        ("realesrgan", 0.1, vars(REAL_MIX), (0.2, 3.0)),
        ("stablesr_light", 0.1, vars(REAL_MIX), (0.2, 1.5)),
        ("light", 0.1, vars(REAL_MIX), (0.2, 0.6)),
        ("medium", 0.1, vars(REAL_MIX), (0.6, 1.1)),
        ("heavy", 0.1, vars(REAL_MIX), (1.1, 1.5)),
        ("weak", 0.0, DASR_MIX, (0.2, 0.8)),
        ("standard", 0.0, DASR_MIX, (0.2, 1.5)),
        ("severe", 0.0, DASR_MIX, (0.2, 3.0)),
    ],
)
def test_first_kernels(name: str, sinc: float, mix: dict[str, float], sigma: tuple[float, float]) -> None:
    recipes = [r for r in drawn(name) if r.kind != "bicubic"]
    kernels = [blur.kernel for blur in first_blurs(recipes)]
    assert len(kernels) == len(recipes)
    kinds = Counter(str(kernel.kind) for kernel in kernels)
    assert near(kinds.pop("sinc", 0), len(kernels), sinc)
    assert set(kinds) == {kind for kind, probability in mix.items() if probability}
    others = sum(kinds.values())
    assert all(near(kinds[kind], others, probability) for kind, probability in mix.items())
    assert spans((k.sigma_x for k in kernels if k.kind != "sinc"), *sigma)
    turned = [k for k in kernels if k.kind.endswith("aniso")]
    assert spans((k.sigma_y for k in turned), *sigma)
    assert spans((k.theta for k in turned), -math.pi, math.pi)
    for small in (True, False):
        cutoffs = [k.cutoff for k in kernels if k.kind == "sinc" and (k.size < 13) == small]
        assert not cutoffs or spans(cutoffs, math.pi / (3 if small else 5), math.pi, share=0.15)


@pytest.mark.parametrize(
    ("name", "generalised", "plateau"),
    [
        ("realesrgan", (0.5, 4.0), (1.0, 2.0)),
        ("stablesr_light", (0.5, 2.0), (1.0, 1.5)),
        ("light", (0.5, 1.0), (1.0, 1.2)),
        ("medium", (1.0, 1.5), (1.2, 1.4)),
        ("heavy", (1.5, 2.0), (1.4, 1.5)),
    ],
)
def test_shapes_of_first_kernels(name: str, generalised: tuple[float, float], plateau: tuple[float, float]) -> None:
    kernels = [blur.kernel for blur in first_blurs(drawn(name))]
    assert spans((k.beta for k in kernels if k.kind.startswith("generalised")), *generalised, share=0.1)
    assert spans((k.beta for k in kernels if k.kind.startswith("plateau")), *plateau, share=0.1)
    betas = [k.beta for k in kernels if k.kind.startswith("generalised")]
    if name == "realesrgan":  # below and above 1 equally likely, though (0.5, 1) is a seventh of the range
        assert near(sum(beta < 1 for beta in betas), len(betas), 0.5)


def first_resize(recipe: Recipe) -> float:
    """The factor of the first stage's resize; 1 where the size was kept."""
    return next((s.scale for s in recipe.steps if isinstance(s, Resize) and s.scale is not None), 1.0)


@pytest.mark.parametrize(
    ("name", "up", "down", "factor"),
    [
        ("realesrgan", 0.2, 0.7, (0.15, 1.5)),
        ("stablesr_light", 0.2, 0.7, (0.3, 1.5)),
        ("weak", 0.1, 0.2, (0.85, 1.2)),
        ("standard", 0.3, 0.4, (0.5, 1.2)),
        ("severe", 0.2, 0.7, (0.15, 1.5)),
    ],
)
def test_first_resizes(name: str, up: float, down: float, factor: tuple[float, float]) -> None:
    recipes = [r for r in drawn(name) if r.kind != "bicubic"]
    factors = [first_resize(recipe) for recipe in recipes]
    assert near(sum(f > 1 for f in factors), len(factors), up)
    assert near(sum(f < 1 for f in factors), len(factors), down)
    assert spans((f for f in factors if f > 1), 1.0, factor[1])
    assert spans((f for f in factors if f < 1), factor[0], 1.0)
    first = [s for r in recipes for s in r.steps if isinstance(s, Resize) and s.scale is not None]
    assert all((s.height, s.width) == (math.floor(SIDE * s.scale),) * 2 for s in first if s.scale)
    modes = Counter(s.mode for s in steps(recipes, Resize))
    assert set(modes) == {"area", "bilinear", "bicubic"}
    assert all(near(count, sum(modes.values()), 1 / 3) for count in modes.values())


@pytest.mark.parametrize(
    ("name", "up", "down", "factor"),
    [("realesrgan", 0.3, 0.4, (0.3, 1.2)), ("severe", 0.3, 0.4, (0.3, 1.2)), ("deedsr", 0.3, 0.4, (0.6, 1.2))],
)
def test_second_resizes(name: str, up: float, down: float, factor: tuple[float, float]) -> None:
    recipes = [r for r in drawn(name) if r.kind != "bicubic"]
    sides = []
    for recipe in recipes:
        sized = [s.height for s in recipe.steps if isinstance(s, Resize) and s.scale is None]
        assert sized[-1] == 100
        sides.append(sized[0])  # the second stage always resizes, from the first stage's size
    assert near(sum(side > 100 for side in sides), len(sides), up * (1 - 0.01 / (factor[1] - 1)))
    assert near(sum(side < 100 for side in sides), len(sides), down)
    assert spans([s for s in sides if s < 100], 100 * factor[0], 99, share=0.03)
    assert spans([s for s in sides if s > 100], 101, 100 * factor[1], share=0.06)


NOISE = [
    ("realesrgan", 0, 0.5, (1, 30), (0.05, 3)),
    ("realesrgan", 1, 0.5, (1, 25), (0.05, 2.5)),
    ("weak", 0, 0.5, (1, 10), (0.05, 0.5)),
    ("standard", 0, 0.5, (1, 20), (0.05, 1.5)),
    ("severe", 0, 0.5, (1, 30), (0.05, 3)),
    ("severe", 1, 0.5, (1, 25), (0.05, 2.5)),
    ("deedsr", 0, 0.5, (1, 15), (0.05, 2)),
    ("deedsr", 1, 0.5, (1, 12), (0.05, 1)),
    ("light", 0, 1.0, (1, 5), None),
    ("light", 1, 1.0, (1, 4), None),
    ("medium", 0, 1.0, (5, 10), None),
    ("medium", 1, 1.0, (4, 8), None),
    ("heavy", 0, 1.0, (10, 15), None),
    ("heavy", 1, 1.0, (8, 12), None),
]


@pytest.mark.parametrize(("name", "stage", "gaussian", "sigma", "scale"), NOISE)
def test_noise(
    name: str, stage: int, gaussian: float, sigma: tuple[float, float], scale: tuple[float, float] | None
) -> None:
    noises = []
    for recipe in drawn(name):
        if recipe.kind != "bicubic":
            noises.append([s for s in recipe.steps if isinstance(s, (GaussianNoise, PoissonNoise))][stage])
    normal = [n for n in noises if isinstance(n, GaussianNoise)]
    shot = [n for n in noises if isinstance(n, PoissonNoise)]
    assert near(len(normal), len(noises), gaussian)
    assert spans((n.sigma for n in normal), *sigma)
    assert (scale is None) == (not shot)
    assert scale is None or spans((n.scale for n in shot), *scale)
    assert near(sum(n.grey for n in noises), len(noises), 0.4)
    assert len({n.seed for n in noises}) == len(noises)


JPEGS = [
    ("realesrgan", 0, (30, 95)), ("realesrgan", 1, (30, 95)), ("weak", 0, (90, 95)), ("standard", 0, (50, 95)),
    ("severe", 0, (30, 95)), ("severe", 1, (30, 95)), ("deedsr", 0, (60, 95)), ("deedsr", 1, (60, 100)),
    ("light", 0, (81, 95)), ("light", 1, (86, 100)), ("medium", 0, (70, 81)), ("medium", 1, (73, 86)),
    ("heavy", 0, (60, 70)), ("heavy", 1, (60, 73)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "stage", "quality"), JPEGS)
def test_jpeg(name: str, stage: int, quality: tuple[float, float]) -> None:
    jpegs = [[s for s in r.steps if isinstance(s, Jpeg)] for r in drawn(name) if r.kind != "bicubic"]
    assert all(len(both) == (1 if name in ("weak", "standard") else 2) for both in jpegs)
    assert spans((both[stage].quality for both in jpegs), *quality)
    assert all(j.differentiable for both in jpegs for j in both)


@pytest.mark.parametrize(
    ("name", "second", "sizes"),
    [("realesrgan", 0.8, ODD_7_TO_21), ("severe", 0.8, ODD_9_TO_21), ("deedsr", 0.5, ODD_7_TO_21),
     ("medium", 0.0, ODD_7_TO_21)],
)  # fmt: skip
def test_second_blur_final_sinc_and_order(name: str, second: float, sizes: tuple[int, ...]) -> None:
    """The last blur is the sinc filter, where there is one after the second noise."""
    recipes = [r for r in drawn(name) if r.kind != "bicubic"]
    seconds, sincs, sinc_first = 0, [], 0
    for recipe in recipes:
        body = [s for s in recipe.steps if not isinstance(s, Usm)]
        noise = [i for i, s in enumerate(body) if isinstance(s, (GaussianNoise, PoissonNoise))]
        seconds += sum(isinstance(s, Blur) for s in body[noise[0] : noise[1]])
        tail = body[noise[1] + 1 :]
        sincs += [s.kernel for s in tail if isinstance(s, Blur)]
        sinc_first += isinstance(tail[-2], Jpeg)
        assert isinstance(tail[-1], Round)
    assert near(seconds, len(recipes), second)
    assert near(len(sincs), len(recipes), 0.8)
    assert {k.kind for k in sincs} == {"sinc"}
    assert {k.size for k in sincs} == set(sizes)
    assert spans((k.cutoff for k in sincs), math.pi / 3, math.pi)
    # JPEG comes last by a coin, and also where what should follow it has nothing to do: no resize and no filter.
    idle = sum(_idle(recipe) for recipe in recipes)
    assert near(sinc_first - idle, len(recipes) - idle, 0.5)


def _idle(recipe: Recipe) -> bool:
    """Whether the second stage left the image at lq's size and no sinc filter was drawn."""
    sizes = [s for s in recipe.steps if isinstance(s, Resize) and s.scale is None]
    last_noise = max(i for i, s in enumerate(recipe.steps) if isinstance(s, (GaussianNoise, PoissonNoise)))
    return len(sizes) == 1 and not any(isinstance(s, Blur) for s in recipe.steps[last_noise:])


def test_levels_are_mixed_as_published() -> None:
    for name in ("mixed", "dacesr"):
        kinds = Counter(recipe.kind for recipe in drawn(name))
        assert near(kinds["weak"], DRAWS, 0.3)
        assert near(kinds["standard"], DRAWS, 0.3)
        assert near(kinds["severe"], DRAWS, 0.4)


@pytest.mark.parametrize(("name", "steps"), [("stablesr_light", [Usm, Resize]), ("deedsr", [Resize])])
def test_one_in_a_hundred_is_plain_bicubic(name: str, steps: list[type[Step]]) -> None:
    plain = [r for r in drawn(name) if r.kind == "bicubic"]
    assert near(len(plain), DRAWS, 0.01)
    assert all([type(step) for step in r.steps] == [*steps, Clamp, Round] for r in plain)


def test_who_sharpens_what() -> None:
    def sharpened(name: str) -> set[tuple[bool, ...]]:
        return {tuple(s.on_target for s in r.steps if isinstance(s, Usm)) for r in drawn(name)}

    assert sharpened("realesrgan") == {(False,)}
    assert sharpened("dacesr") == sharpened("mixed") == sharpened("stablesr_light") == {(True,)}
    assert sharpened("deedsr") == sharpened("light") == {()}
    plain = DASR(level="standard", sharpen="none").draw(np.random.default_rng(0), SIDE, SIDE)
    assert isinstance(plain, Recipe)
    assert not any(isinstance(s, Usm) for s in plain.steps)


def test_dacesr_trains_on_the_sharpened_gt() -> None:
    gt = torch.rand((3, 120, 120), generator=torch.Generator().manual_seed(0))
    degradation = DACESR(level="weak", crop=120)
    recipe = degradation.draw(np.random.default_rng(0), 120, 120)
    lq, target = degradation(gt, recipe)
    assert torch.equal(target, Usm().apply(gt))
    assert isinstance(recipe, Recipe)
    rest = Recipe(recipe.steps[1:])
    assert torch.equal(lq, rest.apply(Usm().apply(gt)).lq)


def test_bicubic_is_matlabs() -> None:
    levels = torch.from_numpy(np.random.default_rng(0).integers(256, size=(3, 48, 60), dtype=np.uint8))
    degradation = Bicubic()
    lq, target = degradation(levels.float() / 255, degradation.draw(np.random.default_rng(0), 48, 60))
    assert torch.equal((lq * 255).round().byte(), imresize(levels, 0.25))
    assert torch.equal((target * 255).round().byte(), levels)


def test_per_batch_shares_what_upstream_shares() -> None:
    degradation = DASR(per_batch=True)
    for batch in range(30):
        recipes = [
            degradation.draw(np.random.default_rng((batch, i)), SIDE, SIDE, batch_rng=np.random.default_rng(batch))
            for i in range(8)
        ]
        # Level, sizes, modes, kinds of noise, second blur, order; a final sinc filter is each image's own.
        shapes = {
            (r.kind, *(type(s).__name__ + str(_shared(s)) for s in r.steps if not _is_sinc(s)))
            for r in recipes
            if isinstance(r, Recipe)
        }
        assert len(shapes) == 1
        own = [s for r in recipes if isinstance(r, Recipe) for s in r.steps]
        qualities = {s.quality for s in own if isinstance(s, Jpeg)}
        assert len(qualities) >= 8
        assert len({s.seed for s in own if isinstance(s, (GaussianNoise, PoissonNoise))}) >= 8


def _shared(step: Step) -> Any:
    return (step.height, step.width, step.mode) if isinstance(step, Resize) else ""


def _is_sinc(step: Step) -> bool:
    return isinstance(step, Blur) and step.kernel.kind == "sinc"


def test_without_per_batch_nothing_is_shared() -> None:
    degradation = RealESRGAN()
    alone = degradation.draw(np.random.default_rng(1), SIDE, SIDE)
    assert alone == degradation.draw(np.random.default_rng(1), SIDE, SIDE, batch_rng=np.random.default_rng(5))


def test_pools_follow_per_batch() -> None:
    assert (RealESRGAN().pool, RealESRGAN(per_batch=True).pool, RealESRGAN(per_batch=True, pool=0).pool) == (0, 180, 0)
    assert (DACESR().pool, DACESR(per_batch=True).pool, DASR(pool=24).pool) == (0, 192, 24)


def test_libjpeg_takes_whole_qualities() -> None:
    degradation = DASR(level="weak", real_jpeg=True)
    recipes = [degradation.draw(np.random.default_rng(i), SIDE, SIDE) for i in range(300)]
    jpegs = [s for r in recipes if isinstance(r, Recipe) for s in r.steps if isinstance(s, Jpeg)]
    assert {j.quality for j in jpegs} == {90, 91, 92, 93, 94, 95}
    assert not any(j.differentiable for j in jpegs)


@pytest.mark.parametrize(
    ("make", "side", "says"),
    [
        (RealESRGAN, 64, "degrade 74 pixels or more"),
        (DASR, 40, "too small"),
        (lambda: DASR(level="weak"), 12, "degrade 13 pixels or more"),
        (BSRGAN, 100, "degrade 104 pixels or more"),
    ],
)
def test_too_small_an_image_is_refused_at_the_first_draw(make: Callable[[], Degradation], side: int, says: str) -> None:
    refused = 0
    for i in range(20):
        recipe = None
        with contextlib.suppress(InputError):
            recipe = make().draw(np.random.default_rng(i), side, side)
        if recipe is None:
            with pytest.raises(InputError, match=says):
                make().draw(np.random.default_rng(i), side, side)
            refused += 1
        else:
            assert isinstance(recipe, Recipe)
            assert recipe.kind in ("weak", "standard"), "a level that fits"
    assert refused == 20 or (make is DASR and refused)
