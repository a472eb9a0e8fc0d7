"""LWayPretrain: step 1, the reconstruction of lq from gt and the embedding of lq's degradation."""

from __future__ import annotations

from typing import Any

from srbench.modules.nets.lr_reconstruction import Preset, ReconSpace, lr_reconstruction, sizes_of
from srbench.modules.nets.modulated_reconstructor import EntryKind
from srbench.modules.reconstruction import ReconstructionStage


class LWayPretrain(ReconstructionStage):
    """Step 1 of LWay: lq is made again from gt and an embedding of lq's degradation.

    The loss is L_rec(R(E_deg(lq), gt), lq): no image encoder, no controller, no regulariser (HR-aware's Eq. 2 has it in
    short).

    It makes no sr: the second step takes its checkpoint.

    Args:
        preset: ``paper``, or ``small`` for trials on a CPU.
        recon_space: ``hr`` enlarges lq to gt's size first, so that all is of one size, as the authors say; ``lr``
            reconstructs lq itself.
        entry: how R comes from gt's size to lq's in the space ``lr``: ``unshuffle`` or ``strided``.
        demodulate: StyleGAN2's demodulation in R.
        scale: magnification from lq to gt.
        kwargs: see :class:`~srbench.modules.reconstruction.ReconstructionStage`.
    """

    method = "LWay"
    stage = "pretrain"
    remedy = "give its checkpoint to methods/lway/2_finetune.yaml and test that; validate it by srbench validate"

    def __init__(
        self,
        *,
        preset: Preset = "paper",
        recon_space: ReconSpace = "hr",
        entry: EntryKind = "unshuffle",
        demodulate: bool = True,
        scale: int = 4,
        **kwargs: Any,
    ) -> None:
        net = lr_reconstruction(sizes_of(preset), space=recon_space, entry=entry, scale=scale, demodulate=demodulate)
        super().__init__(net, scale=scale, **kwargs)
