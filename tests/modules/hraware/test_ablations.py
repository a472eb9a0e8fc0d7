"""Ablations and trials of HR-aware and LWay: what each changes behind the configs of its stages, and the trials run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.build import build_model
from srbench.catalog import config_names, load_stack
from srbench.cli import main
from srbench.modules.adapted import AdaptedSR
from srbench.modules.hraware import HRAwareFinetune, HRAwarePretrain
from srbench.records import find_records

SWITCHES: dict[str, dict[str, object]] = {
    "table2_none": {"use_s": False, "use_far": False},
    "table2_s": {"use_s": True, "use_far": False},
    "table2_far": {"use_s": False, "use_far": True},
    "table2_both": {"use_s": True, "use_far": True},
    "table3_clip": {"far_encoder": "clip"},
    "table3_edsr": {"far_encoder": "edsr"},
    "table3_vgg19": {"far_encoder": "vgg19"},
    "table4_hqi": {"s_mode_ft": "hqi"},
    "table4_one_minus_hqi": {"s_mode_ft": "one_minus_hqi"},
}


def test_every_ablation_of_the_paper_is_here() -> None:
    assert set(config_names("ablations/hraware")) == {f"ablations/hraware/{n}.yaml" for n in [*SWITCHES, "oracle"]}


@pytest.mark.parametrize("name", SWITCHES)
def test_an_ablation_changes_its_switch_and_nothing_else(name: str) -> None:
    method = "methods/hraware/2_finetune.yaml"
    plain, changed = load_stack([method]), load_stack([method, f"ablations/hraware/{name}.yaml"])
    assert changed["model"]["init_args"] == {**plain["model"]["init_args"], **SWITCHES[name]}
    assert {k: v for k, v in changed.items() if k != "model"} == {k: v for k, v in plain.items() if k != "model"}


@pytest.mark.parametrize("name", [name for name in SWITCHES if not name.startswith("table4")])
def test_both_stages_are_built_alike(name: str) -> None:
    pytest.importorskip("timm")
    with torch.device("meta"):
        first, second = (
            build_model(load_stack([f"methods/hraware/{stage}.yaml", f"ablations/hraware/{name}.yaml"]))
            for stage in ("1_pretrain", "2_finetune")
        )
    assert isinstance(first, HRAwarePretrain)
    assert isinstance(second, HRAwareFinetune)
    assert (first.controller is None) == (second.controller is None)
    assert (first.far is None) == (not second.use_far)
    if first.far is not None:
        assert [p.shape for p in first.far.parameters()] == [p.shape for p in second.far.net.parameters()]
        assert type(first.far_encoder.net) is type(second.far_encoder.net)


@pytest.mark.parametrize("method", ["hraware", "lway"])
def test_an_oracle_is_marked_as_soon_as_it_is_built(method: str) -> None:
    stack = load_stack([f"methods/{method}/2_finetune.yaml", f"ablations/{method}/oracle.yaml"])
    assert stack["data"]["init_args"]["split"] == 10
    with torch.device("meta"):
        module = build_model(stack)
    assert isinstance(module, AdaptedSR)
    assert module.early_stop == "oracle"
    assert module.marks == ("oracle",)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*a random network stands in")
@pytest.mark.parametrize(("method", "named"), [("hraware", "DVMSR-HRaware"), ("lway", "DVMSR-LWay")])
def test_the_trial_from_the_first_stage_to_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("SRBENCH_WEIGHTS", "TORCH_HOME", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "none"))
    for i in range(3):
        rough = np.random.default_rng(i).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        for folder, size in (("photos", (240, 200)), ("lq", (60, 50))):
            Path(folder).mkdir(exist_ok=True)
            Image.fromarray(rough).resize(size, Image.Resampling.BICUBIC).save(f"{folder}/{i}.png")
    quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    few = ["--data.init_args.samples_per_epoch", "8", "--trainer.max_steps", "2", *quiet]
    first = ["--config", f"methods/{method}/1_pretrain.yaml", "--config", f"trials/{method}/1_pretrain.yaml"]
    photos = ["--config", "data/hr_images.yaml", "--data.init_args.gt", "photos"]
    assert main(["fit", *photos, *first, *few, "--trainer.limit_val_batches", "0"]) == 0
    second = ["--config", f"methods/{method}/2_finetune.yaml", "--config", "data/unlabelled.yaml"]
    trial = ["--config", f"trials/{method}/2_finetune.yaml", "--data.init_args.root", "lq"]
    assert main(["fit", *second, *trial, *few, "--model.init_args.weights", "null"]) == 0
    pairs = ["--data", "ImagePairs", "--data.test_gt", "photos", "--data.test_lq", "lq"]
    last = ["--ckpt_path", f"runs/{method}/2_finetune/checkpoints/last.ckpt"]
    assert main(["test", *last, *pairs, *quiet, "--benchmark.out", "out"]) == 0
    [(_, record)] = find_records([Path("out")])
    assert (record.method, record.n, record.marks) == (named, 3, ("random_backbones",))
