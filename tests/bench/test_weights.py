import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from srbench.errors import InputError
from srbench.weights import checkpoint_marks, load_state, load_strict, read_checkpoint, state_sha256


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return nn.Conv2d(3, 4, 3).state_dict()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"params": s},
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"state_dict": {f"net.{k}": v for k, v in s.items()}, "hyper_parameters": {"scale": 4}},
        lambda s: {f"module.{k}": v for k, v in s.items()},
        lambda s: {"somebody's own key": s, "step": 1},
    ],
)
def test_published_wrappings_are_taken_off(tmp_path: Path, state: dict[str, torch.Tensor], wrap: Any) -> None:
    torch.save(wrap(state), tmp_path / "a.pth")
    found = load_state(tmp_path / "a.pth")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[k], state[k]) for k in state)


def test_params_ema_is_preferred_and_a_key_decides(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    ema = {k: v + 1 for k, v in state.items()}
    torch.save({"params": state, "params_ema": ema}, tmp_path / "a.pth")
    assert torch.equal(load_state(tmp_path / "a.pth")["bias"], ema["bias"])
    assert torch.equal(load_state(tmp_path / "a.pth", key="params")["bias"], state["bias"])
    with pytest.raises(InputError, match=r"no entry 'generator'.*params"):
        load_state(tmp_path / "a.pth", key="generator")


def test_safetensors(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    save_file(state, tmp_path / "a.safetensors")
    assert torch.equal(load_state(tmp_path / "a.safetensors")["weight"], state["weight"])


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("save", ["torch", "pickle"])
def test_code_in_a_pickle_is_never_executed(tmp_path: Path, state: dict[str, torch.Tensor], save: str) -> None:
    held = {"params": state, "extra": _Bomb(tmp_path / "executed")}
    file = tmp_path / "bomb.pth"
    if save == "torch":
        torch.save(held, file)
    else:
        file.write_bytes(pickle.dumps(held))
    with pytest.raises(InputError, match=r"bomb\.pth.*nothing in it was executed"):
        read_checkpoint(file)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04broken"])
def test_what_is_no_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.pth"):
        read_checkpoint(tmp_path / "a.pth")
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.safetensors"):
        read_checkpoint(tmp_path / "a.safetensors")


def test_missing_file_and_empty_file_of_tensors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_state(tmp_path / "none.pth")
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="no tensors"):
        load_state(tmp_path / "a.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_weights_are_refused(tmp_path: Path, state: dict[str, torch.Tensor], value: float) -> None:
    state["bias"][1] = value
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"NaN or infinity.*bias"):
        load_state(tmp_path / "a.pth")


def test_the_checkpoint_of_another_network_is_refused_in_one_line(state: dict[str, torch.Tensor]) -> None:
    net = nn.Conv2d(3, 5, 3)
    before = net.weight.clone()
    with pytest.raises(InputError) as caught:
        load_strict(net, {**state, "alien": torch.zeros(1)}, where="x.pth")
    line = str(caught.value)
    assert line.startswith("x.pth: ")
    assert "1 unknown (first alien)" in line
    assert "4x3x3x3" in line
    assert "\n" not in line
    assert torch.equal(net.weight, before)


def test_the_state_of_a_module_has_a_hash() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3)
    net = nn.Sequential(conv, nn.BatchNorm2d(4))
    first = state_sha256(net)
    assert state_sha256(net) == first
    with torch.no_grad():
        conv.weight[0, 0, 0, 0] += 1e-6
    assert state_sha256(net) != first
    assert state_sha256(nn.Conv2d(3, 4, 3).bfloat16()) != state_sha256(nn.Conv2d(3, 4, 3))


def test_a_training_checkpoint_of_several_networks_gives_the_one_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    state = {"net.a": torch.ones(1), "discriminator.a": torch.zeros(1)}
    torch.save({"state_dict": state, "pytorch-lightning_version": "2.6", "marks": ["oracle"]}, path)
    assert load_state(path) == {"a": torch.ones(1)}
    assert load_state(path, part="discriminator") == {"a": torch.zeros(1)}
    assert checkpoint_marks(path) == ("oracle",)
    torch.save({"params": state, "marks": ["oracle"]}, path)  # nobody knows what a foreign file means by marks
    assert set(load_state(path)) == set(state)
    assert checkpoint_marks(path) == ()
