"""RAMTagger: image to representation, representation to logits, logits to tags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.nets.ram.head import TaggingHead
from srbench.modules.nets.ram.images import conditioning_input
from srbench.modules.nets.ram.published import load_published
from srbench.modules.nets.ram.tags import tag_sets
from srbench.naming import unknown_name


@dataclass(frozen=True)
class TaggerPreset:
    """Sizes of a tagger; the defaults are the published ``ram_swin_large_14m``.

    Attributes:
        side: of the square image, in pixels.
        first: side that images are brought to before ``side``; see
            :func:`~srbench.modules.nets.ram.images.conditioning_input`.
        window: of Swin's attention, in tokens.
        width: of Swin's first stage; doubled in each following.
        depths: blocks of each stage.
        heads: attention heads of each stage.
        token: width of the representation's tokens.
        tags: how many tags there are.
        hidden: width of the tagging head.
        head_heads: its attention heads.
        feed_forward: inner width of its feed-forward parts.
        threshold: of every tag, where the published thresholds do not apply.
        published: whether these are the sizes of the published weights.
    """

    side: int = 384
    first: int = 512
    window: int = 12
    width: int = 192
    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (6, 12, 24, 48)
    token: int = 512
    tags: int = 4585
    hidden: int = 768
    head_heads: int = 4
    feed_forward: int = 3072
    threshold: float = 0.68
    published: bool = True

    @property
    def features(self) -> int:
        """Width of Swin's last stage."""
        return self.width * 2 ** (len(self.depths) - 1)

    @property
    def tokens(self) -> int:
        """Tokens of a representation: the mean and the last stage's raster."""
        return 1 + (self.side // (4 * 2 ** (len(self.depths) - 1))) ** 2


PRESETS = {
    "swin_large": TaggerPreset(),
    "small": TaggerPreset(
        side=96, first=128, window=3, width=16, depths=(2, 2, 2, 2), heads=(1, 2, 4, 8), token=32, tags=64, hidden=32,
        feed_forward=64, threshold=0.5, published=False,
    ),
}  # fmt: skip
"""The published tagger, and one for tests and trials on a CPU that nobody has trained."""


def tagger_preset(name: str) -> TaggerPreset:
    """The preset of that name.

    Raises:
        InputError: there is none.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS, where="preset")
    return PRESETS[name]


class RAMTagger(nn.Module):
    """The tagger; its state has the published names, but for the encoder's, which are timm's.

    Args:
        preset: its sizes.
        drop_path: stochastic depth of the encoder in training.
        dropout: of the tagging head in training.

    Attributes:
        thresholds: (tags,), above which a tag is told; not part of the state.
    """

    thresholds: Tensor

    def __init__(
        self, preset: TaggerPreset = PRESETS["swin_large"], *, drop_path: float = 0.1, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.preset = preset
        self.visual_encoder = _swin(preset, drop_path)
        self.image_proj = nn.Linear(preset.features, preset.token)
        self.label_embed = nn.Parameter(torch.empty(preset.tags, preset.token))
        self.wordvec_proj = nn.Linear(preset.token, preset.hidden)
        self.tagging_head = TaggingHead(
            width=preset.hidden,
            context=preset.token,
            heads=preset.head_heads,
            feed_forward=preset.feed_forward,
            dropout=dropout,
        )
        self.fc = nn.Linear(preset.hidden, 1)
        nn.init.normal_(self.label_embed, std=0.02)
        self.register_buffer("thresholds", torch.full((preset.tags,), preset.threshold), persistent=False)

    def prepared(self, images: Tensor) -> Tensor:
        """Images (B,3,H,W) in [0,1] as conditioning wants them: (B,3,side,side)."""
        return conditioning_input(images, self.preset.side, self.preset.first)

    def representation(self, image: Tensor) -> Tensor:
        """The representation embedding.

        Args:
            image: (B,3,side,side), normalised; see :mod:`srbench.modules.nets.ram.images`.

        Returns:
            (B,145,512) for the published sizes: the mean of all tokens, then the 12 x 12 raster, projected.
        """
        raster = self.visual_encoder.forward_features(image).flatten(1, 2)  # type: ignore[operator]
        return self.image_proj(torch.cat([raster.mean(1, keepdim=True), raster], 1))

    def logits(self, representation: Tensor) -> Tensor:
        """The logits embedding (B,4585) of a representation (B,145,512)."""
        queries = F.relu(self.wordvec_proj(self.label_embed)).expand(len(representation), -1, -1)
        return self.fc(self.tagging_head(queries, representation)).squeeze(-1)

    def tags(self, logits: Tensor) -> list[frozenset[int]]:
        """Indices of the tags that fire, for each image of logits (B,4585)."""
        return tag_sets(logits, self.thresholds)

    def forward(self, image: Tensor) -> Tensor:
        """The same as :meth:`representation`."""
        return self.representation(image)


def make_tagger(
    preset: TaggerPreset, path: Path | None, *, thresholds: Tensor | None = None, drop_path: float = 0.1
) -> RAMTagger:
    """A tagger with values, in evaluation mode.

    Args:
        preset: its sizes.
        path: the published checkpoint; None draws from a fixed seed, the same in every process and run, and leaves
            the run's own random numbers as they are. Signals keep their size through such a network, so that what it
            says depends on the image; the layers' own initialisation lets it say nearly the same of all.
        thresholds: (tags,); None takes the preset's one value for all.
        drop_path: stochastic depth of the encoder in training.

    Raises:
        InputError: the file belongs to another backbone or is no RAM.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(0)
        net = RAMTagger(preset, drop_path=drop_path)
        if path is None:
            _draw(net)
    if path is not None:
        load_published(net, path)
    if thresholds is not None:
        net.thresholds = thresholds
    return net.eval()


@torch.no_grad()
def _draw(net: nn.Module) -> None:
    for name, parameter in net.named_parameters():
        if parameter.dim() > 1 and not name.endswith("relative_position_bias_table"):
            parameter.normal_(std=parameter[0].numel() ** -0.5)


def _swin(preset: TaggerPreset, drop_path: float) -> nn.Module:
    """Swin as timm has it, without a classifier; for the published sizes ``swin_large_patch4_window12_384``."""
    try:
        from timm.models.swin_transformer import SwinTransformer  # costs seconds to import
    except ImportError as error:
        raise InputError(
            "the tagger's encoder is timm's, which is not installed",
            where="timm",
            remedy='pip install "srbench[tagger]"',
        ) from error
    return SwinTransformer(
        img_size=preset.side,
        patch_size=4,
        window_size=preset.window,
        embed_dim=preset.width,
        depths=preset.depths,
        num_heads=preset.heads,
        num_classes=0,
        drop_path_rate=drop_path,
    )
