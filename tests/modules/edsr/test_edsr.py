from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.errors import InputError
from srbench.modules import EDSR
from srbench.modules.edsr.net import RGB_MEAN, EDSRNet

MEAN = torch.tensor(RGB_MEAN).view(1, 3, 1, 1)


def reference_255(state: dict[str, Tensor], lq: Tensor, blocks: int, res_scale: float) -> Tensor:
    """EDSR x4 written from the authors' definition and names: pixels 0..255 in and out."""

    def conv(name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    head = conv("head.0", lq - 255 * MEAN)
    x = head
    for i in range(blocks):
        x = x + res_scale * conv(f"body.{i}.body.2", conv(f"body.{i}.body.0", x).clamp_min(0))
    x = conv(f"body.{blocks}", x) + head
    for i in (0, 2):
        x = F.pixel_shuffle(conv(f"tail.0.{i}", x), 2)
    return conv("tail.1", x) + 255 * MEAN


def authors_state(features: int, blocks: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = {"head.0": (features, 3), f"body.{blocks}": (features, features), "tail.1": (3, features)}
    shapes |= {f"body.{i}.body.{j}": (features, features) for i in range(blocks) for j in (0, 2)}
    shapes |= {f"tail.0.{i}": (4 * features, features) for i in (0, 2)}
    state = {}
    for name, (out, inner) in shapes.items():
        state[f"{name}.weight"] = torch.randn(out, inner, 3, 3, generator=generator) / (9 * inner) ** 0.5
        state[f"{name}.bias"] = torch.randn(out, generator=generator)
    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        state[f"{name}.weight"] = torch.eye(3).view(3, 3, 1, 1)
        state[f"{name}.bias"] = sign * 255 * torch.tensor(RGB_MEAN)
    return state


@pytest.mark.parametrize(
    ("preset", "features", "blocks", "res_scale"), [("baseline", 64, 16, 1.0), ("full", 256, 32, 0.1)]
)
def test_the_authors_files_give_the_authors_images(
    tmp_path: Path, preset: str, features: int, blocks: int, res_scale: float
) -> None:
    state = authors_state(features, blocks)
    torch.save(state, tmp_path / "edsr.pt")
    module = EDSR(preset=preset)
    module.load_upstream(tmp_path / "edsr.pt")
    lq = torch.rand(1, 3, 6, 5, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        ours, theirs = module.net(lq), reference_255(state, lq * 255, blocks, res_scale) / 255
    assert (ours - theirs).abs().max().item() < 1e-5 * theirs.abs().max().item()


def test_a_mean_of_another_range_is_refused(tmp_path: Path) -> None:
    state = authors_state(64, 16)
    state["sub_mean.bias"] /= 255
    torch.save(state, tmp_path / "edsr.pt")
    with pytest.raises(InputError, match=r"sub_mean\.bias"):
        EDSR().load_upstream(tmp_path / "edsr.pt")


@pytest.mark.parametrize(
    ("preset", "params", "row"), [("baseline", 1_517_571, "EDSR"), ("full", 43_089_923, "EDSR-full")]
)
def test_published_sizes(preset: str, params: int, row: str) -> None:
    with torch.device("meta"):
        module = EDSR(preset=preset)
    assert sum(p.numel() for p in module.net.parameters()) == params
    assert module.method == row
    assert {"conv_first.weight", "body.0.conv1.weight", "conv_after_body.bias", "upsample.2.weight"} <= set(
        module.net.state_dict()
    )
    assert not any("mean" in k for k in module.net.state_dict())


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_scales(scale: int) -> None:
    assert EDSRNet(scale, features=4, blocks=1)(torch.rand(1, 3, 3, 2)).shape == (1, 3, 3 * scale, 2 * scale)


def test_an_impossible_scale_is_refused() -> None:
    with pytest.raises(InputError, match="no x6"):
        EDSR(scale=6)
