"""Which tagger a stage works with: RAM alone, or RAM with the additions of DAPE or of a trained extractor."""

from __future__ import annotations

import torch

from srbench.images import file_sha256
from srbench.module import SRModule
from srbench.modules.nets.ram import (
    RAMTagger,
    attach_low_rank,
    load_low_rank,
    make_tagger,
    read_thresholds,
    tagger_preset,
)
from srbench.modules.nets.ram.tags import THRESHOLDS
from srbench.weights import checkpoint_marks

RAM = "ram"
DAPE = "dape"
"""Encoders by their names in the weights catalogue; anything else is the path of a file of additions."""


def base_tagger(owner: SRModule, preset: str, *, drop_path: float = 0.1, tags: bool = False) -> RAMTagger:
    """RAM with its published values, or a random one where ``owner`` allows that and is marked for it.

    Args:
        owner: the stage, or whatever stands for one; its ``backbone`` finds the file.
        preset: sizes, see :data:`~srbench.modules.nets.ram.PRESETS`.
        drop_path: stochastic depth in training.
        tags: whether tags will be told, which the published thresholds are needed for.

    Raises:
        InputError: the weights are absent, or nobody ever published any for the preset; it says what to do.
    """
    sizes = tagger_preset(preset)
    if not sizes.published:
        owner.stay_random(preset, published="swin_large")
        return make_tagger(sizes, None, drop_path=drop_path)
    path = owner.backbone(RAM)
    limits = owner.backbone(THRESHOLDS) if tags else None
    thresholds = None if limits is None else read_thresholds(limits, sizes.tags)
    return make_tagger(sizes, path, thresholds=thresholds, drop_path=drop_path)


def extractor(
    owner: SRModule, preset: str, encoder: str = RAM, *, drop_path: float = 0.1, tags: bool = False
) -> RAMTagger:
    """A tagger with the additions that ``encoder`` names.

    Args:
        owner: see :func:`base_tagger`; the marks of a checkpoint of ours become its own.
        preset: sizes.
        encoder: ``ram`` for none, ``dape``, or the path of a file of additions or of stage 1's checkpoint.
        drop_path: stochastic depth in training.
        tags: whether tags will be told.

    Raises:
        InputError: a file is absent or does not fit.
    """
    net = base_tagger(owner, preset, drop_path=drop_path, tags=tags)
    if encoder != RAM:
        add(owner, attach_low_rank(net), encoder)
    return net


def add(owner: SRModule, net: RAMTagger, encoder: str) -> None:
    """Loads additions into a tagger that is prepared for them; see :func:`extractor`."""
    if encoder == RAM:
        return
    path = encoder if encoder != DAPE else _dape(owner, net)
    if path is None:
        return
    load_low_rank(net, path)
    owner.stamp(*checkpoint_marks(path))
    owner.rests_on("additions", sha256=file_sha256(path))


def _dape(owner: SRModule, net: RAMTagger) -> str | None:
    if not net.preset.published:
        return None
    path = owner.backbone(DAPE)
    return None if path is None else str(path)


def meta_tagger(preset: str, *, low_rank: bool, drop_path: float = 0.1) -> RAMTagger:
    """Shapes without values, for describing and until the values are there."""
    with torch.device("meta"):
        net = RAMTagger(tagger_preset(preset), drop_path=drop_path)
        return attach_low_rank(net) if low_rank else net
