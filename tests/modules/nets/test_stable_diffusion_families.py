"""The base models' networks: published sizes, tiny ones, the same random weights every time."""

import pytest
import torch
from torch import nn

from srbench.errors import InputError
from srbench.modules.nets import stable_diffusion as sd
from srbench.modules.nets.stable_diffusion.trained_state import load_trained_state


def _count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("family", "count", "context"), [("sd15", 859_520_964, 768), ("sd21", 865_910_724, 1024)])
def test_full_unets_have_their_published_sizes(family: str, count: int, context: int) -> None:
    with torch.device("meta"):
        net = sd.make_unet(family, "full")
    assert _count(net) == count
    assert sd.context_width(family, "full") == context
    assert net.state_dict()["mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"].shape[1] == context


def test_the_autoencoder_has_its_published_size() -> None:
    with torch.device("meta"):
        net = sd.make_vae("full")
    assert _count(net) == 83_653_863
    parts = [_count(net.get_submodule(name)) for name in ("encoder", "decoder", "quant_conv", "post_quant_conv")]
    assert (parts[0], parts[1], parts[2] + parts[3]) == (34_163_592, 49_490_179, 92)


def test_tiny_ones_have_the_size_that_tests_count_on() -> None:
    assert _count(sd.make_unet("sd15", "tiny")) == 210_860
    assert _count(sd.make_vae("tiny")) == 24_759


def test_a_random_network_is_the_same_whatever_was_drawn_before_and_draws_nothing() -> None:
    torch.manual_seed(1)
    first = torch.rand(1)
    torch.manual_seed(1)
    one = sd.make_vae("tiny").state_dict()
    assert torch.equal(torch.rand(1), first)
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(one.values(), sd.make_vae("tiny").state_dict().values(), strict=True))


def test_a_method_may_change_the_context() -> None:
    net = sd.make_unet("sd21", "tiny", cross_attention_dim=12)
    assert net.state_dict()["mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"].shape[1] == 12


@pytest.mark.parametrize(("family", "size"), [("sd51", "tiny"), ("sd15", "small")])
def test_unknown_names_are_refused(family: str, size: str) -> None:
    with pytest.raises(InputError, match=r"did you mean 'sd21'|full or tiny"):
        sd.make_unet(family, size)


# ------------------------------------------------------------------------------------------- what a checkpoint holds


def _partly() -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    net[:2].requires_grad_(False)
    return sd.keep_trained_state(net)


def test_a_partly_frozen_network_saves_what_is_trained_and_keeps_the_rest() -> None:
    owner, other = nn.ModuleDict({"net": _partly()}), nn.ModuleDict({"net": _partly()})
    state = owner.state_dict()
    assert set(state) == {"net.2.weight", "net.2.bias"}
    frozen = other["net"].get_submodule("0").get_parameter("weight").clone()
    other.load_state_dict(state)
    assert torch.equal(other["net"].get_submodule("2").get_parameter("weight"), state["net.2.weight"])
    assert torch.equal(other["net"].get_submodule("0").get_parameter("weight"), frozen)
    with pytest.raises(RuntimeError, match="Missing"):
        other.load_state_dict({"net.2.weight": state["net.2.weight"]})


def test_what_is_trained_is_asked_when_it_is_saved() -> None:
    net = _partly()
    net.get_submodule("0").requires_grad_(True)
    assert set(net.state_dict()) == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_another_file_is_not_taken_for_a_checkpoint_of_ours(tmp_path: object) -> None:
    path = f"{tmp_path}/theirs.ckpt"
    torch.save({"state_dict": {"w": torch.zeros(1)}}, path)
    assert not load_trained_state(nn.Linear(1, 1), path)
