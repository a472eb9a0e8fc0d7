"""LPIPS (Zhang et al., CVPR 2018) as a loss and as HR-aware's quality indicator, by the authors' package."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.losses.perceptual import draw_values
from srbench.modules.nets.frozen import Frozen
from srbench.weights import load_state, load_strict

BACKBONES = {"alex": "alexnet", "vgg": "vgg16"}
"""The catalogue's names of torchvision's networks below the two variants; the linear heads come with the package."""

Net = Literal["alex", "vgg"]


class LPIPSDistance(nn.Module):
    """LPIPS v0.1 between images in [0,1]; gradients reach both images.

    Its network is frozen, in no checkpoint, and not there until :meth:`load`.

    Args:
        net: ``alex`` or ``vgg``. Sides below 31 and 16 pixels are too small for them.
        spatial: give a map instead of its mean.

    Raises:
        InputError: another net.
    """

    def __init__(self, net: Net = "alex", *, spatial: bool = False) -> None:
        super().__init__()
        if net not in BACKBONES:
            raise InputError(f"LPIPS has no net {net!r}", where="LPIPSDistance.net", remedy="use alex or vgg")
        self.which = net
        self.spatial = spatial
        self.lpips: Frozen | None = None

    @property
    def backbone(self) -> str:
        """Its weights' name in the catalogue."""
        return BACKBONES[self.which]

    def load(self, path: Path | None) -> None:
        """Builds the network on torchvision's file, or, where there is none, on random weights of a fixed seed.

        Raises:
            InputError: the package is not installed; the file is damaged or another network's.
        """
        net = _network(self.which, self.spatial)
        if path is None:
            draw_values(net.net)
        else:
            load_strict(net.net, _sliced(load_state(path), net.net), where=path)
        self.lpips = Frozen(net)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """The distance of images (B,3,H,W) in [0,1]: (B,), or the map (B,1,H,W) if ``spatial``."""
        assert self.lpips is not None, "load() comes first"
        found: Tensor = self.lpips(a * 2 - 1, b * 2 - 1)
        return found if self.spatial else found.flatten()


def _network(which: Net, spatial: bool) -> Any:
    try:
        import lpips  # costs seconds to import
    except ModuleNotFoundError as error:
        raise InputError(
            "LPIPS is the work of a package that is not installed", where="lpips", remedy='pip install "srbench[iqa]"'
        ) from error
    with torch.device("meta"), warnings.catch_warnings():  # its constructor would draw VGG's 138 million values
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torchvision\.")  # it says ``pretrained``
        net = lpips.LPIPS(net=which, pretrained=False, pnet_rand=True, spatial=spatial, verbose=False)
    net = net.to_empty(device="cpu")
    net.scaling_layer = lpips.ScalingLayer()
    heads = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{which}.pth"
    if net.load_state_dict(load_state(heads), strict=False).unexpected_keys:
        raise InputError("these are not the heads of LPIPS", where=heads, remedy="install lpips 0.1.4 again")
    return net


def _sliced(state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """Torchvision's names in the package's, which cuts ``features`` into slices and keeps their numbers."""
    names = {f"features.{name.split('.', 1)[1]}": name for name in net.state_dict()}
    return {names.get(name, name): tensor for name, tensor in state.items() if not name.startswith("classifier.")}
