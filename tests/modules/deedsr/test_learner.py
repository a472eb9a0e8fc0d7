"""The encoder: its sizes, and every file that holds one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.deedsr import DeeDSRLearner
from srbench.modules.deedsr.learner import DegradationLearner, load_learner


@pytest.mark.parametrize(
    ("preset", "count", "channels"), [("basic34", 85_011_008, 1024), ("resnet50", 23_508_032, 2048)]
)
def test_sizes(preset: str, count: int, channels: int) -> None:
    with torch.device("meta"):
        learner = DegradationLearner(preset)
        lq = torch.empty(2, 3, 64, 48)
    assert sum(p.numel() for p in learner.parameters()) == count
    assert learner(lq).shape == (2, learner.channels) == (2, channels)
    assert learner.features(torch.empty(1, 3, 128, 128, device="meta")).shape == (1, channels, 4, 4)


def test_resnet50_is_torchvisions_without_its_classifier() -> None:
    from torchvision.models import resnet50

    torch.manual_seed(0)
    theirs = resnet50(num_classes=5).eval()
    learner = DegradationLearner("resnet50").eval()
    learner.load_state_dict({k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")})
    theirs.fc = nn.Identity()
    lq = torch.rand(1, 3, 33, 40)
    with torch.no_grad():
        torch.testing.assert_close(learner(lq), theirs(lq))


def test_it_sees_the_image_and_not_its_neighbours() -> None:
    torch.manual_seed(0)
    learner, lq = DegradationLearner("small").eval(), torch.rand(3, 3, 40, 33)
    with torch.no_grad():
        together = learner(lq)
        torch.testing.assert_close(together[1:2], learner(lq[1:2]))
    assert together.shape == (3, 32)
    assert not torch.allclose(together.norm(dim=1), torch.ones(3))  # the representation is not normalised


def test_an_unknown_preset_is_told_its_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'resnet50'"):
        DegradationLearner("resnet5")


# -------------------------------------------------------------------------------------------------- files that hold one


def _moco(learner: DegradationLearner, prefix: str = "module.") -> dict[str, Tensor]:
    """As the released script keeps it: two encoders with heads, of which the keys' has other values, and the queue."""
    state = {f"{prefix}encoder_q.{k}": v for k, v in learner.state_dict().items()}
    state |= {f"{prefix}encoder_k.{k}": v + 1 for k, v in learner.state_dict().items()}
    heads = {"fc.0.weight": (32, 32), "fc.0.bias": (32,), "fc.2.weight": (64, 32), "fc.2.bias": (64,)}
    for encoder in ("encoder_q", "encoder_k"):
        state |= {f"{prefix}{encoder}.{name}": torch.zeros(size) for name, size in heads.items()}
    return {**state, f"{prefix}queue": torch.zeros(64, 8), f"{prefix}queue_ptr": torch.zeros(1, dtype=torch.int64)}


def _layouts(learner: DegradationLearner) -> dict[str, Any]:
    state = learner.state_dict()
    script = {"epoch": 3, "arch": "resnet50", "state_dict": _moco(learner), "optimizer": {"state": {}}}
    whole = {f"Encoder_degrad.degrad_encoder.{k}": v for k, v in state.items()}
    whole |= {"Encoder_degrad.time_embed.0.weight": torch.ones(2), "model.diffusion_model.out.0.bias": torch.ones(1)}
    return {"script": script, "tool": state, "model": {"state_dict": whole}, "bare": _moco(learner, "")}


@pytest.mark.parametrize("layout", ["script", "tool", "model", "bare"])
def test_every_released_layout_loads(tmp_path: Path, layout: str) -> None:
    torch.manual_seed(0)
    theirs, own = DegradationLearner("small"), DegradationLearner("small")
    assert not torch.equal(theirs.conv1.weight, own.conv1.weight)
    torch.save(_layouts(theirs)[layout], tmp_path / "file.pth.tar")
    load_learner(own, str(tmp_path / "file.pth.tar"))
    assert all(torch.equal(v, theirs.state_dict()[k]) for k, v in own.state_dict().items())


def test_stage_1s_checkpoint_loads(tmp_path: Path) -> None:
    module, own = DeeDSRLearner(preset="small", channels=8, queue=8), DegradationLearner("small")
    for tensor in module.key_net.state_dict().values():
        tensor.add_(1)
    torch.save({"state_dict": module.state_dict(), "pytorch-lightning_version": "2.6"}, tmp_path / "last.ckpt")
    load_learner(own, str(tmp_path / "last.ckpt"))
    assert all(torch.equal(v, module.net.state_dict()[k]) for k, v in own.state_dict().items())


def test_stage_1_goes_on_from_a_released_encoder(tmp_path: Path) -> None:
    theirs = DegradationLearner("small")
    torch.save(_layouts(theirs)["script"], tmp_path / "theirs.pth.tar")
    module = DeeDSRLearner(preset="small", channels=8, queue=8, weights=str(tmp_path / "theirs.pth.tar"))
    module.prepare()
    for net in (module.net, module.key_net):
        assert all(torch.equal(v, theirs.state_dict()[k]) for k, v in net.state_dict().items())


def _without(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if k != name}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: _without("module.encoder_q.conv1.weight", s), "1 keys missing .first conv1.weight"),
        (lambda s: {**s, "module.encoder_q.extra": torch.ones(1)}, "1 unknown .first extra"),
        (lambda s: {**s, "module.decoder.weight": torch.ones(1)}, "unknown"),
        (lambda s: {**s, "module.encoder_q.conv1.weight": torch.ones(1)}, "1 of another shape"),
        (lambda s: {**s, "module.encoder_q.bn1.bias": torch.full((8,), float("nan"))}, "hold NaN"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    torch.save({"state_dict": change(_moco(DegradationLearner("small")))}, tmp_path / "file.pth.tar")
    with pytest.raises(InputError, match=said):
        load_learner(DegradationLearner("small"), str(tmp_path / "file.pth.tar"))
