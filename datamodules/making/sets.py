"""The sets that can be made: which degradation, whole images or crops, and what records call them.

Every JPEG inside is DiffJPEG, as in the authors' scripts: DASR's ``create_realsr_validation_set_type*.py`` and the
``feed_data`` of Real-ESRGAN, StableSR and DeeDSR compress with it on the way to the files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from srbench.datamodules.degradations.presets import DASR, DeeDSR, DeeDSRLevels, RealESRGAN
from srbench.datamodules.making import MAKES
from srbench.degradation import Degradation
from srbench.naming import unknown_name


@dataclass(frozen=True)
class Part:
    """One lq folder of a set.

    Attributes:
        name: of its folder.
        label: what records call it, without the seed; ``{of}`` stands for the images.
        degradation: makes lq.
    """

    name: str
    label: str
    degradation: Degradation


@dataclass(frozen=True)
class Spec:
    """A set that can be made.

    Attributes:
        name: as the command takes it.
        parts: its lq folders.
        source: the paper.
        crop: side of the random gt crops; None takes whole images.
        crops: how many the paper takes over all images.
        text: whether the degradation is written as text too.
        scale: magnification from lq to gt.
    """

    name: str
    parts: tuple[Part, ...]
    source: str
    crop: int | None = None
    crops: int | None = None
    text: bool = False
    scale: int = 4


_DEEDSR = "DeeDSR, arXiv 2404.00661"


def _div2k_levels() -> Spec:
    # No sharpening: the authors' scripts leave it out, though training has it.
    levels = (("level1", "weak"), ("level2", "standard"), ("level3", "severe"))
    parts = tuple(Part(name, f"{{of}}_{name}", DASR(level=kind, sharpen="none", crop=None)) for name, kind in levels)  # type: ignore[arg-type]
    return Spec("div2k_levels", parts, "DASR, arXiv 2203.14216, and DACESR")


def _deedsr_val() -> Spec:
    parts = (Part("lq", "deedsr_{of}_val", DeeDSR()),)
    return Spec("deedsr_val", parts, _DEEDSR, crop=512, crops=3000)


def _deedsr_levels() -> Spec:
    levels = ("light", "medium", "heavy")
    parts = tuple(Part(level, f"deedsr_{{of}}_{level}", DeeDSRLevels(level=level)) for level in levels)  # type: ignore[arg-type]
    # The paper does not say how many: its 3000 images split into three groups.
    return Spec("deedsr_levels", parts, _DEEDSR, crop=512, crops=1000)


def _deedsr_v2() -> Spec:
    parts = (Part("lq", "deedsr_{of}_v2", DeeDSR()),)
    return Spec("deedsr_v2", parts, _DEEDSR, crop=512, crops=3000, text=True)


def _cassr_div2k() -> Spec:
    # Real-ESRGAN makes lq from a sharpened copy; what lq is compared with is the image itself.
    parts = (Part("lq", "cassr_{of}", RealESRGAN(sharpen="lq", crop=None)),)
    return Spec("cassr_div2k", parts, "CasSR; Real-ESRGAN, arXiv 2107.10833")


def _cassr_pairs() -> Spec:
    # The paper degrades while it trains, but its references are sampled, so pairs are kept. How many is OURS.
    parts = (Part("lq", "cassr_{of}_pairs", RealESRGAN(sharpen="lq", crop=None)),)
    return Spec("cassr_pairs", parts, "CasSR; Real-ESRGAN, arXiv 2107.10833", crop=512, crops=20000)


_SPECS: dict[str, Callable[[], Spec]] = {
    "div2k_levels": _div2k_levels,
    "deedsr_val": _deedsr_val,
    "deedsr_levels": _deedsr_levels,
    "deedsr_v2": _deedsr_v2,
    "cassr_div2k": _cassr_div2k,
    "cassr_pairs": _cassr_pairs,
}


def find(name: str) -> Spec:
    """The set of this name.

    Raises:
        InputError: there is none; it suggests the nearest.
    """
    if name not in _SPECS:
        raise unknown_name("set to make", name, MAKES)
    return _SPECS[name]()


def settings(degradation: Degradation) -> dict[str, Any]:
    """Class and arguments of a degradation with every range, as JSON has them."""
    held = {k: v for k, v in vars(degradation).items() if not k.startswith("_") and k != "training"}
    return {"class": type(degradation).__name__, "arguments": {name: _plain(held[name]) for name in sorted(held)}}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return [_plain(entry) for entry in value] if isinstance(value, (tuple, list)) else value
