"""Ablations of CasSR stack on the configs they name and build what they say."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from srbench.build import build_model
from srbench.catalog import config_names, load_stack
from srbench.cost import part_table
from srbench.modules import CasSR, CasSRActivation

FIRST, SECOND, TEST = (f"methods/cassr/{name}.yaml" for name in ("1_activation", "2_cassr", "test"))
BEHIND = {
    "fig6e_no_attention": SECOND,
    "table2_controlnet": SECOND,
    "table2_controlnet_activation": FIRST,
    "table2_controlnet_test": TEST,
    "table2_lq": SECOND,
    "table3_caption": TEST,
    "table3_cfg": TEST,
    "table3_nothing": TEST,
}
"""Which config each of them stands behind."""


def built(*configs: str) -> Any:
    with torch.device("meta"):
        return build_model(load_stack(configs), [])


def ablation(name: str) -> Any:
    return built(BEHIND[name], f"ablations/cassr/{name}.yaml")


def test_every_ablation_is_tested() -> None:
    assert {name.rpartition("/")[2].removesuffix(".yaml") for name in config_names("ablations/cassr")} == set(BEHIND)


@pytest.mark.parametrize("name", BEHIND)
def test_it_bears_a_name_of_its_own_and_no_unknown_key(name: str) -> None:
    stack = load_stack([BEHIND[name], f"ablations/cassr/{name}.yaml"])
    plain = load_stack([BEHIND[name]])
    assert stack["model"]["init_args"]["name"].startswith("CasSR-")
    assert stack["model"]["class_path"] == plain["model"]["class_path"]
    if BEHIND[name] != TEST:
        assert stack["trainer"]["default_root_dir"] != plain["trainer"]["default_root_dir"]
        assert stack["trainer"]["max_steps"] == plain["trainer"]["max_steps"]


def test_parts_of_the_shipped_stages() -> None:
    first, second = part_table(built(FIRST).parts()), part_table(built(SECOND).parts())
    assert first["tuners"] == {"params": 28_824_400, "trainable": 28_824_400}
    assert (first["unet"]["params"], first["unet"]["trainable"]) == (859_520_964, 0)
    assert second["controlnet"]["params"] == second["controlnet"]["trainable"] == 361_279_120
    assert second["attentions"]["params"] == second["attentions"]["trainable"] == 47_553_920
    assert second["vae"]["params"] == 83_653_863


def test_table_2_and_the_figure() -> None:
    activation = ablation("table2_controlnet_activation")
    assert isinstance(activation, CasSRActivation)
    assert part_table(activation.parts())["controlnet"]["params"] == 361_279_120
    tested = ablation("table2_controlnet_test")
    assert isinstance(tested, CasSR)
    assert isinstance(tested.reference.model, CasSRActivation)
    assert (tested.reference.kind, tested.reference.model.tuner) == ("controlnet", "controlnet")
    assert ablation("table2_lq").reference.kind == "lq"
    assert ablation("fig6e_no_attention").attentions is None


def test_table_3() -> None:
    rows = {name: ablation(f"table3_{name}") for name in ("nothing", "cfg", "caption")}
    plain = built(TEST)
    assert {name: (m.wording.prompt, m.guidance) for name, m in rows.items()} == {
        "nothing": ("", 1.0),
        "cfg": ("", plain.guidance),
        "caption": (plain.wording.prompt, plain.guidance),
    }
    assert plain.wording.prompt == "clean, high-resolution"
    assert plain.guidance > 1
    assert rows["cfg"].wording.negative
    assert rows["caption"].wording.captions is not None
    assert plain.wording.captions is None
