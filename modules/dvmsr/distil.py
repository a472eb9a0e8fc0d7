"""DVMSR's distillation: the student also learns from the output of a larger teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.modules.dvmsr.dvmsr import Preset, network
from srbench.modules.nets.frozen import Frozen
from srbench.modules.pixel import PixelSR, fitting
from srbench.weights import checkpoint_marks, load_state, load_strict

MAKES_TEACHER = "methods/dvmsr/teacher.yaml"


class DVMSRDistil(PixelSR):
    """DVMSR's student, taught by gt and by what a trained teacher makes of the same lq.

    The paper says that the teacher supervises the student's *output*; the released code has no training in it. That
    both distances are L1 and count alike is OURS, not read from the paper.

    Args:
        preset: the student's size.
        drop_path: its rate of stochastic depth at the last block.
        teacher: checkpoint of the teacher, ours or published.
        teacher_preset: the teacher's size.
        pixel_weight: of the L1 distance to gt.
        distil_weight: of the L1 distance to the teacher's output.
        allow_random_backbones: let a random teacher stand in where there is none, for tests; the run is marked.
        scale: 2, 3, 4 or 8.
        kwargs: see :class:`~srbench.modules.pixel.PixelSR`.

    Raises:
        InputError: a weight is negative.
    """

    method = "DVMSR-distilled"
    stage = "distil"
    unhashed = ("weights", "teacher")

    def __init__(
        self,
        *,
        preset: Preset = "student",
        drop_path: float = 0.1,
        teacher: str | None = None,
        teacher_preset: Preset = "teacher",
        pixel_weight: float = 1.0,
        distil_weight: float = 1.0,
        allow_random_backbones: bool = False,
        scale: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(network(preset, scale, drop_path), scale=scale, **kwargs)
        if min(pixel_weight, distil_weight) < 0 or not pixel_weight + distil_weight:
            raise InputError(
                f"losses weighted {pixel_weight} and {distil_weight} teach nothing",
                where="model.init_args.distil_weight",
                remedy="use weights of 0 or more, and one above 0",
            )
        self.teacher_file = teacher
        self.teacher_preset: Preset = teacher_preset
        self.pixel_weight = pixel_weight
        self.distil_weight = distil_weight
        self.allow_random_backbones = allow_random_backbones
        with torch.device("meta"):
            self.teacher = Frozen(network(teacher_preset, self.scale, 0.0))

    def parts(self) -> dict[str, nn.Module]:
        """``net`` and the frozen ``teacher``."""
        return {**super().parts(), "teacher": self.teacher.net}

    def setup(self, stage: str) -> None:
        """Lightning's hook: in training the teacher has its weights.

        Raises:
            InputError: they are absent or of another network; it names the command that makes them.
        """
        super().setup(stage)
        if stage == "fit" and self.teacher.is_meta:
            self.teacher.put(self._trained_teacher().to(self.device))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted sum of both distances, logged as ``losses/l_pix`` and ``losses/l_distil``."""
        sr = fitting(self.generate(batch), batch)
        with torch.no_grad():
            taught = self.teacher(batch["lq"])
        losses = {
            "losses/l_pix": self.pixel_weight * F.l1_loss(sr, batch["gt"]),
            "losses/l_distil": self.distil_weight * F.l1_loss(sr, taught),
        }
        self.log_dict(losses, prog_bar=True, batch_size=len(batch["name"]))
        return torch.stack(list(losses.values())).sum()

    def _trained_teacher(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.manual_seed(0)  # where it stays random it is the same in every process
            net = network(self.teacher_preset, self.scale, 0.0)
        if self.teacher_file is not None and Path(self.teacher_file).is_file():
            load_strict(net, load_state(self.teacher_file), where=self.teacher_file)
            self.stamp(*checkpoint_marks(self.teacher_file))
        elif self.teacher_file is None and self.allow_random_backbones:
            self.stamp("random_backbones")
        else:
            raise InputError(
                "the student learns from a teacher, which is not here",
                where=self.teacher_file or "model.init_args.teacher",
                remedy=f"run srbench fit --config {MAKES_TEACHER} and give its checkpoint by --model.init_args.teacher",
            )
        return net
