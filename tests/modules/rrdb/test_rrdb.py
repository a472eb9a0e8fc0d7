import re
from pathlib import Path

import pytest
import torch
from spandrel.architectures.ESRGAN import ESRGAN, ESRGANArch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules import RRDB
from srbench.modules.rrdb.net import RRDBNet, from_older


def random_state(net: nn.Module) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {k: torch.randn(v.shape, generator=generator) * 0.03 for k, v in net.state_dict().items()}


@pytest.mark.parametrize("scale", [4, 2, 1])
def test_it_equals_spandrels_esrgan_bit_for_bit(scale: int) -> None:
    net = RRDBNet(scale, features=16, blocks=3)  # spandrel knows growth 32 only
    state = random_state(net)
    net.load_state_dict(state)
    theirs = ESRGANArch().load(dict(state))
    assert isinstance(theirs.model, ESRGAN)
    assert theirs.scale == scale
    lq = torch.rand(1, 3, 12, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        ours = net(lq)
        assert torch.equal(ours, theirs.model.eval()(lq))
    assert ours.std() > 0.01


def oldest(state: dict[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """The key layout of the ESRGAN repository in 2018."""
    ends = {"conv_first": "0", "conv_body": f"1.sub.{blocks}", "conv_up1": "3", "conv_up2": "6"}
    ends |= {"conv_hr": "8", "conv_last": "10"}
    out = {}
    for name, tensor in state.items():
        stem, _, leaf = name.rpartition(".")
        body = re.fullmatch(r"body\.(\d+)\.rdb(\d)\.conv(\d)", stem)
        place = "1.sub.{}.RDB{}.conv{}.0".format(*body.groups()) if body else ends[stem]
        out[f"model.{place}.{leaf}"] = tensor
    return out


def older(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The layout of 2019 and of BSRGAN."""
    out = {}
    for name, tensor in state.items():
        name = re.sub(r"^body\.(\d+)\.rdb", r"RRDB_trunk.\1.RDB", name)
        name = name.replace("conv_body", "trunk_conv").replace("conv_up", "upconv").replace("conv_hr", "HRconv")
        out[name] = tensor
    return out


def test_all_three_layouts_load_strictly(tmp_path: Path) -> None:
    net = RRDBNet(4, features=8, blocks=2, growth=4)
    state = random_state(net)
    for layout in ({"params_ema": state}, older(state), oldest(state, 2)):
        torch.save(layout, tmp_path / "net.pth")
        module = RRDB(features=8, blocks=2, growth=4)
        module.load_upstream(tmp_path / "net.pth")
        assert all(torch.equal(v, state[k]) for k, v in module.net.state_dict().items())
    with pytest.raises(InputError, match="another network"):
        RRDB(features=8, blocks=3, growth=4).load_upstream(tmp_path / "net.pth")


def test_renaming_is_one_to_one() -> None:
    with torch.device("meta"):
        state = RRDBNet().state_dict()
    assert from_older(older(state)).keys() == state.keys()
    assert from_older(oldest(state, 23)).keys() == state.keys()
    assert from_older(state).keys() == state.keys()


def test_published_size() -> None:
    with torch.device("meta"):
        net = RRDBNet()
    assert sum(p.numel() for p in net.parameters()) == 16_697_987
    assert len(net.state_dict()) == 2 * (6 + 23 * 15)


def test_an_impossible_scale_is_refused() -> None:
    with pytest.raises(InputError, match="no x3"):
        RRDB(scale=3)
