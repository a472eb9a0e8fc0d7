"""DeeDSRLearner: stage 1, an encoder that tells degradations apart, taught by momentum contrast."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from srbench.contracts import Batch, OptimizerFactory, SchedulerFactory
from srbench.errors import InputError
from srbench.modules.deedsr.contrast import KeyQueue, Loss, Pairs, info_nce, quadrant_pair, quadrants, shuffled_keys
from srbench.modules.deedsr.learner import DegradationLearner
from srbench.modules.pixel import one_optimizer
from srbench.modules.without_sr import WithoutSR
from srbench.sampling import image_seed, run_seed


class DeeDSRLearner(WithoutSR):
    """The Degradation Learner (paper, section 3.2): two quadrants of an image share a degradation, two images do not.

    It looks at lq alone and makes no sr. Its checkpoint is what stage 2 starts from: of it
    :func:`~srbench.modules.deedsr.learner.load_learner` takes the query encoder. Logged are ``losses/l_moco`` and
    ``losses/top1``, how often a query is more like its key than like any negative; in validation
    ``metrics/<set>/cosine`` between the representations of opposite quadrants. The loss begins near 0, since the
    queue's random directions are easily told from keys, and jumps to ln(K+1) as the queue fills with keys.

    In several processes each is given keys from the batches of all, shuffled, and all their keys go into the queue.

    Args:
        preset: the encoder's; see :data:`~srbench.modules.deedsr.learner.PRESETS`.
        channels: length of a key (code: 1024).
        mlp: two linear layers between the representation and the key, as the released script has by default, or one.
        queue: keys that are negatives, K; a multiple of all processes' batch. Paper: 16,384, code: 24,576, both 256
            times the batch.
        momentum: what the key encoder keeps of itself at a step (code: 0.999, MoCo's; the paper is silent).
        temperature: of the loss (paper and code: 0.07).
        loss: ``code`` or ``paper`` (Eq. 6); see :data:`~srbench.modules.deedsr.contrast.Loss`.
        pairs: quadrants drawn once per ``batch``, as in the released script, or per ``sample``.
        optimizer: factory over encoder and head; None takes the script's SGD: 0.03, momentum 0.9, weight decay 1e-4.
        scheduler: factory over the optimiser, stepped after every training step; None keeps the rate constant.
        kwargs: see :class:`~srbench.module.SRModule`. ``weights`` are an encoder's, of any layout that
            :func:`~srbench.modules.deedsr.learner.encoder_state` knows; the head starts anew.

    Raises:
        InputError: a setting is impossible.
    """

    what = "the learner"
    remedy = "give its checkpoint to methods/deedsr/2_adapter.yaml; see srbench analyze degradation-space"
    stage = "learner"

    def __init__(
        self,
        *,
        preset: str = "basic34",
        channels: int = 1024,
        mlp: bool = True,
        queue: int = 16384,
        momentum: float = 0.999,
        temperature: float = 0.07,
        loss: Loss = "code",
        pairs: Pairs = "batch",
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check(channels=channels, queue=queue, momentum=momentum, temperature=temperature)
        for name, choice, known in (("loss", loss, ("code", "paper")), ("pairs", pairs, ("batch", "sample"))):
            if choice not in known:
                remedy = f"use {' or '.join(known)}"
                raise InputError(f"{choice!r} is unknown", where=f"model.init_args.{name}", remedy=remedy)
        self.preset = preset
        self.momentum = momentum
        self.temperature = temperature
        self.loss: Loss = loss
        self.pairs: Pairs = pairs
        self.optimizer_factory = optimizer or sgd
        self.scheduler_factory = scheduler
        self.net = DegradationLearner(preset)
        self.head = _head(self.net.channels, channels, mlp=mlp)
        self.key_net = copy.deepcopy(self.net).requires_grad_(False)
        self.key_head = copy.deepcopy(self.head).requires_grad_(False)
        self.queue = KeyQueue(queue, channels)
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    draws: Tensor
    """() int64: training steps so far, of which each one's random choices are made; in the checkpoint."""

    @property
    def method(self) -> str:
        """``DeeDSR``, with the preset where it is another than the released one."""
        return "DeeDSR" if self.preset == "basic34" else f"DeeDSR-{self.preset}"

    def represent(self, lq: Tensor) -> Tensor:
        """What stage 2 is told of ``lq`` (B,3,h,w) in [0,1], (B,C); ``srbench analyze degradation-space`` asks it."""
        return self.net(lq)

    def parts(self) -> dict[str, nn.Module]:
        """``learner``, the trained ``head``, and the ``key_learner`` that follows them."""
        return {"learner": self.net, "head": self.head, "key_learner": nn.Sequential(self.key_net, self.key_head)}

    def load_upstream(self, path: str | Path) -> None:
        """Loads an encoder strictly, for queries and keys; see :class:`DegradationLearner`."""
        super().load_upstream(path)
        self.key_net.load_state_dict(self.net.state_dict())

    # -------------------------------------------------------------------------------------------------------- training

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The contrastive loss of one batch; then its keys are in the queue.

        Raises:
            InputError: lq cannot be quartered, is too small for batch statistics, or the batch does not divide K.
        """
        generator, order = self._drawn(len(batch["lq"]))
        first, second = quadrant_pair(batch["lq"], generator, per=self.pairs)
        _check_statistics(first)
        query = F.normalize(self.head(self.net(first)).float(), dim=1)
        with torch.no_grad():
            self._follow()
            keys = shuffled_keys(self._key, second, order, rank=self._place()[0], gather=self._gathered)
        mine = keys.unflatten(0, (-1, len(first)))[self._place()[0]]
        negatives = self.queue.keys.clone()  # they change below, and gradients need them as they are
        loss = info_nce(query, mine, negatives, temperature=self.temperature, loss=self.loss).mean()
        with torch.no_grad():
            nearest = (query * mine).sum(1) > (query @ negatives.T).amax(1)
        self.queue.put(keys)
        self.draws += 1
        shown = {"losses/l_moco": loss, "losses/top1": nearest.float().mean()}
        self.log_dict(shown, prog_bar=True, batch_size=len(batch["name"]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:  # type: ignore[override]
        """Logs ``metrics/<set>/cosine``, how alike opposite quadrants are; nothing is restored or scored."""
        test_set = self.trainer.datamodule.val_sets[dataloader_idx].name  # type: ignore[attr-defined]
        lq = batch["lq"]
        parts = quadrants(lq[..., : lq.shape[-2] // 2 * 2, : lq.shape[-1] // 2 * 2])
        self.log(
            f"metrics/{test_set}/cosine",
            F.cosine_similarity(self.net(parts[0]), self.net(parts[3])).mean(),
            batch_size=len(batch["name"]),
            add_dataloader_idx=False,
            sync_dist=True,
            prog_bar=True,
        )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser over encoder and head, with the scheduler at every step."""
        return one_optimizer(self, self.optimizer_factory, self.scheduler_factory)

    def _drawn(self, count: int) -> tuple[torch.Generator, Tensor]:
        """This process' generator of quadrants, and all processes' order of keys; functions of seed and step alone."""
        rank, world = self._place()
        step = int(self.draws)
        owner = f"quadrants {rank}" if self.pairs == "sample" else "quadrants"
        shuffle = torch.Generator().manual_seed(image_seed(run_seed(), step, "order of keys"))
        order = torch.randperm(world * count, generator=shuffle).to(self.device)
        return torch.Generator().manual_seed(image_seed(run_seed(), step, owner)), order

    def _follow(self) -> None:
        """Moves the key encoder a little towards the query encoder."""
        for own, key in ((self.net, self.key_net), (self.head, self.key_head)):
            for source, target in zip(own.parameters(), key.parameters(), strict=True):
                target.lerp_(source.detach().to(target.dtype), 1 - self.momentum)

    def _key(self, images: Tensor) -> Tensor:
        return F.normalize(self.key_head(self.key_net(images)).float(), dim=1)

    def _place(self) -> tuple[int, int]:
        """This process's rank and the number of processes."""
        return (0, 1) if self._trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _gathered(self, tensor: Tensor) -> Tensor:
        if self._place()[1] == 1:
            return tensor
        gathered = self.all_gather(tensor)
        assert isinstance(gathered, Tensor)
        return gathered.flatten(0, 1)


def sgd(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The released script's optimiser (``moco_train.py``)."""
    return torch.optim.SGD(parameters, lr=0.03, momentum=0.9, weight_decay=1e-4)


def _head(entering: int, leaving: int, *, mlp: bool) -> nn.Module:
    last = nn.Linear(entering, leaving)
    return nn.Sequential(nn.Linear(entering, entering), nn.ReLU(), last) if mlp else last


def _check(*, channels: int, queue: int, momentum: float, temperature: float) -> None:
    for name, fits, value, remedy in (
        ("channels", channels >= 1, channels, "use 1 or more (code: 1024)"),
        ("queue", queue >= 1, queue, "use a multiple of the batch size (paper: 16384)"),
        ("momentum", 0 <= momentum < 1, momentum, "use 0 or more and less than 1 (code: 0.999)"),
        ("temperature", temperature > 0 and math.isfinite(temperature), temperature, "use more than 0 (paper: 0.07)"),
    ):
        if not fits:
            raise InputError(f"{value:g} is impossible", where=f"model.init_args.{name}", remedy=remedy)


def _check_statistics(images: Tensor) -> None:
    """Refuses what batch normalisation has one value per channel of: its last layers see lq at 1/32 of the side."""
    high, wide = (math.ceil(side / 32) for side in images.shape[-2:])
    if len(images) * high * wide < 2:
        raise InputError(
            f"a batch of one quadrant of {images.shape[-2]}x{images.shape[-1]} has no statistics to normalise by",
            where="data.init_args.batch_size",
            remedy="use 2 or more in each process",
        )
