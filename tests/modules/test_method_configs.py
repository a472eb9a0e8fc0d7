"""Every shipped method config builds, strictly, on the meta device."""

import pytest
import torch

from srbench.build import build_model
from srbench.catalog import config_names, load_stack

NEEDS = {"methods/image_folder/test.yaml": ["--model.init_args.root=x", "--model.init_args.name=mine"]}


@pytest.mark.parametrize("name", config_names("methods"))
def test_it_builds(name: str) -> None:
    with torch.device("meta"):
        module = build_model(load_stack([name]), NEEDS.get(name, []))
    assert module.scale == 4
    assert all(p.is_meta for p in module.parameters())
    assert module.method


@pytest.mark.parametrize("name", [n for n in config_names("methods") if n.endswith("/fit.yaml")])
def test_training_configs_say_everything_but_the_data_set(name: str) -> None:
    stack = load_stack([name])
    assert "class_path" not in stack["data"]
    assert {"batch_size", "patch_size"} == set(stack["data"]["init_args"])
    assert stack["data"]["init_args"]["patch_size"] % 4 == 0
    assert stack["model"]["init_args"]["optimizer"]["class_path"].startswith("torch.optim.")


def test_spandrel_configs_name_their_rows() -> None:
    named = {n.split("/")[-1]: load_stack([n])["model"]["init_args"] for n in config_names("methods/spandrel")}
    assert {"esrgan", "bsrgan", "realesrgan", "ldl", "swinir_m", "swinir_l", "hat", "femasr"} <= {
        n.removesuffix(".yaml") for n in named
    }
    assert named["ldl.yaml"]["weights_key"] == "params"
    assert all("name" in args for n, args in named.items() if n != "test.yaml")
