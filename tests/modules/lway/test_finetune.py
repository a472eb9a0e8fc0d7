"""Step 2 of LWay: what moves, what the loss is, and which step 1 fits."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.modules import SRResNet
from srbench.modules.losses.reconstruction import wavelet_weight
from srbench.modules.lway import LWayFinetune, LWayPretrain
from srbench.modules.nets.lr_reconstruction import enlarged

pytest.importorskip("lpips")
pytestmark = pytest.mark.filterwarnings("ignore:.*a random network stands in")


@pytest.fixture(autouse=True)
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SRBENCH_WEIGHTS", "TORCH_HOME", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))


def _finetune(**more: Any) -> LWayFinetune:
    torch.manual_seed(0)
    given = {"preset": "small", "allow_random_backbones": True, **more}
    module = LWayFinetune(SRResNet(features=8, blocks=1), **given)
    module.prepare()
    module.fill()
    return module


def _batch() -> Batch:
    return Batch(lq=torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(1)), name=["a", "b"])


def test_a_step_moves_the_adapted_network_and_nothing_else() -> None:
    module = _finetune()
    frozen = {name: part for name, part in module.parts().items() if name != "net"}
    assert set(frozen) == {"e_deg", "r"}
    before = {name: copy.deepcopy(part.state_dict()) for name, part in frozen.items()}
    net = module.parts()["net"]
    start = copy.deepcopy(net.state_dict())
    optimizer = module.optimizer_factory(p for p in module.parameters() if p.requires_grad)
    batch = _batch()
    losses = module.objective(batch, module.upscale(batch["lq"]))
    assert set(losses) == {"l_l1", "l_lpips"}
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()
    for name, state in before.items():
        assert all(torch.equal(state[key], frozen[name].state_dict()[key]) for key in state), name
    assert all(not torch.equal(start[key], value) for key, value in net.state_dict().items())
    assert set(module.state_dict()) == {f"net.{key}" for key in start}


def test_l1_is_of_the_enlarged_lq_weighted_by_its_detail() -> None:
    module = _finetune(lpips_weight=0.0)
    batch = _batch()
    sr = module.upscale(batch["lq"])
    losses = module.objective(batch, sr)
    target = enlarged(batch["lq"], sr)
    reconstruction = module.reconstruction.net
    e_deg, r = module.parts()["e_deg"], module.parts()["r"]
    made = r(sr, e_deg(target))
    assert list(losses) == ["l_l1"]
    assert torch.equal(losses["l_l1"], (wavelet_weight(target) * (made - target).abs()).mean())
    assert not any(parameter.requires_grad for parameter in reconstruction.parameters())


def test_one_network_is_one_network_whatever_it_is_called() -> None:
    assert _finetune().method == "SRResNet-LWay"
    assert _finetune(name="Mine").method == "Mine"


def test_step_one_is_needed_and_must_have_been_trained_alike(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"methods/lway/1_pretrain\.yaml"):
        _finetune(pretrained=str(tmp_path / "none.ckpt"))
    path = tmp_path / "one.ckpt"
    known = {"preset": "small", "recon_space": "hr", "demodulate": True}
    stage = LWayPretrain(**known)  # type: ignore[arg-type]
    held = {"pytorch-lightning_version": "2.6.6", "marks": ["random_backbones"], "state_dict": stage.state_dict()}
    torch.save({**held, "hyper_parameters": known}, path)
    module = _finetune(pretrained=str(path))
    assert module.marks == ("random_backbones",)
    assert all(torch.equal(v, module.parts()["r"].state_dict()[k]) for k, v in stage.parts()["r"].state_dict().items())
    with pytest.raises(InputError, match="trained with demodulate True, and here demodulate is False"):
        _finetune(pretrained=str(path), demodulate=False)
    torch.save({**held, "hyper_parameters": {**known, "_class_path": "srbench.modules.HRAwarePretrain"}}, path)
    with pytest.raises(
        InputError, match=r"a checkpoint of HRAwarePretrain, not of LWayPretrain; .*lway/1_pretrain\.yaml"
    ):
        _finetune(pretrained=str(path))
