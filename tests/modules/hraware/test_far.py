"""FAR against its formulas, its units and its rival; the encoders it looks through against their authors' code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.hraware.far import ConstantAlignment, FeatureAlignment, gram, statistics
from srbench.modules.hraware.far_encoder import CLIP_CHANNELS, CLIPEncoder, FarEncoder, make_encoder
from srbench.modules.losses.perceptual import VGG19Features, draw_values
from srbench.modules.nets.edsr import EDSRNet


def _rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _params(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


# ------------------------------------------------------------------------------------------------------- Eqs. 9 to 11


def test_the_descriptor_is_of_the_gram_matrix() -> None:
    features = _rand(2, 3, 4, 5) - 0.5
    matrix = torch.stack([f.flatten(1) @ f.flatten(1).T for f in features]) / (3 * 4 * 5)
    torch.testing.assert_close(gram(features), matrix)
    mean, most = statistics(features)
    torch.testing.assert_close(mean, matrix.mean(1))
    torch.testing.assert_close(most, matrix.max(1).values)
    turned = statistics(features.flip(-1).transpose(2, 3))  # where things are does not matter
    torch.testing.assert_close(turned[0], mean)


def test_the_maps_have_66560_parameters() -> None:
    assert _params(FeatureAlignment(64, 512)) == 66_560


def _filled(calibrated: bool) -> tuple[FeatureAlignment, Tensor, Tensor]:
    torch.manual_seed(0)
    far, e_im, e_cl = FeatureAlignment(3, 5), _rand(2, 3, 6, 6), 0.01 * _rand(2, 5, 4, 4, seed=1)
    for parameter in far.parameters():
        nn.init.normal_(parameter)
    if calibrated:
        far.calibrate(e_im, e_cl)
    return far, e_im, e_cl


@pytest.mark.parametrize("calibrated", [False, True])
def test_phi_is_eq_11_per_sample(calibrated: bool) -> None:
    far, e_im, e_cl = _filled(calibrated)
    assert bool(far.units.any()) == calibrated
    u = far.in_use()
    (a, m), (wa, wm) = statistics(e_im), statistics(e_cl)
    wanted = [
        (far.t_avg(a[i] / u[0, 0]) * u[0, 1] - wa[i]).norm() + (far.t_max(m[i] / u[1, 0]) * u[1, 1] - wm[i]).norm()
        for i in (0, 1)
    ]
    torch.testing.assert_close(far(e_im, e_cl), torch.stack(wanted))


def test_phi_begins_as_the_size_of_the_descriptors_and_units_do_not_change_that() -> None:
    far, e_cl = FeatureAlignment(3, 5), _rand(2, 5, 4, 4)
    size = sum(part.norm(dim=1) for part in statistics(e_cl))
    torch.testing.assert_close(far(_rand(2, 3, 6, 6), e_cl), size)
    far.calibrate(_rand(2, 3, 6, 6), e_cl)
    torch.testing.assert_close(far(_rand(2, 3, 6, 6), e_cl), size)
    torch.testing.assert_close(far.units[0, 1], statistics(e_cl)[0].square().mean().sqrt())


def test_units_are_set_once_and_kept_in_the_state() -> None:
    far, e_im, e_cl = _filled(calibrated=True)
    units = far.units.clone()
    far.calibrate(7 * e_im, 3 * e_cl)
    assert torch.equal(far.units, units)
    assert torch.equal(far.state_dict()["units"], units)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_learning_goes_as_well_with_features_of_any_size(size: float) -> None:
    """Without units, Adam's steps are as large as all of CLIP's descriptors, and too small for EDSR's."""
    torch.manual_seed(0)
    far, mix = FeatureAlignment(4, 6), torch.randn(6, 4)
    optimizer = torch.optim.Adam(far.parameters(), lr=1e-2)
    history = []
    for step in range(150):
        e_im = _rand(4, 4, 6, 6, seed=step) * torch.linspace(0.5, 1.5, 4).view(4, 1, 1, 1)
        e_cl = size * torch.einsum("oc,bchw->bohw", mix, e_im)
        far.calibrate(e_im, e_cl)
        loss = far(e_im, e_cl).mean()
        optimizer.zero_grad()
        (loss / size**2).backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.25 * history[0]


def test_gradients_reach_both_features_and_survive_a_perfect_fit() -> None:
    far, e_im, e_cl = _filled(calibrated=False)
    e_im.requires_grad_()
    e_cl.requires_grad_()
    far(e_im, e_cl).sum().backward()
    assert bool(e_im.grad.any())  # type: ignore[union-attr]
    assert bool(e_cl.grad.any())  # type: ignore[union-attr]
    still = FeatureAlignment(3, 5)
    still(e_im, torch.zeros_like(e_cl)).sum().backward()  # 0 = 0: the norm's corner
    assert all(bool(torch.isfinite(p.grad).all()) for p in still.parameters() if p.grad is not None)


def test_the_constants_learn_the_mean_descriptor_and_teach_nothing_else() -> None:
    far, constant = FeatureAlignment(3, 5), ConstantAlignment(5)
    e_im, e_cl = _rand(2, 3, 6, 6), _rand(2, 5, 4, 4).requires_grad_()
    far.calibrate(e_im, e_cl)
    torch.testing.assert_close(constant(e_cl, far.in_use()), far(e_im, e_cl))  # both begin at 0
    constant(e_cl, far.in_use()).sum().backward()
    assert e_cl.grad is None
    optimizer = torch.optim.Adam(constant.parameters(), lr=2e-2)
    one = e_cl[:1].detach()
    before = constant(one, far.in_use()).item()
    for _ in range(300):
        optimizer.zero_grad()
        loss = constant(one, far.in_use()).sum()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 * before


