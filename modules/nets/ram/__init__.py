"""RAM, the Recognize Anything Model: a Swin-L encoder, a projection and a head that tells 4,585 tags.

Zhang et al., "Recognize Anything: A Strong Image Tagging Model" (arXiv 2306.03514); read from the authors' code at
commit 7cb804a and, for the low-rank additions (DAPE), from SeeSR at commit 8edecc7. Only what tags an image is here:
the text encoder and decoder of the published file are left out.
"""

from srbench.modules.nets.ram.additions import attach_low_rank, load_low_rank, save_low_rank
from srbench.modules.nets.ram.images import conditioning_input, tagging_input
from srbench.modules.nets.ram.published import load_published
from srbench.modules.nets.ram.tagger import PRESETS, RAMTagger, TaggerPreset, make_tagger, tagger_preset
from srbench.modules.nets.ram.tags import jaccard, read_tags, read_thresholds, tag_sets

__all__ = [
    "PRESETS",
    "RAMTagger",
    "TaggerPreset",
    "attach_low_rank",
    "conditioning_input",
    "jaccard",
    "load_low_rank",
    "load_published",
    "make_tagger",
    "read_tags",
    "read_thresholds",
    "save_low_rank",
    "tag_sets",
    "tagger_preset",
    "tagging_input",
]
