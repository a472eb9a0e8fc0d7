"""Random checkpoints of tiny networks, made from spandrel's own architectures."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.HAT import HAT
from spandrel.architectures.SwinIR import SwinIR
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules import SpandrelSR
from srbench.modules.external.padding import Padding


def randomised(net: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.1)
    return net.eval()


def esrgan(seed: int = 0, scale: int = 4) -> nn.Module:
    return randomised(ESRGAN(num_filters=8, num_blocks=1, scale=scale), seed)


def swinir() -> nn.Module:
    return randomised(
        SwinIR(
            img_size=16, embed_dim=12, depths=[1], num_heads=[2], window_size=8, mlp_ratio=2, upscale=4,
            upsampler="nearest+conv", resi_connection="1conv",
        )
    )  # fmt: skip


def hat() -> nn.Module:
    return randomised(
        HAT(
            img_size=16, embed_dim=12, depths=[1], num_heads=[2], window_size=16, compress_ratio=3, squeeze_factor=6,
            overlap_ratio=0.5, mlp_ratio=2, upscale=4, upsampler="pixelshuffle", resi_connection="1conv",
        )
    )  # fmt: skip


@pytest.fixture
def lq() -> Tensor:
    return torch.rand(1, 3, 16, 21, generator=torch.Generator().manual_seed(1))


def saved(content: object, path: Path) -> str:
    torch.save(content, path)
    return str(path)


def test_an_unpadded_network_equals_its_own_output(tmp_path: Path, lq: Tensor) -> None:
    net = esrgan()
    module = SpandrelSR(weights=saved(net.state_dict(), tmp_path / "Some_GAN.pth"))
    module.prepare()
    with torch.no_grad():
        assert torch.equal(module.upscale(lq), net(lq).clamp(0, 1))
    assert module.method == "Some_GAN"
    assert len(module.weights_sha256 or "") == 64
    assert not module.net.training
    assert not any(p.requires_grad for p in module.net.parameters())


@pytest.mark.parametrize(
    ("make", "padding"), [(swinir, Padding("flip_always", 8)), (hat, Padding("multiple", 16))], ids=["swinir", "hat"]
)
def test_padding_follows_the_authors_script(
    tmp_path: Path, lq: Tensor, make: Callable[[], nn.Module], padding: Padding
) -> None:
    net = make()
    module = SpandrelSR(weights=saved({"params_ema": net.state_dict()}, tmp_path / "x.pth"), name="Mine")
    module.prepare()
    assert module.padding == padding
    with torch.no_grad():
        wanted = net(padding.apply(lq))[..., :64, :84].clamp(0, 1)
        assert torch.equal(module.upscale(lq), wanted)
    assert module.method == "Mine"


def test_padding_can_be_chosen(tmp_path: Path, lq: Tensor) -> None:
    weights = saved(esrgan().state_dict(), tmp_path / "x.pth")
    module = SpandrelSR(weights=weights, pad="flip_always", pad_multiple=8)
    module.prepare()
    plain = SpandrelSR(weights=weights, pad="none")
    plain.prepare()
    with torch.no_grad():
        assert module.upscale(lq).shape == (1, 3, 64, 84)
        assert not torch.equal(module.upscale(lq), plain.upscale(lq))
    with pytest.raises(InputError, match="pad multiple needs a multiple"):
        SpandrelSR(pad="multiple")


def test_the_entry_of_the_file_can_be_chosen(tmp_path: Path, lq: Tensor) -> None:
    plain, averaged = esrgan(seed=1), esrgan(seed=2)
    weights = saved({"params": plain.state_dict(), "params_ema": averaged.state_dict()}, tmp_path / "ldl.pth")
    for key, net in {None: averaged, "params": plain, "params_ema": averaged}.items():
        module = SpandrelSR(weights=weights, weights_key=key)
        module.prepare()
        with torch.no_grad():
            assert torch.equal(module.upscale(lq), net(lq).clamp(0, 1))
    with pytest.raises(InputError, match="no entry 'generator'"):
        SpandrelSR(weights=weights, weights_key="generator").prepare()


def test_a_file_of_another_scale_is_refused(tmp_path: Path) -> None:
    weights = saved(esrgan(scale=2).state_dict(), tmp_path / "x2.pth")
    with pytest.raises(InputError, match="x2 ESRGAN, asked for x4; set scale to 2"):
        SpandrelSR(weights=weights).prepare()
    module = SpandrelSR(weights=weights, scale=2)
    module.prepare()
    assert module.upscale(torch.rand(1, 3, 8, 8)).shape == (1, 3, 16, 16)


def test_grey_networks_are_refused(tmp_path: Path) -> None:
    net = Compact(num_in_ch=1, num_out_ch=1, num_feat=8, num_conv=2, upscale=4)
    with pytest.raises(InputError, match="does not restore colour images"):
        SpandrelSR(weights=saved(net.state_dict(), tmp_path / "grey.pth")).prepare()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"head.weight": torch.rand(3)}, "spandrel recognises no architecture"),
        ({"conv_first.weight": torch.rand(3, 3, 3, 3)}, "spandrel recognises no architecture"),
        ({k: v[:1] for k, v in esrgan().state_dict().items()}, "do not fit the architecture"),
        ({"conv_first.weight": torch.full((3,), torch.nan)}, "NaN"),
        ([1, 2], "no tensors by name"),
    ],
    ids=["unknown", "unknown2", "damaged", "nan", "list"],
)
def test_files_that_cannot_be_used_are_one_line(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        SpandrelSR(weights=saved(content, tmp_path / "x.pth")).prepare()
    assert str(tmp_path / "x.pth") in str(caught.value)
    assert "\n" not in str(caught.value)


class _Shell:
    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.marker,)


def test_code_in_a_pickle_is_not_executed(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    weights = saved({"params": esrgan().state_dict(), "extra": _Shell(str(marker))}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="nothing in it was executed"):
        SpandrelSR(weights=weights).prepare()
    assert not marker.exists()


def test_without_a_checkpoint_it_says_what_it_needs() -> None:
    with pytest.raises(InputError, match=r"none is given; add --model\.init_args\.weights FILE"):
        SpandrelSR().parts()
    assert SpandrelSR().method == "SpandrelSR"


def test_lower_precision(tmp_path: Path, lq: Tensor) -> None:
    weights = saved(esrgan().state_dict(), tmp_path / "x.pth")
    full, half = SpandrelSR(weights=weights), SpandrelSR(weights=weights, precision="bfloat16")
    sr = half.upscale(lq)
    assert sr.dtype == torch.float32
    assert 0 < (sr - full.upscale(lq)).abs().max() < 0.1
    weights = saved(swinir().state_dict(), tmp_path / "s.pth")
    with pytest.raises(InputError, match=r"SwinIR does not run in torch\.float16"):
        SpandrelSR(weights=weights, precision="float16").prepare()


def test_it_cannot_be_trained() -> None:
    with pytest.raises(InputError, match="SpandrelSR has nothing to train"):
        SpandrelSR().configure_optimizers()


def test_names_become_paths_and_are_checked() -> None:
    with pytest.raises(InputError, match="cannot be used as a method name"):
        SpandrelSR(name="../up")
