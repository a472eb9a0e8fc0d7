"""The published checkpoint: what of it is used, under which names, and what is left out by an explicit list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from srbench.errors import InputError
from srbench.weights import load_state, load_strict

UNUSED = (
    r"tag_encoder\.",  # image to text
    r"text_decoder\.",
    r"tagging_head\.embeddings\.",  # the authors delete these two after building them
    r"tagging_head\.encoder\.layer\.\d+\.attention\.",
    r"visual_encoder\..*\.(relative_position_index|attn_mask)$",  # follow from the sizes
    r"visual_encoder\..*\.condition_(attention|ffn)\.",  # SeeSR's class has them and never runs them
)
"""Patterns of the names that belong to no part of the tagger; anything else that does not fit is refused."""

_PATCHES = "visual_encoder.patch_embed.proj.weight"
_BACKBONES = {96: "Swin-T or Swin-S", 128: "Swin-B", 192: "Swin-L"}


def load_published(net: nn.Module, path: Path) -> None:
    """Loads ``ram_swin_large_14m.pth`` as its authors published it into a tagger.

    Args:
        net: a tagger without low-rank additions.
        path: the file.

    Raises:
        InputError: it is another backbone's, or anything in it fits nothing or is missing.
    """
    state = published_names(load_state(path))
    _check_backbone(net, state, path)
    load_strict(net, state, where=path)


def published_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The used part of a published state under this package's names.

    timm counts a stage's downsampling as the beginning of the next stage, the authors as the end of the one before.
    """
    unused = re.compile("|".join(UNUSED))
    heads = {re.sub(r"^vision_multi\.", "tagging_head.", name): tensor for name, tensor in state.items()}
    return {
        re.sub(r"(?<=^visual_encoder\.layers\.)(\d+)(?=\.downsample\.)", lambda m: str(int(m[0]) + 1), name): tensor
        for name, tensor in heads.items()
        if not unused.match(name)
    }


def _check_backbone(net: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    found, own = state.get(_PATCHES), net.state_dict()[_PATCHES]
    if found is None:
        raise InputError(
            "it is no RAM with a Swin encoder", where=path, remedy="get the file by srbench weights fetch ram"
        )
    if found.shape != own.shape:
        kind = _BACKBONES.get(found.shape[0], "another network")
        raise InputError(
            f"its encoder is {kind} of width {found.shape[0]}, this tagger's has {own.shape[0]}",
            where=path,
            remedy="get ram_swin_large_14m.pth by srbench weights fetch ram",
        )
