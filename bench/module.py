"""SRModule: what every stage of every method is to the rest of srbench."""

from __future__ import annotations

import copy
import functools
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NotRequired, Self, TypedDict, TypeVar

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from srbench import weight_files
from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.images import file_sha256
from srbench.sampling import image_seed, run_seed
from srbench.tiling import tiled
from srbench.weights import MARKS_KEY, check_finite, check_fit, checkpoint_marks, load_state, load_strict

Module = TypeVar("Module", bound="SRModule")


class Restored(TypedDict):
    """What a test, validation or prediction step returns: ``sr`` (B,3,s*h,s*w) in [0,1] and its milliseconds.

    ``ms`` is None for a module that is not ``timed``. ``notes`` are what it remarked of each image.
    """

    sr: Tensor
    ms: float | None
    notes: NotRequired[list[tuple[str, ...]]]


class SRModule(LightningModule, ABC):
    """One training stage of one method.

    A subclass gives ``upscale`` and, if it can be trained, ``training_step`` and ``configure_optimizers``; it keeps
    the network that makes sr in ``self.net`` (or overrides :meth:`parts`). Test, validation and prediction steps live
    here once; scoring is no business of a method.

    Args:
        scale: magnification from lq to gt.
        weights: checkpoint to start from, loaded strictly by :meth:`load_upstream` before the first step.
        weights_key: entry of that file to take; None prefers ``params_ema``, then ``params``.
        tile: side in lq pixels to cut large images into; None restores every image whole.
        tile_overlap: lq pixels that tiles read beyond their own part.

    Attributes:
        marks: why rows of this method may not be ranked: ``oracle``, ``random_backbones``; see :meth:`stamp`.
        allow_random_backbones: let random networks stand in for frozen parts whose weights are absent, for tests and
            trials; see :meth:`backbone`.
        previous: config of the stage whose network this one starts from; ``fit`` refuses to start without it.
        timed: whether ``restore`` is the method at work; False where it only fetches what was made elsewhere, so that
            no time, memory or parameters are recorded.
        needs_weights: whether a test without a checkpoint runs on random weights and is marked so; False for methods
            that learn from the image they restore.
        peak_mem_mb: most MiB of an accelerator that restoring an image took, weights included and the device's other
            tenants (networks of metrics) left out; None on a CPU.
        stochastic: whether sr depends on drawn numbers; the seed is then part of what a record is of. Draw from
            :meth:`generator`, so that neither order nor number of processes matter.
        repeat: which of several draws of a stochastic method is being made, from 0.
        unhashed: init arguments that say where things lie and not what they are; they stay out of the config hash.
        files: what sr depends on besides ``weights``: role -> sha256; see :meth:`rests_on`.
    """

    marks: tuple[str, ...] = ()
    allow_random_backbones: bool = False
    previous: str | None = None
    timed: ClassVar[bool] = True
    needs_weights: ClassVar[bool] = True
    stochastic: ClassVar[bool] = False
    unhashed: ClassVar[tuple[str, ...]] = ("weights",)

    def __init__(
        self,
        *,
        scale: int = 4,
        weights: str | None = None,
        weights_key: str | None = None,
        tile: int | None = None,
        tile_overlap: int = 32,
    ) -> None:
        super().__init__()
        if scale < 1:
            raise InputError(
                f"scale {scale} is impossible", where="model.init_args.scale", remedy="use 1, 2, 3, 4, ..."
            )
        if (tile is not None and tile < 1) or tile_overlap < 0:
            raise InputError(
                f"tile {tile} with overlap {tile_overlap} is impossible",
                where="model.init_args.tile",
                remedy="use tile >= 1 and tile_overlap >= 0",
            )
        self.scale = scale
        self.weights = weights
        self.weights_key = weights_key
        self.tile = tile
        self.tile_overlap = tile_overlap
        self.weights_sha256: str | None = None
        self.peak_mem_mb: float | None = None
        self.repeat = 0
        self.files: dict[str, str] = {}
        self._remarks: dict[str, list[str]] = {}
        self._prepared = False
        self._restored = False
        self._warm = False
        if _given_hyperparameters.get() is not None:  # built by the command line: remember the config in checkpoints
            self.save_hyperparameters(logger=False)

    # ------------------------------------------------------------------------------------------------ a method gives

    @abstractmethod
    def upscale(self, lq: Tensor) -> Tensor:
        """Restores images: ``lq`` (B,3,h,w) in [0,1] to sr (B,3,s*h,s*w) in [0,1]."""

    @property
    def method(self) -> str:
        """The method's name in tables; one path component."""
        return type(self).__name__

    def parts(self) -> dict[str, nn.Module]:
        """The stage's named networks; ``net`` is the one that makes sr and whose size tables print."""
        return {"net": self._net}

    @property
    def _net(self) -> nn.Module:
        net = self.net
        assert isinstance(net, nn.Module)
        return net

    def restore(self, batch: Batch) -> Tensor:
        """Sr for a batch, whole or in tiles; a method that needs more of the batch than ``lq`` overrides it."""
        return tiled(self.upscale, batch["lq"], scale=self.scale, tile=self.tile, overlap=self.tile_overlap)

    def warm_up(self, batch: Batch) -> None:
        """Runs once, untimed, before the first timed image: kernels are chosen and compiled here."""
        self.upscale(batch["lq"][..., :64, :64])

    def load_upstream(self, path: str | Path) -> None:
        """Loads the authors' published checkpoint (or one of ours) into ``net``, strictly.

        Raises:
            InputError: the file is missing, unsafe, holds NaN, or belongs to another network.
        """
        state = load_state(path, key=self.weights_key)
        load_strict(self._net, self.rename_upstream(state), where=path)

    def rename_upstream(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Maps the names (and ranges) of published checkpoints onto this network's.

        The default asks the network's own ``rename_upstream``, if it has one, and otherwise changes nothing.
        """
        own = getattr(self._net, "rename_upstream", None)
        return state if own is None else own(state)

    # --------------------------------------------------------------------------------------------- lives here once

    def prepare(self) -> None:
        """Loads ``weights`` and whatever else sr depends on, once, so that ``marks`` and ``files`` are known.

        Safe to call often; nothing is loaded when the module is only described.
        """
        if self._prepared:
            return
        self._prepared = True
        if self.weights is not None:
            self.load_upstream(self.weights)
            self.weights_sha256 = file_sha256(self.weights)
            self.stamp(*checkpoint_marks(self.weights))

    @property
    def is_fitting(self) -> bool:
        """Whether ``srbench fit`` is at work on it."""
        return self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING

    def stamp(self, *marks: str) -> None:
        """Adds to ``marks``; they go into every record, and into every checkpoint and so to whatever starts from it."""
        self.marks = tuple(dict.fromkeys([*self.marks, *marks]))

    def rests_on(self, role: str, *, sha256: str) -> None:
        """Says that sr depends on an outside file besides ``weights``: another content is another run in records.

        Args:
            role: what it is to this method: ``base/unet``, ``classifier``, ``kernels``.
            sha256: hash of its content.
        """
        self.files[role] = sha256

    def inherit(self, method: SRModule, role: str) -> None:
        """Takes over the marks and the files of a method that sr depends on, and its weights as a file of ``role``."""
        self.stamp(*method.marks)
        held = method.files if method.weights_sha256 is None else {"weights": method.weights_sha256, **method.files}
        for name, sha256 in held.items():
            self.rests_on(f"{role}/{name}", sha256=sha256)

    def generator(self, name: str) -> torch.Generator:
        """Where a stochastic method draws from for one image, on the CPU; a new one at every call.

        Args:
            name: the image's. With it go the run's seed (``--seed_everything``) and ``repeat``, and nothing else.
        """
        return torch.Generator().manual_seed(image_seed(run_seed(), self.repeat, name))

    def remark(self, name: str, text: str) -> None:
        """Says something of the restoration of image ``name`` that belongs into its record, such as a fallback."""
        self._remarks.setdefault(name, []).append(text)

    def backbone(self, name: str) -> Path | None:
        """Where the outside weights of a frozen part lie.

        Args:
            name: of the catalogue, see ``srbench weights list``.

        Returns:
            The file; None where it is absent and ``allow_random_backbones`` lets a random network stand in, and then
            this module is stamped.

        Raises:
            InputError: it is absent, or another file bears its name; it says how to get it.
        """
        path = _located(name, type(self).__name__, random=self.allow_random_backbones)
        if path is None:
            self.stamp("random_backbones")
        else:
            self.rests_on(name, sha256=weight_files.digest(path))
        return path

    def stay_random(self, preset: str, *, published: str) -> None:
        """Lets a preset that nobody has published weights of stay random, where random networks may stand in.

        Args:
            preset: its name.
            published: one that there are weights of.

        Raises:
            InputError: they may not.
        """
        if not self.allow_random_backbones:
            raise InputError(
                f"nobody has published weights for the preset {preset}",
                where="preset",
                remedy=f"use {published}, or set --model.init_args.allow_random_backbones true for a trial",
            )
        self.stamp("random_backbones")
        rank_zero_warn(f"the preset {preset} has random weights, and everything made so is marked")

    def setup(self, stage: str) -> None:
        """Lightning's hook: weights are there before any checkpoint is restored over them."""
        if stage == "fit" and self.weights is not None and not Path(self.weights).is_file():
            self._need_previous()
        self.prepare()

    def on_fit_start(self) -> None:
        """Lightning's hook, behind the one that restores a checkpoint: a stage starts from the one before, or goes on.

        Raises:
            InputError: it has neither; it names the command that helps.
        """
        if self.weights is None and not self._restored:
            self._need_previous()

    def _need_previous(self) -> None:
        if self.previous is None:
            return
        raise InputError(
            "this stage starts from the network of the stage before, which is not here",
            where=self.weights or "model.init_args.weights",
            remedy=f"run srbench fit --config {self.previous} and give its checkpoint by --model.init_args.weights, or "
            "start from random weights by --model.init_args.previous null --model.init_args.weights null",
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: the marks travel with the weights."""
        checkpoint[MARKS_KEY] = list(self.marks)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: refuses the checkpoint of another network, or of a run that diverged.

        Raises:
            InputError: it says how the tensors differ, or which is not finite.
        """
        if self.strict_loading:
            where = str(getattr(self._trainer, "ckpt_path", None) or type(self).__name__)
            check_finite(checkpoint["state_dict"], where=where)
            check_fit(self, checkpoint["state_dict"], where=where)
        self._restored = True
        self.stamp(*checkpoint.get(MARKS_KEY, ()))

    def forward(self, lq: Tensor) -> Tensor:
        """The same as :meth:`upscale`."""
        return self.upscale(lq)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Restored:
        """Restores one batch; the Benchmark callback scores what is returned."""
        return self._timed(batch)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Restored:
        """As :meth:`test_step`."""
        return self._timed(batch)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Restored:
        """As :meth:`test_step`."""
        return self._timed(batch)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy, for averages of weights; it shares the factories, which lead to the command line and its trainer."""
        return _copied(self, memo)

    def _timed(self, batch: Batch) -> Restored:
        if not self._warm:
            self.warm_up(batch)
            self._warm = True
        self._remarks.clear()
        others = self._other_tenants()
        start = self._clock()
        sr = self.restore(batch)
        ms = (self._clock() - start) * 1000.0
        if self.device.type == "cuda":
            peak = (torch.cuda.max_memory_allocated(self.device) - others) / 2**20
            self.peak_mem_mb = round(max(peak, self.peak_mem_mb or 0.0), 1)
        self._check(sr, batch)
        restored = Restored(sr=sr, ms=ms if self.timed else None)
        if self._remarks:
            restored["notes"] = [tuple(self._remarks.get(name, ())) for name in batch["name"]]
        return restored

    def _other_tenants(self) -> int:
        """Bytes on the accelerator that are not this module's; starts a new peak."""
        if self.device.type != "cuda":
            return 0
        torch.cuda.reset_peak_memory_stats(self.device)
        own = sum(t.numel() * t.element_size() for t in (*self.parameters(), *self.buffers()))
        return max(0, torch.cuda.memory_allocated(self.device) - own)

    def _clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _check(self, sr: Tensor, batch: Batch) -> None:
        lq = batch["lq"]
        wanted = (*lq.shape[:-2], lq.shape[-2] * self.scale, lq.shape[-1] * self.scale)
        if tuple(sr.shape) != wanted:
            raise InputError(
                f"{self.method} returned {tuple(sr.shape)} for lq {tuple(lq.shape)} at scale {self.scale}",
                where=batch["name"][0],
                remedy="its scale does not fit its network or files",
            )


def _copied(module: Module, memo: dict[int, Any]) -> Module:
    for held in vars(module).values():
        for item in held if isinstance(held, (list, tuple)) else [held]:
            if isinstance(item, functools.partial):  # what the command line makes of a factory in YAML
                memo[id(item)] = item
    twin = type(module).__new__(type(module))
    memo[id(module)] = twin
    twin.__setstate__(copy.deepcopy(module.__getstate__(), memo))
    return twin


def _located(name: str, owner: str, *, random: bool) -> Path | None:
    """The file of a backbone; None, with a warning, where it is absent and a ``random`` network may stand in."""
    weight, path = weight_files.find(name), weight_files.locate(name)
    if path is None and random:
        rank_zero_warn(f"{weight.file} is absent: a random network stands in, and everything made so is marked")
    elif path is None:
        raise InputError(
            f"{owner} needs these weights, and they are not here",
            where=weight.file,
            remedy=f"{weight_files.remedy(weight)}, or set --model.init_args.allow_random_backbones true for a trial",
        )
    elif wrong := weight_files.fault(weight, path):
        raise InputError(wrong, where=weight.file, remedy=f"see srbench weights check {name}")
    return path
