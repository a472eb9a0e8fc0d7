"""E_clip, the established encoder that FAR looks through: CLIP's RN50, or VGG19 or EDSR (Table 3).

The paper names neither the layer of CLIP ("internal feature") nor those of the other two. All are frozen; gradients go
through them to the image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.losses.perceptual import PerceptualLoss, VGG19Features
from srbench.modules.nets.edsr import EDSRNet
from srbench.torchscript import read_tensors
from srbench.weights import check_finite, load_state, load_strict

FarEncoderName = Literal["clip", "vgg19", "edsr"]
CLIPLayer = Literal["stem", "layer1", "layer2", "layer3", "layer4"]

CLIP_CHANNELS = {"stem": 64, "layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048}
"""Channels of RN50's maps, at 1/4, 1/4, 1/8, 1/16 and 1/32 of the image's side."""

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class FarEncoder(nn.Module, ABC):
    """An encoder that FAR looks through.

    Attributes:
        channels: of its features.
        backbone: the catalogue's name of its weights.
        min_side: pixels of the shorter side that it needs.
    """

    channels: int
    backbone: str
    min_side: int

    @abstractmethod
    def forward(self, image: Tensor) -> Tensor:
        """Features (B,channels,h,w) of images (B,3,H,W) in [0,1]."""

    @abstractmethod
    def fill(self, path: Path | None) -> None:
        """Takes the published weights; without a file the values are drawn ones.

        Raises:
            InputError: the file is damaged or another network's.
        """


class CLIPEncoder(FarEncoder):
    """The visual half of CLIP's RN50 up to one of its layers; all of it 38,316,896 parameters, by timm.

    Args:
        layer: whose map is taken; behind it nothing is computed.

    Raises:
        InputError: RN50 has no such layer; timm is not installed.
    """

    backbone = "clip_rn50"
    min_side = 32
    mean: Tensor
    std: Tensor

    def __init__(self, layer: CLIPLayer = "layer2") -> None:
        super().__init__()
        if layer not in CLIP_CHANNELS:
            raise InputError(
                f"CLIP's RN50 has no {layer!r}",
                where="model.init_args.clip_layer",
                remedy=f"use {', '.join(CLIP_CHANNELS)}",
            )
        self.channels = CLIP_CHANNELS[layer]
        self.depth = list(CLIP_CHANNELS).index(layer)
        self.visual = _timm().create_model("resnet50_clip.openai", pretrained=False)
        for part in self.visual.modules():
            if isinstance(part, nn.AvgPool2d):  # timm rounds odd sides up in one path of a block and down in the other
                part.ceil_mode = False  # as OpenAI's code has it in both
        for name, values in (("mean", _CLIP_MEAN), ("std", _CLIP_STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """See :meth:`FarEncoder.forward`."""
        x = self.visual.stem((image - self.mean) / self.std)
        for stage in self.visual.stages[: self.depth]:
            x = stage(x)
        return x

    def fill(self, path: Path | None) -> None:
        """Takes OpenAI's ``RN50.pt``, a TorchScript archive, whose program is not run."""
        if path is None:
            return
        from timm.models.byobnet import checkpoint_filter_fn

        visual = {name: t.float() for name, t in read_tensors(path).items() if name.startswith("visual.")}
        state: Mapping[str, Tensor] = checkpoint_filter_fn(visual, self.visual)
        check_finite(state, where=path)
        # The archive lacks the count of batches, which nothing in evaluation reads.
        counts = {k: v for k, v in self.visual.state_dict().items() if k.endswith("num_batches_tracked")}
        load_strict(self.visual, {**counts, **state}, where=path)


class VGG19Encoder(FarEncoder):
    """VGG19's conv3_4 before its ReLU: 256 channels at 1/4; the paper does not name its layer."""

    backbone = "vgg19"
    channels = 256
    min_side = 4

    def __init__(self) -> None:
        super().__init__()
        self.vgg: nn.Module = VGG19Features(["conv3_4"])  # on meta

    def forward(self, image: Tensor) -> Tensor:
        """See :meth:`FarEncoder.forward`."""
        features: Tensor = self.vgg(image)["conv3_4"]
        return features

    def fill(self, path: Path | None) -> None:
        """Takes torchvision's file."""
        loss = PerceptualLoss({"conv3_4": 1.0})
        loss.load(path)
        self.vgg = loss.vgg.net


class EDSREncoder(FarEncoder):
    """EDSR-baseline x4, the features before its upsampler: 64 channels at the image's size; not named in the paper."""

    backbone = "edsr_baseline"
    channels = 64
    min_side = 1

    def __init__(self) -> None:
        super().__init__()
        self.edsr = EDSRNet(scale=4)

    def forward(self, image: Tensor) -> Tensor:
        """See :meth:`FarEncoder.forward`."""
        x = self.edsr.conv_first((image - self.edsr.rgb_mean) * 255.0)
        return x + self.edsr.conv_after_body(self.edsr.body(x))

    def fill(self, path: Path | None) -> None:
        """Takes the authors' file."""
        if path is not None:
            load_strict(self.edsr, EDSRNet.rename_upstream(load_state(path)), where=path)


def make_encoder(name: FarEncoderName = "clip", clip_layer: CLIPLayer = "layer2") -> FarEncoder:
    """The encoder of that name; its values mean nothing until it is filled, and are the same at every call.

    Raises:
        InputError: there is none; see :class:`CLIPEncoder`.
    """
    makers: dict[str, Callable[[], FarEncoder]] = {
        "clip": lambda: CLIPEncoder(clip_layer),
        "vgg19": VGG19Encoder,
        "edsr": EDSREncoder,
    }
    if name not in makers:
        raise InputError(
            f"there is no encoder {name!r}", where="model.init_args.far_encoder", remedy=f"use {', '.join(makers)}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return makers[name]()


def _timm() -> Any:
    try:
        import timm  # costs seconds to import
    except ModuleNotFoundError as error:
        raise InputError(
            "CLIP's visual network is timm's, which is not installed",
            where="timm",
            remedy='pip install "srbench[tagger]", or --model.init_args.far_encoder vgg19',
        ) from error
    return timm
