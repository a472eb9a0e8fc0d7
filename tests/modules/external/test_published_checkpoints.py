"""Seeded random checkpoints in the layout of every published file that spandrel serves, through the shipped configs.

The padding of each authors' script is written anew here; networks are small where their architecture allows it.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from spandrel.architectures.HAT import HAT
from spandrel.architectures.SwinIR import SwinIR
from torch import Tensor, nn

from srbench import weight_files
from srbench.build import build_model
from srbench.catalog import config_names, find_config, load_stack
from srbench.errors import InputError
from srbench.modules import SpandrelSR
from srbench.modules.external.cutting import Cutting
from srbench.modules.nets.swinir import SIZES
from srbench.modules.rrdb.net import RRDBNet

State = dict[str, Tensor]
SIDES = [(19, 22), (16, 16)]
"""Odd sides, and sides that every padding's multiple divides."""


def drawn(net: nn.Module, seed: int) -> nn.Module:
    """With weights of a size that gives an image of visible contrast; buffers (masks, indices) stay."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * (0.5 / max(p[0].numel(), 16) ** 0.5))
    return net.eval()


def rrdb(scale: int, seed: int) -> nn.Module:
    return drawn(RRDBNet(scale, features=16, blocks=2), seed)  # srbench's own network: names as BasicSR has them


def swinir(size: str) -> Callable[[int, int], nn.Module]:
    def make(scale: int, seed: int) -> nn.Module:
        return drawn(
            SwinIR(
                img_size=64, embed_dim=12, depths=[2, 2], num_heads=[2, 2], window_size=8, mlp_ratio=2, upscale=scale,
                upsampler="nearest+conv", resi_connection=SIZES[size]["resi_connection"],
            ),
            seed,
        )  # fmt: skip

    return make


def hat(scale: int, seed: int) -> nn.Module:
    return drawn(
        HAT(
            img_size=64, embed_dim=12, depths=[2], num_heads=[2], window_size=16, compress_ratio=3, squeeze_factor=6,
            conv_scale=0.01, overlap_ratio=0.5, mlp_ratio=2, upscale=scale, upsampler="pixelshuffle",
            resi_connection="1conv",
        ),
        seed,
    )  # fmt: skip


def femasr(scale: int, seed: int) -> nn.Module:
    from spandrel_extra_arches.architectures.FeMaSR import FeMaSR

    return drawn(FeMaSR(codebook_params=[[32, 1024, 512]], LQ_stage=True, scale_factor=scale), seed)


def older(state: State) -> State:
    """The names of xinntao/ESRGAN and BSRGAN."""
    out = {}
    for name, tensor in state.items():
        name = re.sub(r"^body\.(\d+)\.rdb", r"RRDB_trunk.\1.RDB", name)
        out[name.replace("conv_body", "trunk_conv").replace("conv_up", "upconv").replace("conv_hr", "HRconv")] = tensor
    return out


def whole(net: nn.Module, lq: Tensor) -> Tensor:
    """test.py of ESRGAN, main_test_bsrgan.py, inference_realesrgan.py --fp32, LDL's options."""
    return net(lq)


