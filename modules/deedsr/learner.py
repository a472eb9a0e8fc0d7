"""DegradationLearner: the encoder of DeeDSR's stage 1, whose vectors stage 2 is told the degradation by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, conv1x1

from srbench.naming import unknown_name
from srbench.weights import load_state, load_strict


@dataclass(frozen=True)
class LearnerPreset:
    """Sizes of an encoder.

    Attributes:
        stem: channels of the first convolution.
        widths: channels of the four stages, before a bottleneck's expansion.
        depths: blocks of the four stages.
        bottleneck: three convolutions a block instead of two, the last four times as wide.
    """

    stem: int
    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int] = (3, 4, 6, 3)
    bottleneck: bool = False


PRESETS: Mapping[str, LearnerPreset] = {
    # ldm/modules/blindsr.py, ResNet(layers=[3, 4, 6, 3]), as models/DeeDSR.yaml has it: 85,011,008 parameters.
    "basic34": LearnerPreset(64, (128, 256, 512, 1024)),
    # The paper's words and the default of moco_train.py: torchvision's resnet50 without fc, 23,508,032 parameters.
    "resnet50": LearnerPreset(64, (64, 128, 256, 512), bottleneck=True),
    "small": LearnerPreset(8, (8, 8, 16, 32), (1, 1, 1, 1)),
}
"""``basic34`` as stage 2 of the released code has it, ``resnet50``, and ``small`` for tests and trials."""

_MOCO = ("encoder_q.", "encoder_k.", "queue")
"""What all names of a MoCo checkpoint begin with; ``queue_ptr`` too."""


class DegradationLearner(nn.Module):
    """A residual network without a classifier; its pooled last features are the degradation's representation.

    Paper (section 3.2) and ``moco_train.py`` speak of ResNet50; the network that stage 2 of the released code builds
    has the layout of ResNet-34 at twice its widths, and its 85.01 M parameters are in the paper's total (Table 4).
    Names of parameters are those of torchvision and of the released code.

    Args:
        preset: see :data:`PRESETS`.

    Attributes:
        channels: length of the representation: 1024 (``basic34``), 2048 (``resnet50``), 32 (``small``).

    Raises:
        InputError: the preset is unknown.
    """

    def __init__(self, preset: str = "basic34") -> None:
        super().__init__()
        if preset not in PRESETS:
            raise unknown_name("preset", preset, PRESETS, where="model.init_args.preset")
        sizes = PRESETS[preset]
        self.conv1 = nn.Conv2d(3, sizes.stem, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(sizes.stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        entering = sizes.stem
        for number, (width, depth) in enumerate(zip(sizes.widths, sizes.depths, strict=True), 1):
            layer, entering = _stage(entering, width, depth, stride=min(number, 2), bottleneck=sizes.bottleneck)
            self.add_module(f"layer{number}", layer)
        self.channels = entering
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, lq: Tensor) -> Tensor:
        """The representation: ``lq`` (B,3,h,w) in [0,1], not standardised, to (B,channels), not normalised."""
        return self.features(lq).mean((-2, -1))

    def features(self, lq: Tensor) -> Tensor:
        """The last feature map, (B,channels,h/32,w/32) rounded up."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(lq))))
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        return x

    @staticmethod
    def rename_upstream(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """See :func:`encoder_state`."""
        return encoder_state(state)


def load_learner(learner: DegradationLearner, path: str) -> None:
    """Loads an encoder strictly, from any file that holds one.

    Args:
        learner: takes the values.
        path: a checkpoint of stage 1 (ours, or the released script's with ``module.encoder_q.*``), the released tool's
            plain file, or a whole model with ``Encoder_degrad.degrad_encoder.*``.

    Raises:
        InputError: the file is missing or unsafe, holds NaN, or belongs to another network.
    """
    load_strict(learner, encoder_state(load_state(path)), where=path)


def encoder_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder alone, named as :class:`DegradationLearner` names it.

    Of a MoCo checkpoint it is the query encoder; key encoder, queue and projection head (``fc``) are left out, as the
    released ``tool_add_degradencoder.py`` does it. Anything else passes unchanged, for a strict load to judge.
    """
    if all(name.startswith(_MOCO) for name in state):
        query = _below("encoder_q.", state)
        return {name: tensor for name, tensor in query.items() if not name.startswith("fc.")}
    return _below("Encoder_degrad.degrad_encoder.", state) or dict(state)


def _below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _stage(entering: int, width: int, depth: int, *, stride: int, bottleneck: bool) -> tuple[nn.Sequential, int]:
    block: type[BasicBlock] | type[Bottleneck] = Bottleneck if bottleneck else BasicBlock
    leaving = width * block.expansion
    shortcut = None
    if stride != 1 or entering != leaving:
        shortcut = nn.Sequential(conv1x1(entering, leaving, stride), nn.BatchNorm2d(leaving))
    blocks = [block(entering, width, stride, shortcut)]
    blocks += [block(leaving, width) for _ in range(depth - 1)]
    return nn.Sequential(*blocks), leaving
