"""KDSR: its sizes, the released layout, the teacher's view, distillation, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.contracts import Batch
from srbench.cost import count_macs
from srbench.errors import InputError
from srbench.modules import KDSR, KDSRTeacher
from srbench.modules.kdsr.layout import CONSTANTS
from srbench.modules.kdsr.net import RGB_MEAN, Filter, KDSRNet
from srbench.modules.kdsr.student import distillation

SMALL: dict[str, Any] = {"features": 4, "blocks": 2, "encoder_blocks": 1}


def released(inner: int = 3, *, teacher: bool = False, tail: tuple[int, ...] = (0, 2)) -> dict[str, Tensor]:
    """A seeded checkpoint with the authors' names and shapes, of 4 features, 2 blocks and 1 block of the encoder."""
    shapes: dict[str, tuple[int, ...]] = {"G.head.0": (4, 3), "G.body.1": (4, 4), "G.tail.1": (3, 4)}
    shapes |= {f"G.tail.0.{i}": (16, 4) for i in tail}
    shapes |= {f"G.body.0.body.{i}.conv1": (4, 4) for i in range(2)}
    encoder = "E" if teacher else "E_st"
    widths = {0: (4, inner), 3: (8, 4), 5: (8, 8), 7: (16, 8)}
    shapes |= {f"{encoder}.E.{i}": shape for i, shape in widths.items()}
    shapes |= {f"{encoder}.E.2.body.{i}": (4, 4) for i in (0, 2)}
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, (outer, of) in shapes.items():
        state[f"{name}.weight"] = torch.randn(outer, of, 3, 3, generator=generator) / (9 * of) ** 0.5
        state[f"{name}.bias"] = torch.randn(outer, generator=generator) / 5
    for name, (outer, of) in {"mlp.0": (16, 16), "mlp.2": (16, 16), "compress.0": (4, 16)}.items():
        state[f"{encoder}.{name}.weight"] = torch.randn(outer, of, generator=generator) / of**0.5
        state[f"{encoder}.{name}.bias"] = torch.randn(outer, generator=generator)
    for i in range(2):
        for j, outer in ((0, 4), (2, 36)):
            state[f"G.body.0.body.{i}.da_conv1.kernel.{j}.weight"] = torch.randn(outer, 4, generator=generator)
    for sign, name in ((-1, "sub"), (1, "add")):
        state[f"G.{name}_mean.weight"] = torch.eye(3).view(3, 3, 1, 1)
        state[f"G.{name}_mean.bias"] = sign * torch.tensor(RGB_MEAN)
    return state


def theirs(s: dict[str, Tensor], lq: Tensor) -> Tensor:
    """The student of one image, written from the released definition on the released names."""

    def conv(name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, s[f"{name}.weight"], s[f"{name}.bias"], padding=1)

    def act(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.1 * x)

    x = act(conv("E_st.E.0", lq))
    x = x + conv("E_st.E.2.body.2", act(conv("E_st.E.2.body.0", x)))
    for i in (3, 5, 7):
        x = act(conv(f"E_st.E.{i}", x))
    v = x.mean((2, 3))
    for name in ("mlp.0", "mlp.2", "compress.0"):
        v = act(F.linear(v, s[f"E_st.{name}.weight"], s[f"E_st.{name}.bias"]))
    mean = torch.tensor(RGB_MEAN).view(1, 3, 1, 1)
    first = x = conv("G.head.0", lq - mean)
    for i in range(2):
        of = f"G.body.0.body.{i}"
        kernels = F.linear(act(F.linear(v, s[f"{of}.da_conv1.kernel.0.weight"])), s[f"{of}.da_conv1.kernel.2.weight"])
        filtered = F.conv2d(x, kernels.view(4, 1, 3, 3), padding=1, groups=4)
        x = x + conv(f"{of}.conv1", act(filtered))
    x = conv("G.body.1", x) + first
    for i in (0, 2):
        x = F.pixel_shuffle(conv(f"G.tail.0.{i}", x), 2)
    return conv("G.tail.1", x) + mean


def test_the_published_size_and_cost() -> None:
    with torch.device("meta"):
        net = KDSR().net
    assert isinstance(net, KDSRNet)
    sizes = [sum(p.numel() for p in part.parameters()) for part in (net.generator, net.encoder)]
    assert sizes == [14_415_107, 4_430_976]  # the released files count the mean colour's 24 numbers too
    assert round(count_macs(net, (1, 3, 256, 256)) / 1e9) == 867


