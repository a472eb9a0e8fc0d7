"""What both training stages of the super-resolution network share: its sizes, and the condition it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.module import SRModule
from srbench.modules.dacesr.condition import Mode, check_mode, token_condition, whole_places, window_places
from srbench.modules.dacesr.encoder import ConditionEncoder, Embedding, Kind
from srbench.modules.dacesr.queue import PairQueue
from srbench.modules.nets.rssb import Modulation, RSSBNet, Upsampler
from srbench.modules.stage_checkpoint import need_options
from srbench.naming import safe_name, unknown_name
from srbench.tiling import tiled

Preset = Literal["released", "table2", "small"]

QUEUE_KEY = "pair_queue"
"""Entry of a checkpoint under ``official_queue``: ``lq`` and ``gt`` of every process."""


class _Size(NamedTuple):
    dim: int
    groups: int
    upsampler: Upsampler


PRESETS: dict[str, _Size] = {
    "released": _Size(192, 8, "pixelshuffle"),
    "table2": _Size(180, 4, "pixelshuffle"),
    "small": _Size(60, 4, "pixelshuffledirect"),
}


class Conditioned(SRModule):
    """A stage whose network is conditioned by a frozen tagger's view of the image.

    The condition is made once per image, of the whole of it: in training of the lq that the patch was cut out of
    (``batch["lq_whole"]``, which ``data.init_args.carry_whole`` brings; of the patch itself where the data has none),
    in testing of the whole lq, also when it is restored in tiles.

    Tiled and whole results differ. The scan runs over the rows of what it is given, and ``per_sample`` and
    ``official`` stretch the condition over the raster of each tile anew, as the released code does; with ``spatial``
    a tile gets its part of the map, and only the scan differs.

    Args:
        args: for the base class, behind the network.
        preset: ``released`` (options of the released code: d 192, 8 groups, 7,432,131 parameters), ``table2`` (the
            network that the paper's Table II and Fig. 3 describe: d 180, 4 groups, 3,651,159) or ``small`` (d 60, 4
            groups, 424,428; DVMSR's student, of which the ablations probably are).
        encoder: ``ree``, ``dape``, ``ram``, or ``none``: no condition.
        embedding: ``representation``, or ``logits`` of the tags (the ablation LE).
        condition: how the embedding reaches the tokens; see :func:`~srbench.modules.dacesr.condition.token_condition`.
        modulation: what it does there; see :data:`~srbench.modules.nets.rssb.Modulation`.
        encoder_size: sizes of the tagger; only ``swin_large`` is published.
        additions: file of the encoder's low-rank additions: DAPE.pth, or stage 1's checkpoint for REE.
        official_queue: pairs in the released training's pool, which leaves conditions behind; only with ``official``.
            0 keeps every condition with its pair (use ``data.init_args.degradation.init_args.pool`` then).
        drop_path: rate of stochastic depth at the last block.
        allow_random_backbones: let random networks stand in for absent ones; see
            :meth:`~srbench.module.SRModule.backbone`.
        checkpointing: recompute groups in the backward pass.
        name: the row's name; None takes the method's.
        scale: 2, 3, 4 or 8.
        kwargs: for the base class.

    Raises:
        InputError: a name is unknown, or two settings contradict each other.
    """

    base_name = "DACESR"

    def __init__(
        self,
        *args: Any,
        preset: Preset = "released",
        encoder: Kind = "ree",
        embedding: Embedding = "representation",
        condition: Mode = "per_sample",
        modulation: Modulation = "both",
        encoder_size: str = "swin_large",
        additions: str | None = None,
        official_queue: int = 0,
        drop_path: float = 0.1,
        allow_random_backbones: bool = False,
        checkpointing: bool = False,
        name: str | None = None,
        scale: int = 4,
        **kwargs: Any,
    ) -> None:
        check_mode(condition, embedding)
        _check_queue(official_queue, condition)
        if preset not in PRESETS:
            raise unknown_name("preset", preset, get_args(Preset), where="model.init_args.preset")
        size = PRESETS[preset]
        net = RSSBNet(scale, size.dim, (2,) * size.groups, size.upsampler, drop_path, modulation, checkpointing)
        # PixelSR or AdversarialSR, which come next in a stage's order of classes, take the network.
        super().__init__(net, *args, scale=scale, **kwargs)  # type: ignore[misc, arg-type]
        self.allow_random_backbones = allow_random_backbones
        self.dim = size.dim
        self.condition: Mode = condition
        self.encoder = ConditionEncoder(encoder, embedding=embedding, size=encoder_size, additions=additions)
        self.options = {"encoder": encoder, "embedding": embedding, "modulation": modulation}
        self.queue = PairQueue(official_queue) if official_queue else None
        suffix = "" if preset == "released" else f"-{preset}"
        self.name = safe_name(name or f"{self.base_name}{suffix}", kind="method name")

    @property
    def method(self) -> str:
        """``name``, else the method's with the preset's where it is not ``released``."""
        return self.name

    def parts(self) -> dict[str, nn.Module]:
        """Also the encoder, under its kind's name (``ree``)."""
        return {**super().parts(), **self.encoder.parts()}

    def prepare(self) -> None:
        """Gives the network and the encoder their weights, once.

        Raises:
            InputError: some are absent; it names the command that brings them.
        """
        super().prepare()
        self.encoder.load(self)

    def load_upstream(self, path: str | Path) -> None:
        """Loads DACESR.pth, or a checkpoint of ours of the same condition; a stage without ``previous`` takes any.

        Raises:
            InputError: see the base class, or the network was trained under another condition, which its tensors alone
                would not show.
        """
        if self.previous is not None or not self.is_fitting:
            need_options(str(path), self.options)
        super().load_upstream(path)

    # -------------------------------------------------------------------------------------------------------- restoring

    def upscale(self, lq: Tensor) -> Tensor:
        """Restores whole images ``lq`` (B,3,h,w) in [0,1] to (B,3,s*h,s*w), clamped to [0,1]."""
        return self._modulated(lq, self.encoder(lq), whole_places(lq)).clamp(0.0, 1.0)

    def restore(self, batch: Batch) -> Tensor:
        """Sr for a batch, whole or in tiles, under one condition per image."""
        lq = batch["lq"]
        embedding = self.encoder(lq)

        def part(placed: Tensor) -> Tensor:
            return self._modulated(placed[:, :3], embedding, placed[:, 3:]).clamp(0.0, 1.0)

        placed = torch.cat([lq, whole_places(lq).to(lq.dtype)], 1)
        return tiled(part, placed, scale=self.scale, tile=self.tile, overlap=self.tile_overlap)

    def _modulated(self, lq: Tensor, embedding: Tensor | None, places: Tensor) -> Tensor:
        if embedding is None:
            return self._net(lq)
        return self._net(lq, token_condition(embedding, places, self.dim, self.condition))

    # --------------------------------------------------------------------------------------------------------- training

    def generate(self, batch: Batch) -> Tensor:
        """The network's output for a training batch, not clamped."""
        lq = batch["lq"]
        whole = batch.get("lq_whole")
        if whole is None:
            return self._modulated(lq, self.encoder(lq), whole_places(lq))
        top, left = batch["lq_corner"].unbind(1)
        height, width = lq.shape[-2:]
        places = window_places(top, left, (height, width), (whole.shape[-2], whole.shape[-1]))
        return self._modulated(lq, self.encoder(whole), places)

    def training_step(self, batch: Batch, batch_idx: int) -> Any:
        """The base class's step; under ``official_queue`` on pairs that come out of the queue."""
        if self.queue is not None:
            given = batch.get("lq_whole", batch["lq"])
            lq, gt = self.queue.exchange(batch["lq"], batch["gt"])
            corner = batch.get("lq_corner", torch.zeros(len(lq), 2, dtype=torch.int64, device=lq.device))
            batch = Batch(lq=lq, gt=gt, name=batch["name"], lq_whole=given, lq_corner=corner)
        return super().training_step(batch, batch_idx)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: the queue of every process travels along, behind a leading axis of processes."""
        super().on_save_checkpoint(checkpoint)
        if self.queue is not None and self.queue.lq is not None and self.queue.gt is not None:
            pairs = {"lq": self.queue.lq, "gt": self.queue.gt}
            checkpoint[QUEUE_KEY] = {k: self._of_all(pair).cpu() for k, pair in pairs.items()}

    def _of_all(self, own: Tensor) -> Tensor:
        """A tensor of every process, (processes,...)."""
        gathered = self.all_gather(own)
        assert isinstance(gathered, Tensor)
        return gathered if gathered.dim() > own.dim() else gathered[None]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: the queue of a training run goes on with what it held."""
        super().on_load_checkpoint(checkpoint)
        held = checkpoint.get(QUEUE_KEY)
        if self.queue is None or held is None or not self.is_fitting:
            return
        if len(held["lq"]) == self.trainer.world_size:
            self.queue.lq, self.queue.gt = (held[k][self.global_rank].clone() for k in ("lq", "gt"))
        else:
            rank_zero_warn("the queue starts empty: the checkpoint is of another number of processes")


def _check_queue(size: int, condition: str) -> None:
    if size < 0 or (size and condition != "official"):
        raise InputError(
            f"a queue of {size} pairs parts conditions from their images, which only the released training does",
            where="model.init_args.official_queue",
            remedy="set model.init_args.condition to official too, or the queue to 0",
        )
