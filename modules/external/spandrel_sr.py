"""Any checkpoint that spandrel recognises, run as its authors' test script would."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.external.cutting import Cutting
from srbench.modules.external.padding import Kind, Padding
from srbench.modules.fixed import FixedSR
from srbench.naming import safe_name
from srbench.weights import load_state

Precision = Literal["float32", "float16", "bfloat16"]

SCRIPTS = {
    "SwinIR": Padding("flip_always", 8),  # main_test_swinir.py: window 8 in every real-world model
    "FeMaSR": Padding("flip_always", 16),  # FeMaSR's test(): window 8 behind a stride of 2
    "HAT": Padding("multiple", 16),  # hat_model.py pre_process(): window 16, reflected, only where needed
}
"""Padding in the authors' test scripts by spandrel's architecture name. Others get what the architecture demands."""


class SpandrelSR(FixedSR):
    """Any super-resolution checkpoint that spandrel (and spandrel_extra_arches) recognises, safely loaded.

    The architecture is read from the file given as ``weights``; ``weights_key`` picks its entry (LDL: ``params``; None
    prefers ``params_ema``). Spandrel's own padding is not used, since the authors' scripts pad otherwise.

    Args:
        name: the row's name; None takes the file's name without its ending.
        published: which file the authors publish and where; told when there is no such file here.
        pad: ``auto`` follows the authors' script, see :data:`SCRIPTS`; or a rule of
            :class:`~srbench.modules.external.padding.Padding`.
        pad_multiple: what padded sides are divisible by; needed with ``multiple`` and ``flip_always``.
        cut: side in lq pixels of the hard tiles that the authors' script cuts large images into, see
            :class:`~srbench.modules.external.cutting.Cutting`; None never cuts. ``tile`` blends, no script does that.
        cut_around: lq pixels that such a tile reads beyond.
        cut_from: fewest lq pixels of an image that is cut.
        precision: the network's number format; sr is float32 in any case.
        kwargs: see :class:`~srbench.module.SRModule`.

    Raises:
        InputError: ``pad`` and ``pad_multiple``, or ``cut`` and ``tile``, do not go together, or ``name`` cannot be a
            file's.
    """

    unhashed = ("weights", "published")

    def __init__(
        self,
        *,
        name: str | None = None,
        published: str | None = None,
        pad: Literal["auto", "none", "multiple", "flip_always"] = "auto",
        pad_multiple: int | None = None,
        cut: int | None = None,
        cut_around: int = 0,
        cut_from: int = 0,
        precision: Precision = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = None if name is None else safe_name(name, kind="method name")
        self.published = published
        self.pad = pad
        self.pad_multiple = pad_multiple
        self.dtype_of_net: torch.dtype = getattr(torch, precision)
        self.padding = Padding() if pad == "auto" else _given(pad, pad_multiple)
        self.cutting = _cutting(cut, cut_around, cut_from, self.tile)
        self.net: nn.Module | None = None

    @property
    def method(self) -> str:
        """``name``, else the checkpoint's name without its ending."""
        return self.name or ("SpandrelSR" if self.weights is None else Path(self.weights).stem)

    def parts(self) -> dict[str, nn.Module]:
        """The network as ``net``; read from the checkpoint when that has not happened yet.

        Raises:
            InputError: there is no checkpoint to read the architecture from.
        """
        if self.net is None:
            self.load_upstream(self._checkpoint())
        assert self.net is not None
        return {"net": self.net}

    def _checkpoint(self) -> str:
        if self.weights is None:
            which = f", which is {self.published}" if self.published else ""
            raise InputError(
                "SpandrelSR reads its architecture from a checkpoint, and none is given",
                where="model.init_args.weights",
                remedy=f"add --model.init_args.weights FILE{which}",
            )
        return self.weights

    def prepare(self) -> None:
        """As the base's; here nothing works without a checkpoint.

        Raises:
            InputError: none is given.
        """
        self._checkpoint()
        super().prepare()

    def load_upstream(self, path: str | Path) -> None:
        """Builds the network that the checkpoint belongs to and loads it.

        Raises:
            InputError: the file is unsafe, unknown, of another scale or not for colour images, or the precision is not
                supported by its architecture.
        """
        if self.published and not Path(path).is_file():
            raise InputError("there is no such file", where=path, remedy=f"the authors publish {self.published}")
        self.adopt(load_state(path, key=self.weights_key), path)

    def adopt(self, state: dict[str, Tensor], where: str | Path) -> None:
        """Builds the network that these tensors belong to and loads them.

        Args:
            state: the tensors by name.
            where: their file, for messages.

        Raises:
            InputError: as :meth:`load_upstream`.
        """
        found = describe_checkpoint(state, where)
        _check(found, where, self.scale, self.dtype_of_net)
        if self.pad == "auto":
            needs = found.size_requirements
            demanded = Padding("multiple", needs.multiple_of, max(needs.minimum, 1))
            self.padding = SCRIPTS.get(found.architecture.name, demanded)
        self.net = found.model.to(self.dtype_of_net).eval().requires_grad_(False)

    def upscale(self, lq: Tensor) -> Tensor:
        """Restores ``lq`` (B,3,h,w) in [0,1] to (B,3,s*h,s*w), clamped to [0,1]."""
        lq = lq.to(self.dtype_of_net)
        sr = self._padded(lq) if self.cutting is None else self.cutting.around_each(self._padded, lq, self.scale)
        return sr.float().clamp(0.0, 1.0)

    def _padded(self, lq: Tensor) -> Tensor:
        return self.padding.around(self.parts()["net"], lq, self.scale)


