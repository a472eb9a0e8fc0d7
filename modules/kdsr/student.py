"""Stages 2 and 3: the student sees lq alone, and learns of the teacher what the degradation is."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.contracts import Batch
from srbench.modules.gan import AdversarialSR
from srbench.modules.kdsr.net import KDSRNet, KDSRTeacherNet
from srbench.modules.kdsr.teacher import WholeImages, load_network
from srbench.modules.nets.frozen import Frozen
from srbench.modules.pixel import PixelSR
from srbench.modules.stage_checkpoint import need_stage
from srbench.naming import safe_name

TEACHER = "methods/kdsr/1_teacher.yaml"


def distillation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """How far the student's vectors are from the teacher's: KL of their softmaxes, mean over images (Eq. 4).

    Args:
        student: (B,D).
        teacher: (B,D).
        temperature: that both are divided by.
    """
    told = F.softmax(teacher / temperature, 1)
    return F.kl_div(F.log_softmax(student / temperature, 1), told, reduction="batchmean")


class _Taught(WholeImages):
    """What both stages share: the network, and the teacher's encoder.

    Args:
        args: for the base class, behind the network.
        pretrained: the teacher's checkpoint, ours or the released ``KDSRT-rec.pth``; to train only. Without
            ``weights`` the generator starts from the teacher's.
        distillation_weight: of the distillation (released: 1).
        temperature: of both softmaxes (released: 0.15).
        features: channels.
        blocks: of the generator.
        encoder_blocks: of the encoder.
        allow_random_backbones: train against a random teacher where there is none; the result is stamped.
        name: the row's name; None takes ``KDSR``.
        scale: 2, 3, 4 or 8.
        kwargs: for the base class; ``tile`` is refused.
    """

    unhashed: ClassVar[tuple[str, ...]] = ("weights", "pretrained")

    def __init__(
        self,
        *args: Any,
        pretrained: str | None = None,
        distillation_weight: float = 1.0,
        temperature: float = 0.15,
        features: int = 128,
        blocks: int = 42,
        encoder_blocks: int = 6,
        allow_random_backbones: bool = False,
        name: str | None = None,
        scale: int = 4,
        **kwargs: Any,
    ) -> None:
        # PixelSR or AdversarialSR, behind WholeImages in a stage's order of classes, take the network.
        super().__init__(KDSRNet(scale, features, blocks, encoder_blocks), *args, scale=scale, **kwargs)
        self.allow_random_backbones = allow_random_backbones
        self.name = safe_name(name or "KDSR", kind="method name")
        self.pretrained = pretrained
        self.distillation_weight = distillation_weight
        self.temperature = temperature
        self.sizes = (scale, features, blocks, encoder_blocks)
        self.teacher: Frozen | None = None
        self._distillation: Tensor | None = None

    @property
    def method(self) -> str:
        """``name``, else ``KDSR``."""
        return self.name

    def setup(self, stage: str) -> None:
        """Lightning's hook: to train, the teacher is there.

        Raises:
            InputError: it is not; it names the command that makes one.
        """
        super().setup(stage)
        if stage == "fit" and self.teacher is None:
            teacher = self._teacher()
            net = self._net
            assert isinstance(net, KDSRNet)
            if self.weights is None:
                net.generator.load_state_dict(teacher.generator.state_dict())
            teacher.generator = None  # type: ignore[assignment]  # only its encoder teaches
            self.teacher = Frozen(teacher)

    def _teacher(self) -> KDSRTeacherNet:
        # It is in no checkpoint: a random one must be the same in every run and process.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            teacher = KDSRTeacherNet(*self.sizes)
        if self.pretrained is None and self.allow_random_backbones:
            self.stamp("random_backbones")
        else:
            load_network(teacher, need_stage(self.pretrained, TEACHER), self.scale)
        return teacher

    def generate(self, batch: Batch) -> Tensor:
        """The network's output for a training batch, not clamped; keeps the distillation's loss for the step."""
        net, teacher = self._net, self.teacher
        assert isinstance(net, KDSRNet)
        assert teacher is not None
        assert isinstance(teacher.net, KDSRTeacherNet)
        sr, student = net.both(batch["lq"])
        with torch.no_grad():
            _, told = teacher.net.taught(batch["lq"], batch["gt"])
        self._distillation = self.distillation_weight * distillation(student, told, self.temperature)
        return sr

    def distilled(self) -> dict[str, Tensor]:
        """The weighted loss of the last :meth:`generate`, once: ``l_kd``."""
        held, self._distillation = self._distillation, None
        return {} if held is None else {"l_kd": held}


class KDSR(_Taught, PixelSR):
    """KDSR_S, trained by L1 and distillation; also what tests the released networks."""

    stage = "student"

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """L1 plus distillation (Eq. 5); logged as ``losses/l_pix`` and ``losses/l_kd``."""
        loss = super().training_step(batch, batch_idx)
        for name, value in self.distilled().items():
            self.log(f"losses/{name}", value, prog_bar=True, batch_size=len(batch["name"]))
            loss = loss + value
        return loss


class KDSRGAN(_Taught, AdversarialSR):
    """KDSR-GAN: the student against a discriminator, with L1, perceptual and distillation losses (Eq. 6)."""

    stage = "gan"
    unhashed = (*AdversarialSR.unhashed, "pretrained")

    def generator_losses(self, sr: Tensor, gt: Any) -> dict[str, Tensor]:
        """Those of the base class and ``l_kd``."""
        return {**super().generator_losses(sr, gt), **self.distilled()}
