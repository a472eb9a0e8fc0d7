"""The perceptual loss against torchvision's VGG19, and its loading."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import vgg19
from torchvision.models.vgg import cfgs, make_layers

from srbench.errors import InputError
from srbench.modules.losses.perceptual import LAYERS, PerceptualLoss, vgg19_convolutions

SHALLOW = {"conv1_2": 0.5, "conv2_1": 2.0}


@pytest.fixture
def features() -> nn.Sequential:
    """Torchvision's layers with random weights."""
    torch.manual_seed(0)
    return make_layers(cfgs["E"])


@pytest.fixture
def file(features: nn.Sequential, tmp_path: Path) -> Path:
    """They as torchvision publishes them, a small tensor standing for each of the classifier's."""
    state = {f"features.{k}": v for k, v in features.state_dict().items()}
    torch.save({**state, "classifier.0.weight": torch.zeros(1)}, tmp_path / "vgg19.pth")
    return tmp_path / "vgg19.pth"


def _images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    sr, gt = torch.rand(2, 2, 3, 64, 48, generator=generator)
    return sr.requires_grad_(), gt


def _reference(features: nn.Sequential, image: Tensor, layers: dict[str, int]) -> dict[str, Tensor]:
    """Outputs before the ReLU, one prefix of the network at a time."""
    mean, std = (torch.tensor(c).view(1, 3, 1, 1) for c in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    x = (image - mean) / std
    return {name: features[: place + 1](x) for name, place in layers.items()}


@pytest.mark.parametrize("criterion", ["l1", "l2"])
def test_value_and_gradient_equal_torchvisions_network(features: nn.Sequential, file: Path, criterion: Any) -> None:
    places = {"conv1_2": 2, "conv2_2": 7, "conv3_4": 16, "conv4_4": 25, "conv5_4": 34}
    sr, gt = _images()
    a, b = _reference(features, sr, places), _reference(features, gt, places)
    distance = F.l1_loss if criterion == "l1" else F.mse_loss
    wanted: Tensor = sum(w * distance(a[name], b[name].detach()) for name, w in LAYERS.items())  # type: ignore[assignment]
    loss = PerceptualLoss(criterion=criterion)
    loss.load(file)
    got = loss(sr, gt)
    assert got.item() == pytest.approx(wanted.item(), rel=1e-6)
    torch.testing.assert_close(*(torch.autograd.grad(value, sr)[0] for value in (got, wanted)), atol=1e-9, rtol=1e-5)


def test_convolutions_stand_where_torchvision_has_them() -> None:
    with torch.device("meta"):
        layers = vgg19(weights=None).features
    convolutions = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
    assert list(vgg19_convolutions().values()) == convolutions
    assert list(vgg19_convolutions())[-1] == "conv5_4"


def test_only_what_is_needed_is_kept(file: Path) -> None:
    loss = PerceptualLoss(SHALLOW)
    loss.load(file)
    assert sum(p.numel() for p in loss.vgg.net.parameters()) == 64 * 28 + 64 * 577 + 128 * 577
    assert sum(p.numel() for p in PerceptualLoss().vgg.net.parameters()) == 20_024_384


def test_the_network_is_frozen_and_in_no_checkpoint(file: Path) -> None:
    loss = PerceptualLoss(SHALLOW)
    assert loss.vgg.is_meta
    loss.to("cpu").load(file)
    assert not list(loss.parameters())
    assert not loss.state_dict()
    loss.train()
    assert not loss.vgg.net.training
    sr, gt = _images()
    loss(sr, gt.requires_grad_()).backward()
    assert sr.grad is not None
    assert gt.grad is None


def test_equal_images_cost_nothing(file: Path) -> None:
    loss = PerceptualLoss(SHALLOW)
    loss.load(file)
    assert loss(_images()[1], _images()[1]).item() == 0.0


def test_a_random_network_is_the_same_everywhere_and_leaves_the_generators_alone() -> None:
    losses = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        loss = PerceptualLoss(SHALLOW)
        loss.load(None)
        assert torch.equal(torch.get_rng_state(), before)
        losses.append(loss(*_images()).item())
    assert losses[0] == losses[1] > 0.01


def test_a_file_of_another_network_is_refused(file: Path, tmp_path: Path) -> None:
    state = torch.load(file)
    for name, broken, said in (
        ("missing", {k: v for k, v in state.items() if k != "features.5.bias"}, "1 keys missing"),
        ("shape", {**state, "features.0.bias": torch.zeros(3)}, "another shape"),
        ("foreign", {**state, "head.weight": torch.zeros(3)}, "1 unknown"),
        ("nan", {**state, "features.0.bias": torch.full((64,), float("nan"))}, "NaN"),
    ):
        torch.save(broken, tmp_path / f"{name}.pth")
        with pytest.raises(InputError, match=said):
            PerceptualLoss(SHALLOW).load(tmp_path / f"{name}.pth")


def test_unknown_layers_and_criteria_are_refused() -> None:
    with pytest.raises(InputError, match=r"conv3_5.*did you mean"):
        PerceptualLoss({"conv3_5": 1.0})
    with pytest.raises(InputError, match="'fro' is no criterion"):
        PerceptualLoss(criterion="fro")  # type: ignore[arg-type]
