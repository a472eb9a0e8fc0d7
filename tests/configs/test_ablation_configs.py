"""Every ablation stacks on the stages it names, builds the network it says, and changes nothing else."""

from typing import Any

import pytest
import torch

from srbench.build import build_model
from srbench.catalog import config_names, find_config, load_stack
from srbench.cost import count_parameters
from srbench.modules import DACESRGAN, DACESRPixel

ABLATIONS = config_names("ablations/dacesr")
PIXEL, GAN = "methods/dacesr/2_pixel.yaml", "methods/dacesr/3_gan.yaml"
BACKBONES = {"srresnet": 1_517_571, "edsr": 1_517_571, "swinir": 11_715_559, "rrdb": 16_697_987}
BACKBONES |= {"dasr": 8_055_998, "kdsr": 18_846_083}
OURS = [name for name in ABLATIONS if "class_path" not in load_stack([name])["model"]]


def _built(*configs: str) -> Any:
    with torch.device("meta"):
        return build_model(load_stack(configs), [])


@pytest.mark.parametrize("name", ABLATIONS)
def test_its_first_line_says_which_table_or_what(name: str) -> None:
    text = find_config(name).read_text(encoding="utf-8")
    assert text.startswith("# DACESR")
    table = name.rpartition("/")[2].partition("_")[0]
    numeral = {"table2": "Table II", "table4": "Table IV", "table5": "Table V", "table6": "Table VI"}.get(table, "")
    assert numeral in text.split("\n")[0]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("stage", [PIXEL, GAN])
def test_it_changes_a_stage_of_dacesr(name: str, stage: str) -> None:
    if name.endswith("official.yaml") and stage == PIXEL:
        return  # what was released is the last stage
    given = load_stack([name])["model"]["init_args"]
    plain, changed = load_stack([stage])["model"]["init_args"], load_stack([stage, name])["model"]["init_args"]
    assert {k for k in changed if changed[k] != plain.get(k)} <= given.keys()
    module = _built(stage, name)
    assert isinstance(module, DACESRPixel if stage == PIXEL else DACESRGAN)
    assert module.method == given["name"]
    assert module.encoder.kind == given.get("encoder", "ree")
    assert module.encoder.embedding == given.get("embedding", "representation")
    assert module.net.modulation == given.get("modulation", "both")


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_backbones_of_table_2_have_the_printed_sizes_and_one_degradation(backbone: str) -> None:
    for stage, name in ((PIXEL, f"table2_{backbone}_pixel"), (GAN, f"table2_{backbone}")):
        stack = load_stack([stage, f"ablations/dacesr/{name}.yaml"])
        module = _built(stage, f"ablations/dacesr/{name}.yaml")
        assert count_parameters(module.net).params == BACKBONES[backbone]
        theirs, ours = stack["data"]["init_args"], load_stack([stage])["data"]["init_args"]
        carried = {"carry_degradation": True} if backbone == "dasr" else {}  # which its predictor regresses
        assert theirs == {**ours, "carry_whole": False, **carried}
        assert stack["trainer"]["max_steps"] == load_stack([stage])["trainer"]["max_steps"]
        optimizer = load_stack([stage])["model"]["init_args"]["optimizer"]
        assert stack["model"]["init_args"]["optimizer"] == optimizer
    assert module.previous == f"ablations/dacesr/table2_{backbone}_pixel.yaml"
    assert module.weights.startswith(
        load_stack([f"ablations/dacesr/table2_{backbone}_pixel.yaml"])["trainer"]["default_root_dir"]
    )


def test_official_is_the_released_training() -> None:
    stack = load_stack([GAN, "ablations/dacesr/official.yaml"])
    module = _built(GAN, "ablations/dacesr/official.yaml")
    assert (module.condition, module.queue.size) == ("official", 192)
    degradation = stack["data"]["init_args"]["degradation"]["init_args"]
    assert degradation == {"scale": 4, "crop": 400, "per_batch": True, "pool": 0}