def describe_checkpoint(state: dict[str, Tensor], where: str | Path) -> Any:
    """Spandrel's descriptor of a state dict.

    Raises:
        InputError: no architecture is recognised, or the tensors do not fit the one that is.
    """
    from spandrel import UnsupportedModelError

    registry, extras = _registry()
    try:
        return registry.load(state)
    except UnsupportedModelError as error:
        install = "" if extras else " after pip install 'srbench[arches]' (more architectures, non-commercial licences)"
        raise InputError(
            "spandrel recognises no architecture in this checkpoint",
            where=where,
            remedy=f"set weights_key to the entry that holds the network, try again{install}, use the method of its "
            "own (srbench list methods), or restore the images with its authors' code and score them with ImageFolder",
        ) from error
    except Exception as error:  # architectures meet unfamiliar tensors each in its own way
        raise InputError(
            f"its tensors do not fit the architecture that their names suggest ({type(error).__name__}: {error})"[:300],
            where=where,
            remedy="check that the file is whole and weights_key names the network",
        ) from error


def _registry() -> tuple[Any, bool]:
    """Spandrel's architectures with the extra ones, when they are installed; the shared registry stays as it is."""
    from spandrel import MAIN_REGISTRY

    registry = MAIN_REGISTRY.copy()
    try:
        from spandrel_extra_arches import EXTRA_REGISTRY
    except ImportError:
        return registry, False
    registry.add(*EXTRA_REGISTRY.architectures(), ignore_duplicates=True)
    return registry, True


def _given(kind: Kind, multiple: int | None) -> Padding:
    if kind == "none":
        return Padding()
    if multiple is None or multiple < 1:
        raise InputError(
            f"pad {kind} needs a multiple", where="model.init_args.pad_multiple", remedy="set it, e.g. to 8"
        )
    return Padding(kind, multiple)


def _cutting(cut: int | None, around: int, least: int, tile: int | None) -> Cutting | None:
    if cut is None:
        return None
    if tile is not None:
        raise InputError(
            f"tiles of {tile} that are blended and hard ones of {cut} exclude each other",
            where="model.init_args.tile",
            remedy="leave one out: --model.init_args.cut null, or --model.init_args.tile null",
        )
    if cut < 1 or around < 0:
        raise InputError(
            f"cut {cut} with {around} around is impossible",
            where="model.init_args.cut",
            remedy="use cut >= 1 and cut_around >= 0",
        )
    return Cutting(cut, around, least)


def _check(found: Any, path: str | Path, scale: int, dtype: torch.dtype) -> None:
    name = found.architecture.name
    if found.purpose not in ("SR", "Restoration") or (found.input_channels, found.output_channels) != (3, 3):
        raise InputError(
            f"it is {name} ({found.purpose}, {found.input_channels} to {found.output_channels} channels), "
            "which does not restore colour images",
            where=path,
            remedy="use a checkpoint for RGB super-resolution",
        )
    if found.scale != scale:
        raise InputError(
            f"it is a x{found.scale} {name}, asked for x{scale}", where=path, remedy=f"set scale to {found.scale}"
        )
    fits = {torch.float16: found.supports_half, torch.bfloat16: found.supports_bfloat16}.get(dtype, True)
    if not fits:
        raise InputError(f"{name} does not run in {dtype}", where=path, remedy="set precision to float32")
