"""DASR: its sizes, its two files, SRResNet in every expert, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.contracts import Batch
from srbench.cost import count_macs
from srbench.errors import InputError
from srbench.modules import DASR, DASRGAN
from srbench.modules.dasr.net import DASRNet, ExpertConv
from srbench.modules.nets.unet_discriminator import UNetDiscriminator

SMALL = {"features": 4, "blocks": 1, "experts": 3}


def seeded(net: torch.nn.Module, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(t.shape, generator=generator) / 5 for name, t in net.state_dict().items()}


def released(tmp_path: Path) -> tuple[Path, Path, DASRNet]:
    """The two files in the authors' layout, and a network that holds them."""
    net = DASRNet(4, 4, 1, 3)
    files = tmp_path / "net_g.pth", tmp_path / "net_p.pth"
    torch.save(seeded(net.restorer), files[0])  # plain
    torch.save({"params": seeded(net.predictor, 1)}, files[1])
    net.restorer.load_state_dict(torch.load(files[0]))
    net.predictor.load_state_dict(torch.load(files[1])["params"])
    return *files, net.eval()


def test_the_published_size_and_cost() -> None:
    with torch.device("meta"):
        net = DASR().net
    assert isinstance(net, DASRNet)
    sizes = [sum(p.numel() for p in part.parameters()) for part in (net.restorer, net.predictor)]
    assert sizes == [7_587_855, 468_143]
    assert round(count_macs(net, (1, 3, 256, 256)) / 1e9) == 184
    assert {"restorer.body.15.conv2.weight", "predictor.ConvNet.10.bias", "predictor.MappingNet.1.weight"} <= set(
        net.state_dict()
    )


def test_an_expert_convolution_is_that_of_the_mixed_filters() -> None:
    layer = ExpertConv(3, 5, 2)
    layer.load_state_dict(seeded(layer))
    x, mix = torch.rand(2, 3, 6, 7), torch.tensor([[0.3, -1.2], [2.0, 0.5]])
    for image, weights, out in zip(x, mix, layer(x, mix), strict=True):
        filters = weights[0] * layer.weight[0] + weights[1] * layer.weight[1]
        bias = weights[0] * layer.bias[0] + weights[1] * layer.bias[1]
        torch.testing.assert_close(out, F.conv2d(image[None], filters, bias, padding=1)[0])


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_shapes_and_an_image_does_not_depend_on_its_batch(scale: int) -> None:
    net = DASRNet(scale, 4, 1, 3)
    net.load_state_dict(seeded(net))
    lq = torch.rand(3, 3, 9, 7)
    with torch.no_grad():
        sr = net(lq)
        single = torch.cat([net(image[None]) for image in lq])
    assert sr.shape == (3, 3, 9 * scale, 7 * scale)
    torch.testing.assert_close(single, sr, atol=1e-5, rtol=1e-4)


def test_the_two_released_files_load_strictly(tmp_path: Path) -> None:
    g, p, net = released(tmp_path)
    module = DASR(predictor=str(p), **SMALL)
    module.load_upstream(g)
    lq = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(module.upscale(lq), net(lq).clamp(0, 1))
    with pytest.raises(InputError, match="another network than ExpertSRResNet"):
        module.load_upstream(p)
    swapped = DASR(predictor=str(g), **SMALL)
    with pytest.raises(InputError, match="another network than DegradationPredictor"):
        swapped.load_upstream(g)


def test_without_the_predictor_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    g, p, _ = released(tmp_path)
    with pytest.raises(InputError, match="net_p"):
        DASR(**SMALL).load_upstream(g)
    trial = DASR(allow_random_backbones=True, **SMALL)
    with pytest.warns(UserWarning, match="net_p"):
        trial.load_upstream(g)
    assert trial.marks == ("random_backbones",)
    (tmp_path / "none" / "networks").mkdir(parents=True)
    (tmp_path / "none" / "networks" / "net_p.pth").write_bytes(p.read_bytes())
    DASR(**SMALL).load_upstream(g)  # the catalogue's


def test_training_starts_from_srresnet_in_every_expert(tmp_path: Path) -> None:
    net = DASRNet(4, 4, 1, 3)
    plain = {name: t[0] for name, t in seeded(net.restorer).items()}
    torch.save({"params": plain}, tmp_path / "srresnet.pth")
    module = DASR(weights=str(tmp_path / "srresnet.pth"), **SMALL)
    module.setup("fit")
    assert isinstance(module.net, DASRNet)
    held = module.net.restorer.state_dict()
    assert all(torch.equal(held[name], torch.stack([t] * 3)) for name, t in plain.items())
    with pytest.raises(InputError, match="another network"):
        DASR(weights=str(tmp_path / "srresnet.pth"), **SMALL).setup("test")


def test_tiles_are_refused_with_the_reason() -> None:
    for build in (lambda: DASR(tile=32), lambda: DASRGAN(discriminator=UNetDiscriminator(4), tile=32)):
        with pytest.raises(
            InputError, match=r"DASR is not tiled: it mixes its experts by the degradation of the whole"
        ):
            build()


def test_training_without_recipes_is_refused() -> None:
    batch = Batch(lq=torch.rand(1, 3, 8, 8), gt=torch.rand(1, 3, 32, 32), name=["a"])
    with pytest.raises(InputError, match=r"carry_degradation: DASR learns how lq was made"):
        DASR(**SMALL).generate(batch)
    module = DASR(regression_weight=0, **SMALL)
    assert module.generate(batch).shape == (1, 3, 32, 32)
    assert module.regression() == {}
