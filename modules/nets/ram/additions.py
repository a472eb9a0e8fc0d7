"""Low-rank additions to the tagger, and the files that hold them and nothing else (DAPE, REE).

Additions go to query and value of every block of the encoder and to query and key (not value) of the tagging head:
56 tensors, 622,592 values at the published sizes, flat under the names ``<layer>.lora_A`` and ``<layer>.lora_B``. That
is what :func:`save_low_rank` writes. SeeSR's own files hold 248 tensors, 1,777,664 values: the other 192 belong to the
text encoder and decoder, have learned nothing and are skipped. Its code reads ours too.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from srbench.atomic import write_whole
from srbench.errors import InputError
from srbench.modules.nets import lora
from srbench.modules.nets.ram.tagger import RAMTagger
from srbench.weights import check_finite, load_state, read_checkpoint

RANK, ALPHA = 8, 1.0
"""Of every addition; the scale is 1/8."""

SKIPPED = ("tag_encoder.", "text_decoder.")
"""Parts of the authors' class that have additions in their files and no use here."""


def attach_low_rank(net: RAMTagger) -> RAMTagger:
    """Freezes a tagger and gives it additions that change nothing yet."""
    layers: dict[str, tuple[bool, ...]] = {}
    for name, _ in net.named_modules():
        if re.fullmatch(r"visual_encoder\.layers\.\d+\.blocks\.\d+\.attn\.qkv", name):
            layers[name] = (True, False, True)
        elif re.fullmatch(r"tagging_head\..*\.crossattention\.self\.(query|key)", name):
            layers[name] = (True,)
    lora.attach(net, layers, rank=RANK, alpha=ALPHA)
    return net


def load_low_rank(net: RAMTagger, path: str | Path) -> None:
    """Reads additions into a tagger that :func:`attach_low_rank` has prepared.

    Args:
        net: the tagger.
        path: DAPE.pth, a file of ours, or a checkpoint of a training run. Additions that lie under another name's
            entry are read and told: the authors' own loader would silently read none of them.

    Raises:
        InputError: it holds no addition, some that this tagger does not have, or not all that it has.
    """
    held = read_checkpoint(path)
    whole = load_state(path)
    state = {name: tensor for name, tensor in whole.items() if not _is_skipped(name)}
    found = {name: tensor for name, tensor in state.items() if ".lora_" in name}
    own = lora.low_rank_state(net)
    if not found:
        raise InputError(
            f"it holds no low-rank addition, none of it would be used (it begins with {next(iter(state), 'none')})",
            where=path,
            remedy="give DAPE.pth or what stage 1 wrote; the base weights come from srbench weights fetch ram",
        )
    if not found.keys() & own.keys():
        raise InputError(
            f"none of its {len(found)} low-rank additions fits this tagger (the first is {next(iter(found))}, here "
            f"{next(iter(own))})",
            where=path,
            remedy="take the prefix off its names, or give the file of this tagger",
        )
    _tell_nesting(held, path)
    _tell_skipped(whole, path)
    lora.take(net, state, where=path)


def save_low_rank(net: RAMTagger, path: str | Path) -> None:
    """Writes a tagger's additions alone, flat, as :func:`load_low_rank` and SeeSR's code read them.

    Raises:
        InputError: one of them is not finite, or the file cannot be written.
    """
    state = {name: tensor.cpu().clone() for name, tensor in lora.low_rank_state(net).items()}
    check_finite(state, where=path)
    held = io.BytesIO()
    torch.save(state, held)
    write_whole(Path(path), held.getbuffer())


def _is_skipped(name: str) -> bool:
    return name.startswith(SKIPPED) and ".lora_" in name


def _tell_skipped(whole: Mapping[str, Tensor], path: str | Path) -> None:
    """SeeSR's class shares two layers of the text encoder with the tagging head, so additions to either act on both."""
    learned = [n for n, tensor in whole.items() if _is_skipped(n) and n.endswith(".lora_B") and bool(tensor.any())]
    if learned:
        rank_zero_warn(
            f"{path}: {len(learned)} additions to the text encoder and decoder are not zero (first {learned[0]}); "
            "they are skipped, while the released code would add those of the encoder's layers 0 and 1 to the tagging "
            "head: representations are the same, logits are not"
        )


def _tell_nesting(held: Any, path: str | Path) -> None:
    if not isinstance(held, Mapping) or "pytorch-lightning_version" in held:
        return
    flat = [name for name, value in held.items() if isinstance(value, Tensor)]
    if not flat:
        rank_zero_warn(f"{path}: its additions lie inside {', '.join(map(repr, held))}; they were read from there")
    elif flat[0].startswith("module."):
        rank_zero_warn(f"{path}: its names begin with 'module.', which was taken off")