# ------------------------------------------------------------------------------------------------------ the encoders


def _published(path: Path) -> nn.Module:
    """OpenAI's visual network with drawn values, as RN50.pt holds it: a TorchScript archive in half precision."""
    model = pytest.importorskip("pyiqa.archs.clip_model")
    torch.manual_seed(1)
    net = model.ModifiedResNet((3, 4, 6, 3), 1024, 32, 224, 64).eval()
    for name, tensor in net.state_dict().items():
        if "running" in name or (tensor.dim() == 1 and tensor.is_floating_point()):
            tensor.uniform_(0.3, 1.2)
    holder = nn.Module()
    holder.visual = net.half()
    torch.jit.save(torch.jit.script(_Holder(holder)), path)
    return net.float()


class _Holder(nn.Module):
    """Enough of an archive: a module tree below ``visual`` that scripting leaves alone."""

    def __init__(self, held: nn.Module) -> None:
        super().__init__()
        self.visual = _Tree(held.visual)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x


class _Tree(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        for name, parameter in net.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, buffer in net.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        for name, child in net.named_children():
            if list(child.state_dict()):
                self.add_module(name, _Tree(child))

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_clips_maps_equal_openais_code_on_its_archive(tmp_path: Path) -> None:
    theirs: Any = _published(tmp_path / "RN50.pt")
    image = _rand(1, 3, 75, 110)  # odd maps on the way
    mean, std = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    x = (image - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    for i in (1, 2, 3):
        x = torch.relu(getattr(theirs, f"bn{i}")(getattr(theirs, f"conv{i}")(x)))
    maps = {"stem": theirs.avgpool(x)}
    for i in (1, 2, 3, 4):
        maps[f"layer{i}"] = getattr(theirs, f"layer{i}")(list(maps.values())[-1])
    for layer in ("stem", "layer2", "layer4"):
        encoder = make_encoder("clip", layer)
        encoder.fill(tmp_path / "RN50.pt")
        found = encoder.eval()(image)
        assert found.shape[1] == encoder.channels == CLIP_CHANNELS[layer]
        torch.testing.assert_close(found, maps[layer], rtol=1e-4, atol=1e-5 * float(maps[layer].abs().max()))


def test_clips_visual_half_has_38316896_parameters() -> None:
    pytest.importorskip("timm")
    with torch.device("meta"):
        assert _params(CLIPEncoder()) == 38_316_896


def test_an_archive_of_another_network_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    holder = nn.Module()
    holder.visual = nn.Sequential(nn.Conv2d(3, 4, 3))
    torch.jit.save(torch.jit.script(_Holder(holder)), tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"x.pt.*another network"):
        make_encoder("clip").fill(tmp_path / "x.pt")
    (tmp_path / "y.pt").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"y.pt.*damaged"):
        make_encoder("clip").fill(tmp_path / "y.pt")


def test_vgg19_gives_conv3_4_before_its_relu(tmp_path: Path) -> None:
    net = VGG19Features(["conv3_4", "conv5_4"]).to_empty(device="cpu")
    draw_values(net)
    torch.save({**net.state_dict(), "classifier.0.weight": torch.zeros(1)}, tmp_path / "vgg19.pth")
    encoder, image = make_encoder("vgg19"), _rand(1, 3, 32, 40)
    encoder.fill(tmp_path / "vgg19.pth")
    x = (image - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    wanted = net.features[:17](x)
    found = encoder(image)
    torch.testing.assert_close(found, wanted)
    assert found.shape == (1, encoder.channels, 8, 10)
    assert found.min() < 0


def test_edsr_gives_what_its_upsampler_gets(tmp_path: Path) -> None:
    torch.manual_seed(2)
    net, seen = EDSRNet(scale=4), []
    net.upsample.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    torch.save(net.state_dict(), tmp_path / "edsr.pt")
    encoder, image = make_encoder("edsr"), _rand(1, 3, 9, 12)
    encoder.fill(tmp_path / "edsr.pt")
    net(image)
    assert torch.equal(encoder(image), seen[0])
    assert encoder.channels == seen[0].shape[1] == 64


@pytest.mark.parametrize("name", ["clip", "vgg19", "edsr"])
def test_random_encoders_are_the_same_everywhere(name: Any) -> None:
    pytest.importorskip("timm")
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        encoder: FarEncoder = make_encoder(name)
        encoder.fill(None)
        assert torch.equal(torch.get_rng_state(), before)
        image = _rand(1, 3, 33, 40).requires_grad_()
        found.append(encoder.eval()(image))
        found[-1].sum().backward()
        assert image.grad is not None
        assert bool(image.grad.any())
    assert torch.equal(*found)
    assert bool(found[0].any())


def test_unknown_encoders_and_layers_are_refused() -> None:
    with pytest.raises(InputError, match="no encoder 'dino'"):
        make_encoder("dino")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"no 'layer5'.*layer1"):
        make_encoder("clip", "layer5")  # type: ignore[arg-type]