def flipped(multiple: int) -> Callable[[nn.Module, Tensor], Tensor]:
    def restore(net: nn.Module, lq: Tensor) -> Tensor:
        """main_test_swinir.py (8), FeMaSR's test() (8 // 4 * 8)."""
        _, _, h_old, w_old = lq.shape
        h_pad = (h_old // multiple + 1) * multiple - h_old
        w_pad = (w_old // multiple + 1) * multiple - w_old
        lq = torch.cat([lq, torch.flip(lq, [2])], 2)[:, :, : h_old + h_pad, :]
        lq = torch.cat([lq, torch.flip(lq, [3])], 3)[:, :, :, : w_old + w_pad]
        return net(lq)[..., : h_old * 4, : w_old * 4]

    return restore


def reflected(net: nn.Module, lq: Tensor) -> Tensor:
    """hat_model.py, pre_process() to post_process()."""
    h, w = lq.shape[-2:]
    h_pad, w_pad = (16 - h % 16 if h % 16 else 0), (16 - w % 16 if w % 16 else 0)
    sr = net(F.pad(lq, (0, w_pad, 0, h_pad), "reflect"))
    return sr[:, :, : sr.shape[2] - h_pad * 4, : sr.shape[3] - w_pad * 4]


class Published(NamedTuple):
    """A published file: its network, how it holds it, and what the authors' script does around it."""

    make: Callable[[int, int], nn.Module]
    script: Callable[[nn.Module, Tensor], Tensor]
    keys: tuple[str, ...] = ()
    """Entries of the file, the one that counts first; the others hold other weights. None: a plain file."""
    names: Callable[[State], State] = dict
    cutting: Cutting | None = None
    rest: tuple[str, ...] = ()
    """Names of tensors that the file holds besides, which the authors' non-strict loading passes over."""


PUBLISHED = {
    "esrgan": Published(rrdb, whole, ("params",)),
    "rrdb": Published(rrdb, whole, (), older),
    "bsrgan": Published(rrdb, whole, (), older),
    "bsrnet": Published(rrdb, whole, (), older),
    "realesrgan": Published(rrdb, whole, ("params_ema",)),
    "realesrnet": Published(rrdb, whole, ("params_ema",)),
    "ldl": Published(rrdb, whole, ("params", "params_ema")),
    "swinir_m": Published(swinir("M"), flipped(8), ("params_ema",)),
    "swinir_l": Published(swinir("L"), flipped(8), ("params_ema",)),
    "swinir_m_psnr": Published(swinir("M"), flipped(8), ("params_ema",)),
    "swinir_l_psnr": Published(swinir("L"), flipped(8), ()),
    "hat": Published(hat, reflected, ("params_ema", "params"), cutting=Cutting(512, 32)),
    "hat_sharper": Published(hat, reflected, ("params_ema", "params"), cutting=Cutting(512, 32)),
    "femasr": Published(
        femasr,
        flipped(16),
        ("params",),
        cutting=Cutting(240, 16, 360_000),
        rest=("conv_semantic.0.weight", "vgg_feat_extractor.vgg_net.conv1_1.weight", "sft_fusion_group.0.scale.weight"),
    ),
}
"""By the name of the config."""


def config(name: str) -> str:
    return f"methods/spandrel/{name}.yaml"


def written(name: str, folder: Path, scale: int = 4, keys: tuple[str, ...] | None = None) -> tuple[str, nn.Module]:
    """A file as the authors' of that name, and the network that counts in it."""
    held = PUBLISHED[name]
    if name == "femasr":
        pytest.importorskip("spandrel_extra_arches")
    keys = held.keys if keys is None else keys
    nets = [held.make(scale, seed) for seed in range(max(len(keys), 1))]
    states = [held.names(dict(net.state_dict())) for net in nets]
    for state in states:
        state.update({extra: torch.ones(2, 2) for extra in held.rest})
    file = folder / f"{name}.pth"
    torch.save(dict(zip(keys, states, strict=True)) if keys else states[0], file)
    return str(file), nets[0]


def built(name: str, file: str, *more: str) -> SpandrelSR:
    """The shipped config with nothing but ``weights`` set (and ``more``)."""
    module = build_model(load_stack([config(name)]), [f"--model.init_args.weights={file}", *more])
    assert isinstance(module, SpandrelSR)
    module.prepare()
    return module


def test_every_config_is_tried() -> None:
    assert {config(name) for name in PUBLISHED} | {config("test")} == set(config_names("methods/spandrel"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shipped_config_restores_as_the_authors_script(tmp_path: Path, name: str) -> None:
    file, net = written(name, tmp_path)
    module = built(name, file)
    assert module.cutting == PUBLISHED[name].cutting
    for height, width in SIDES:
        lq = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height))
        with torch.no_grad():
            wanted = PUBLISHED[name].script(net, lq).clamp(0, 1)
            sr = module.restore({"lq": lq, "name": ["image"]})
        torch.testing.assert_close(sr, wanted, atol=1e-6, rtol=0)
        assert wanted.shape == (1, 3, height * 4, width * 4)
        assert ((wanted > 0) & (wanted < 1)).float().mean() > 0.1, "clamping would hide differences"
        assert wanted.std() > 1e-3


@pytest.mark.parametrize("name", PUBLISHED)
def test_another_scale_is_refused(tmp_path: Path, name: str) -> None:
    file, _ = written(name, tmp_path, scale=2)
    with pytest.raises(InputError, match=r"it is a x2 \w+, asked for x4; set scale to 2") as caught:
        built(name, file)
    assert file in str(caught.value)


@pytest.mark.parametrize("name", ["esrgan", "realesrgan", "ldl", "swinir_m", "hat"])
def test_a_file_without_the_entry_is_refused(tmp_path: Path, name: str) -> None:
    """Never another entry in silence: LDL's moving average is not what its authors test."""
    [wanted, *_] = PUBLISHED[name].keys
    other = "params" if wanted == "params_ema" else "params_ema"
    file, _ = written(name, tmp_path, keys=(other,))
    with pytest.raises(InputError, match=rf"no entry '{wanted}' .*entries with tensors: \['{other}'\]"):
        built(name, file)


@pytest.mark.parametrize("name", ["swinir_m_psnr", "swinir_l_psnr", "rrdb"])
@pytest.mark.parametrize("keys", [(), ("params_ema", "params"), ("params",)], ids=["plain", "both", "params"])
def test_files_of_several_wrappings_are_taken(tmp_path: Path, name: str, keys: tuple[str, ...]) -> None:
    file, net = written(name, tmp_path, keys=keys)
    lq = torch.rand(1, 3, 16, 19, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        wanted = PUBLISHED[name].script(net, lq).clamp(0, 1)
        torch.testing.assert_close(built(name, file).upscale(lq), wanted, atol=1e-6, rtol=0)


def test_esrgans_first_file_needs_no_entry(tmp_path: Path) -> None:
    net = rrdb(4, 0)
    torch.save(older(dict(net.state_dict())), tmp_path / "RRDB_ESRGAN_x4.pth")
    module = built("esrgan", str(tmp_path / "RRDB_ESRGAN_x4.pth"), "--model.init_args.weights_key=null")
    lq = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(module.upscale(lq), net(lq).clamp(0, 1), atol=1e-6, rtol=0)


def test_real_esrgans_script_runs_in_half_precision(tmp_path: Path) -> None:
    file, net = written("realesrgan", tmp_path)
    lq = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        full = built("realesrgan", file).upscale(lq)
        half = built("realesrgan", file, "--model.init_args.precision=float16").upscale(lq)
        wanted = net.half()(lq.half()).float().clamp(0, 1)
    torch.testing.assert_close(half, wanted, atol=5e-3, rtol=0)
    assert 0 < (half - full).abs().max() < 2e-2


@pytest.mark.parametrize("name", PUBLISHED)
def test_config_and_catalogue_tell_of_one_file(name: str) -> None:
    weight = weight_files.find(name)
    arguments: dict[str, Any] = load_stack([config(name)])["model"]["init_args"]
    assert f"spandrel/{name}" in weight.used_by
    assert weight.file in arguments["published"]
    assert weight.file in find_config(config(name)).read_text(encoding="utf-8").partition("model:")[0]
    assert not weight.url or arguments["published"].startswith(("https://", weight.file))
    assert arguments["precision"] == "float32"
