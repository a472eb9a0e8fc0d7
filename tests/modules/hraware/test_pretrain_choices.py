"""Stage 1: the parts it has by its options, and the choices and absent weights it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from srbench.describe_command import describe
from srbench.errors import InputError
from srbench.modules.hraware.pretrain import HRAwarePretrain

pytest.importorskip("timm")
pytest.importorskip("lpips")
pytestmark = pytest.mark.filterwarnings("ignore:.*a random network stands in")


@pytest.fixture(autouse=True)
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SRBENCH_WEIGHTS", "TORCH_HOME", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))


def test_describe_lists_the_parts_of_the_paper() -> None:
    parts = describe(["methods/hraware/1_pretrain.yaml"], [], (64, 64))["parts"]
    sizes = {name: part["params"] for name, part in parts.items()}
    papers = {"e_img": 444_928, "e_deg": 4_724_864, "r": 797_511, "far": 66_560}
    assert sizes == {**papers, "r_entry": 64 * 16 * 64 + 64, "far_constant": 1024, "far_encoder": 38_316_896}
    assert parts["far_encoder"]["trainable"] == 0
    assert all(parts[name]["trainable"] == size for name, size in papers.items())


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        (["--model.init_args.recon_space=hr"], {"e_img", "e_deg", "r", "far", "far_constant", "far_encoder"}),
        (["--model.init_args.use_far=false"], {"e_img", "e_deg", "r", "r_entry"}),
    ],
)
def test_parts_that_an_option_leaves_out(given: list[str], sizes: set[str]) -> None:
    assert set(describe(["methods/hraware/1_pretrain.yaml"], given, (64, 64))["parts"]) == sizes


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({"far_encoder": "vgg19"}, 65 * 256 * 2),
        ({"far_encoder": "edsr"}, 65 * 64 * 2),
        ({"clip_layer": "layer1"}, 65 * 256 * 2),
        ({"clip_layer": "layer4"}, 65 * 2048 * 2),
    ],
)
def test_the_maps_fit_the_encoder(given: dict[str, Any], size: int) -> None:
    with torch.device("meta"):
        module = HRAwarePretrain(**given)
    assert sum(p.numel() for p in module.parts()["far"].parameters()) == size


@pytest.mark.parametrize("given", [{"far_weight": -1.0}, {"far_share": -0.1}])
def test_a_negative_weight_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"far_weight.*negative"):
        HRAwarePretrain(**{"preset": "small", **given})


@pytest.mark.parametrize(
    ("given", "file"),
    [
        ({"use_s": False, "use_far": False}, "vgg16"),
        ({"lpips_weight": 0.0, "use_far": False}, "alexnet"),
        ({"lpips_weight": 0.0, "use_s": False}, "RN50.pt"),
        ({"lpips_weight": 0.0, "use_s": False, "far_encoder": "vgg19"}, "vgg19"),
        ({"lpips_weight": 0.0, "use_s": False, "far_encoder": "edsr"}, "edsr_baseline"),
    ],
)
def test_without_weights_it_names_the_command_that_helps(given: dict[str, Any], file: str) -> None:
    with pytest.raises(InputError, match=f"{file}.*srbench weights fetch.*allow_random_backbones"):
        HRAwarePretrain(preset="small", **given).load_backbones()
    module = HRAwarePretrain(preset="small", allow_random_backbones=True, **given)
    module.load_backbones()
    assert module.marks == ("random_backbones",)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"preset": "large"}, "preset"),
        ({"recon_space": "sr"}, "recon_space"),
        ({"entry": "pool"}, "no entry 'pool'"),
        ({"far_encoder": "dino"}, "no encoder 'dino'"),
        ({"clip_layer": "layer9"}, "no 'layer9'"),
        ({"n_eval": "mean"}, "n_eval"),
    ],
)
def test_unknown_choices_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        HRAwarePretrain(**{"preset": "small", **given})
