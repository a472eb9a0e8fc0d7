"""REE: stage 1, an encoder whose representation of a degraded image is that of the good one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, Self, cast

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from srbench.contracts import Batch, OptimizerFactory, SchedulerFactory
from srbench.errors import InputError
from srbench.modules.dacesr.extractor import add, base_tagger, extractor, meta_tagger
from srbench.modules.nets.frozen import Frozen
from srbench.modules.nets.lora import take
from srbench.modules.nets.ram import RAMTagger, attach_low_rank, load_low_rank, save_low_rank
from srbench.modules.pixel import one_optimizer
from srbench.modules.without_sr import WithoutSR
from srbench.weights import check_finite

Start = Literal["ram", "dape"]


class REE(WithoutSR):
    """The Real Embedding Extractor: low-rank additions to RAM, taught by the representation of gt (Eq. 7).

    The student sees lq, enlarged to gt's size by the bicubic filter; the frozen teacher sees gt. It makes no sr: test
    it through the stages that use it. In training ``losses/l_rep`` (and ``losses/l_logits``) are logged, in validation
    ``metrics/<set>/cosine``, the mean cosine between the tokens of both. Checkpoints hold the additions alone; a run
    without marks also leaves them as ``ree.pth`` in its folder, in the layout of ``DAPE.pth``.

    Args:
        preset: sizes of RAM: ``swin_large`` as published, ``small`` for trials with random weights.
        start: what the additions start from: ``dape`` as the paper has it, or ``ram`` (they add nothing yet). A file
            given as ``weights`` (DAPE.pth, ree.pth, a checkpoint) comes instead.
        teacher: plain ``ram`` as DAPE's code has it, or ``dape``, by the colour of the paper's Fig. 4.
        representation_weight: of the mean squared error between the representations.
        logits_weight: of DAPE's soft cross-entropy between the tags' probabilities; 0 leaves it out, and then the
            additions to the tagging head stay as they are.
        drop_path: stochastic depth of the student (DAPE's code trains with 0.1, and 0.1 dropout in its head).
        optimizer: factory over the additions; None takes DAPE's AdamW: 1e-4, betas 0.9 and 0.999, no weight decay.
        scheduler: factory over the optimiser, stepped after every training step; None keeps the rate constant.
        allow_random_backbones: let random weights stand in for absent ones; see
            :meth:`~srbench.module.SRModule.backbone`.
        kwargs: see :class:`~srbench.module.SRModule`.
    """

    what = "the extractor"
    remedy = "give its checkpoint to methods/dacesr/2_pixel.yaml and test that; validate it by srbench validate"
    stage = "ree"

    def __init__(
        self,
        *,
        preset: str = "swin_large",
        start: Start = "dape",
        teacher: Start = "ram",
        representation_weight: float = 1.0,
        logits_weight: float = 0.0,
        drop_path: float = 0.1,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        allow_random_backbones: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, choice in (("start", start), ("teacher", teacher)):
            if choice not in ("ram", "dape"):
                raise InputError(f"{choice!r} is unknown", where=f"model.init_args.{name}", remedy="use ram or dape")
        if representation_weight < 0 or logits_weight < 0 or not representation_weight + logits_weight:
            raise InputError(
                f"weights {representation_weight:g} and {logits_weight:g} of the losses leave nothing to learn",
                where="model.init_args.representation_weight",
                remedy="use weights of 0 or more, one of them above 0",
            )
        self.strict_loading = False  # frozen parts stay out of checkpoints; on_load_checkpoint is as strict itself
        self.preset = preset
        self.start = start
        self.teacher_encoder = teacher
        self.representation_weight = representation_weight
        self.logits_weight = logits_weight
        self.drop_path = drop_path
        self.optimizer_factory = optimizer or adamw
        self.scheduler_factory = scheduler
        self.allow_random_backbones = allow_random_backbones
        self.net: RAMTagger = meta_tagger(preset, low_rank=True, drop_path=drop_path)
        self.teacher = Frozen(meta_tagger(preset, low_rank=teacher == "dape"))
        self._fix_head()

    def represent(self, lq: Tensor) -> Tensor:
        """What conditions stages 2 and 3, for ``srbench analyze degradation-space``: tokens (B,145,512) of ``lq``."""
        return self.net.representation(self.net.prepared(lq))

    def parts(self) -> dict[str, nn.Module]:
        """``ree``, of which the additions are trainable, and the frozen ``teacher``."""
        return {"ree": self.net, "teacher": self.teacher.net}

    # -------------------------------------------------------------------------------------------------------- starting

    def prepare(self) -> None:
        """Gives the student its values, once: RAM's, and the additions it starts from."""
        if not self._prepared:
            self.net = attach_low_rank(base_tagger(self, self.preset, drop_path=self.drop_path)).train(self.training)
            if self.weights is None:
                add(self, self.net, self.start)
            self._fix_head()
        super().prepare()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Lightning moves the module even after its setup failed, when there is nothing to move yet.
        return super()._apply(fn, recurse) if self._prepared else self

    def load_upstream(self, path: str | Path) -> None:
        """Loads additions; see :func:`~srbench.modules.nets.ram.additions.load_low_rank`."""
        load_low_rank(self.net, path)

    def setup(self, stage: str) -> None:
        """Lightning's hook: student and teacher have their values."""
        super().setup(stage)
        if stage in ("fit", "validate") and self.teacher.is_meta:
            self.teacher.put(extractor(self, self.preset, self.teacher_encoder))
        degradation = getattr(getattr(self._trainer, "datamodule", None), "degradation", None)
        self.stamp(*getattr(degradation, "marks", ()))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: only the additions are kept."""
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if ".lora_" in k}
        super().on_save_checkpoint(checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: the additions fit and are finite, every one of them.

        Raises:
            InputError: they do not, or are not.
        """
        where = str(getattr(self._trainer, "ckpt_path", None) or type(self).__name__)
        state = {k.removeprefix("net."): v for k, v in checkpoint["state_dict"].items()}
        check_finite(state, where=where)
        take(self.net, state, where=where)
        super().on_load_checkpoint(checkpoint)

    def on_fit_end(self) -> None:
        """Lightning's hook: the additions as a file of their own, unless this run was a trial."""
        self._export()

    @rank_zero_only
    def _export(self) -> None:
        if self.marks:
            rank_zero_warn(f"ree.pth is not written: it could not say that this run is marked {', '.join(self.marks)}")
            return
        save_low_rank(self.net, Path(self.trainer.default_root_dir) / "ree.pth")

    def _fix_head(self) -> None:
        """Without a loss on logits nothing reaches the tagging head, and DDP wants to know that."""
        if not self.logits_weight:
            self.net.tagging_head.requires_grad_(False)

    # -------------------------------------------------------------------------------------------------------- training

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted sum of both losses."""
        teacher = cast(RAMTagger, self.teacher.net)
        with torch.no_grad():
            wanted = teacher.representation(teacher.prepared(batch["gt"]))
        found = self.net.representation(self.net.prepared(enlarged(batch)))
        losses = {}
        if self.representation_weight:
            losses["l_rep"] = self.representation_weight * F.mse_loss(found, wanted)
        if self.logits_weight:
            with torch.no_grad():
                probabilities = torch.sigmoid(teacher.logits(wanted))
            entropy = F.binary_cross_entropy_with_logits(self.net.logits(found), probabilities)
            losses["l_logits"] = self.logits_weight * entropy
        shown = {f"losses/{name}": loss for name, loss in losses.items()}
        self.log_dict(shown, prog_bar=True, batch_size=len(batch["name"]))
        return torch.stack(list(losses.values())).sum()

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:  # type: ignore[override]
        """Logs ``metrics/<set>/cosine``; nothing is restored, so nothing is scored.

        Raises:
            InputError: the set has no gt.
        """
        test_set = self.trainer.datamodule.val_sets[dataloader_idx].name  # type: ignore[attr-defined]
        if "gt" not in batch:
            raise InputError("its images have no gt to be like", where=test_set, remedy="validate on a set with gt")
        self.log(
            f"metrics/{test_set}/cosine",
            self.likeness(batch).mean(),
            batch_size=len(batch["name"]),
            add_dataloader_idx=False,
            sync_dist=True,
            prog_bar=True,
        )

    @torch.no_grad()
    def likeness(self, batch: Batch) -> Tensor:
        """How alike lq's and gt's representations are: (B,), the mean cosine over the tokens."""
        teacher = cast(RAMTagger, self.teacher.net)
        wanted = teacher.representation(teacher.prepared(batch["gt"]))
        found = self.net.representation(self.net.prepared(enlarged(batch)))
        return F.cosine_similarity(found, wanted, dim=-1).mean(-1)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser over the additions, with the scheduler at every step."""
        return one_optimizer(self, self.optimizer_factory, self.scheduler_factory)


def enlarged(batch: Batch) -> Tensor:
    """A batch's lq, bicubic at the size of its gt: (B,3,H,W) in [0,1]; not rounded, as SeeSR's files are."""
    size = (batch["gt"].shape[-2], batch["gt"].shape[-1])
    return F.interpolate(batch["lq"], size, mode="bicubic", align_corners=False).clamp(0, 1)


def adamw(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """DAPE's optimiser (SeeSR, ``basicsr/options/dape.yaml``)."""
    return torch.optim.AdamW(parameters, lr=1e-4, betas=(0.9, 0.999), weight_decay=0.0)
