"""HR-aware's networks and how a checkpoint of stage 1 gives them their values."""

from __future__ import annotations

from pathlib import Path

from srbench.errors import InputError
from srbench.modules.hraware.far import FeatureAlignment
from srbench.modules.hraware.image_encoder import ImageEncoder
from srbench.modules.nets.lr_reconstruction import LRReconstruction, ReconSpace, lr_reconstruction, sizes_of
from srbench.modules.nets.modulated_reconstructor import EntryKind
from srbench.weights import load_state, load_strict


def network(
    preset: str = "paper",
    *,
    recon_space: ReconSpace = "lr",
    entry: EntryKind = "unshuffle",
    scale: int = 4,
    demodulate: bool = True,
) -> LRReconstruction:
    """E_deg, E_img and R; see :func:`~srbench.modules.nets.lr_reconstruction.lr_reconstruction`."""
    sizes = sizes_of(preset)
    e_img = ImageEncoder(sizes.features, sizes.img_blocks)
    return lr_reconstruction(sizes, e_img=e_img, space=recon_space, entry=entry, scale=scale, demodulate=demodulate)


def load_pretrained(path: str | Path, net: LRReconstruction, far: FeatureAlignment | None) -> None:
    """Gives the networks the values of a checkpoint of :class:`~srbench.modules.hraware.pretrain.HRAwarePretrain`.

    Args:
        path: the checkpoint.
        net: as :func:`network` made it, with the same arguments.
        far: T_a and T_m; None leaves them out, as ``use_far: false`` does.

    Raises:
        InputError: the checkpoint is none, is of another stage, or was trained with other options.
    """
    load_strict(net, load_state(path, part="net"), where=path)
    if far is None:
        return
    state = load_state(path, part="far")
    if not all(name.startswith("far.") for name in state):
        raise InputError(
            "it was trained without FAR", where=path, remedy="train stage 1 with use_far true, or set it false here too"
        )
    load_strict(far, {name.removeprefix("far."): tensor for name, tensor in state.items()}, where=path)