def test_the_released_layout_gives_the_released_image(tmp_path: Path) -> None:
    state = released()
    torch.save({"params_ema": state}, tmp_path / "KDSRS-GAN.pth")
    module = KDSR(**SMALL)
    module.load_upstream(tmp_path / "KDSRS-GAN.pth")
    lq = torch.rand(2, 3, 7, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = module.net(lq)
        wanted = torch.cat([theirs(state, image[None]) for image in lq])
    assert ours.shape == (2, 3, 28, 24)
    torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("E.mlp.0.weight", "another network than KDSRNet"),  # as the teacher's; not dropped although upstream would
        ("G.more.weight", r"1 unknown \(first G\.more\.weight\)"),
    ],
)
def test_no_other_key_is_dropped(tmp_path: Path, name: str, said: str) -> None:
    state = released()
    if name.startswith("E."):
        state = released(51, teacher=True)
    else:
        state[name] = torch.zeros(1)
    torch.save({"params_ema": state}, tmp_path / "file.pth")
    with pytest.raises(InputError, match=said):
        KDSR(**SMALL).load_upstream(tmp_path / "file.pth")


def test_another_mean_colour_is_refused(tmp_path: Path) -> None:
    assert set(CONSTANTS) < set(released())
    state = released()
    state["G.add_mean.bias"] = 255 * state["G.add_mean.bias"]
    torch.save({"params_ema": state}, tmp_path / "file.pth")
    with pytest.raises(InputError, match=r"G\.add_mean\.bias is not the mean colour"):
        KDSR(**SMALL).load_upstream(tmp_path / "file.pth")


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_scales(scale: int) -> None:
    assert KDSRNet(scale, 4, 1, 1)(torch.rand(1, 3, 5, 4)).shape == (1, 3, 5 * scale, 4 * scale)


def test_every_image_has_filters_of_its_own() -> None:
    layer = Filter(4)
    x, degradation = torch.rand(3, 4, 6, 5), torch.randn(3, 4)
    with torch.no_grad():
        single = torch.cat([layer(a[None], b[None]) for a, b in zip(x, degradation, strict=True)])
        torch.testing.assert_close(layer(x, degradation), single, atol=1e-6, rtol=1e-5)
        assert not torch.allclose(layer(x[:1], degradation[:1]), layer(x[:1], degradation[1:2]))


def test_distillation_is_the_divergence_of_the_softmaxes() -> None:
    student, teacher = torch.tensor([[0.1, 0.2], [0.0, 0.3]]), torch.tensor([[0.2, 0.1], [0.0, 0.3]])
    p, q = (teacher / 0.15).softmax(1), (student / 0.15).softmax(1)
    wanted = (p * (p / q).log()).sum() / 2
    torch.testing.assert_close(distillation(student, teacher, 0.15), wanted)
    assert distillation(teacher, teacher, 0.15).abs() < 1e-6


def test_the_teacher_looks_at_gt_and_its_rows_are_not_ranked() -> None:
    module = KDSRTeacher(**SMALL)
    lq, gt = torch.rand(1, 3, 6, 6), torch.rand(1, 3, 24, 24)
    sr = module.restore(Batch(lq=lq, gt=gt, name=["a"]))
    assert sr.shape == gt.shape
    assert not torch.equal(sr, module.restore(Batch(lq=lq, gt=gt.flip(-1), name=["a"])))
    with pytest.raises(InputError, match="needs gt beside lq"):
        module.restore(Batch(lq=lq, name=["a"]))
    module.setup("fit")
    assert module.marks == ()
    module.setup("test")
    assert module.marks == ("oracle",)


def test_the_student_starts_from_its_teacher(tmp_path: Path) -> None:
    state = released(51, teacher=True)
    torch.save({"params_ema": state}, tmp_path / "KDSRT-rec.pth")
    module = KDSR(pretrained=str(tmp_path / "KDSRT-rec.pth"), **SMALL)
    module.setup("fit")
    assert isinstance(module.net, KDSRNet)
    assert torch.equal(module.net.generator.head.weight, state["G.head.0.weight"])
    assert module.teacher is not None
    assert torch.equal(module.teacher.net.encoder.mlp[0].weight, state["E.mlp.0.weight"])
    assert not any("teacher" in name for name in module.state_dict())
    batch = Batch(lq=torch.rand(2, 3, 8, 8), gt=torch.rand(2, 3, 32, 32), name=["a", "b"])
    module.generate(batch)
    loss = module.distilled()["l_kd"]
    loss.backward()
    assert all(p.grad is None for p in module.teacher.net.parameters())
    assert module.net.encoder.mlp[0].weight.grad is not None
    assert module.distilled() == {}


def test_a_missing_teacher_is_named() -> None:
    with pytest.raises(InputError, match=r"runs/none\.ckpt.*methods/kdsr/1_teacher\.yaml"):
        KDSR(pretrained="runs/none.ckpt", **SMALL).setup("fit")
    module = KDSR(allow_random_backbones=True, **SMALL)
    module.setup("fit")
    assert module.marks == ("random_backbones",)


def test_tiles_are_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match="KDSR is not tiled: it filters by the degradation of the whole image"):
        KDSR(tile=32)
