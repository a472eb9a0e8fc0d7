"""Both stages from the command line, by shipped configs and trials: trained, resumed, tested; and the variants."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import skimage
import torch
from PIL import Image

from srbench.build import build_model
from srbench.catalog import config_names, load_stack
from srbench.cli import main
from srbench.datamodules.published import SETS
from srbench.modules.deedsr import DeeDSR
from srbench.records import find_records
from srbench.weights import read_checkpoint

QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
SMALL = ["--model.init_args.steps", "2", "--model.init_args.short_side", "64"]
ADAPTER, TEST = "methods/deedsr/2_adapter.yaml", "methods/deedsr/test.yaml"
LAST = "checkpoints/last.ckpt"
REAL = ("RealSR-Canon", "RealSR-Nikon", "DRealSR")
SAMPLERS = {"guided": "guided", "lr": "lr", "noise": "noise"}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path / "none"))
    Path("photos").mkdir()
    for name in ("astronaut.png", "chelsea.png"):
        with Image.open(Path(skimage.__file__).parent / "data" / name) as photograph:
            photograph.crop((96, 96, 256, 224)).save(f"photos/{name}")


def _fit(stage: str, steps: int, *more: str) -> None:
    configs = ["--config", f"methods/deedsr/{stage}.yaml", "--config", f"trials/deedsr/{stage}.yaml"]
    sizes = ["--data.init_args.samples_per_epoch", "8", "--trainer.max_steps", str(steps)]
    given = ["--data.init_args.gt", "photos", "--trainer.limit_val_batches", "0"]
    assert main(["fit", *configs, *given, *sizes, *more, *QUIET]) == 0


def _test(data: str) -> None:
    configs = ["--config", TEST, "--config", "trials/deedsr/test.yaml", "--config", data]
    sets = ["--data.init_args.root", "sets", "--data.init_args.allow_partial", "true"]
    assert main(["test", *configs, *sets, *SMALL, *QUIET, "--benchmark.out", "out"]) == 0


def test_both_stages_and_records_of_the_papers_sets(miniatures: ModuleType) -> None:
    learner = ["--data.init_args.batch_size", "2", "--model.init_args.queue", "8"]
    _fit("1_learner", 2, *learner)
    _fit("2_adapter", 2)
    saved = read_checkpoint(f"runs/deedsr/2_adapter/{LAST}")
    assert saved["global_step"] == 2
    assert {name.split(".")[0] for name in saved["state_dict"]} == {"adapter", "modulators", "unet"}
    assert all("attn2" in name for name in saved["state_dict"] if name.startswith("unet."))
    for name in REAL:
        miniatures.make(SETS[name], Path("sets"), count=2, side=16)
    _test("data/realsr.yaml")
    _test("data/drealsr.yaml")
    records = [record for _, record in find_records([Path("out")])]
    assert sorted(record.test_set for record in records) == sorted(REAL)
    for record in records:
        assert (record.method, record.n, record.marks) == ("DeeDSR", 2, ("random_backbones",))
        value = record.metrics["psnr_y219"].mean
        assert value is not None
        assert 0 < value < 60


def test_a_resumed_run_is_the_straight_one() -> None:
    alone = ["--model.init_args.learner", "null"]
    _fit("2_adapter", 4, *alone, "--trainer.default_root_dir", "straight")
    _fit("2_adapter", 2, *alone, "--trainer.default_root_dir", "broken")
    _fit("2_adapter", 4, *alone, "--trainer.default_root_dir", "broken", "--ckpt_path", "last")
    straight, broken = (read_checkpoint(f"{run}/{LAST}") for run in ("straight", "broken"))
    assert straight["global_step"] == broken["global_step"] == 4
    assert all(torch.equal(broken["state_dict"][name], value) for name, value in straight["state_dict"].items())


def test_a_stage_without_the_one_before_says_what_to_run(capsys: pytest.CaptureFixture[str]) -> None:
    configs = ["--config", ADAPTER, "--config", "trials/deedsr/2_adapter.yaml", "--data.init_args.gt", "photos"]
    assert main(["fit", *configs, *QUIET]) == 2
    assert "srbench fit --config methods/deedsr/1_learner.yaml" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------- variants

VARIANTS = {
    "no_learner": {"aware": False, "local": True, "prompt": "image"},
    "no_global": {"aware": True, "local": True, "prompt": "empty"},
    "no_local": {"aware": True, "local": False, "prompt": "image"},
    "text_prompt": {"aware": False, "local": True, "prompt": "degradation"},
    "context1024": {"aware": True, "local": True, "prompt": "image"},
}


def _built(*configs: str) -> DeeDSR:
    with torch.device("meta"):
        stage = build_model(load_stack(configs), ["--model.init_args.size=tiny"])
    assert isinstance(stage, DeeDSR)
    return stage


def test_every_ablation_is_tested_here() -> None:
    assert {name.split("/")[-1].removesuffix(".yaml") for name in config_names("ablations/deedsr")} == {
        *VARIANTS,
        *SAMPLERS,
    }


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("stage", [ADAPTER, TEST])
def test_a_variant_is_built_as_it_says(stage: str, name: str) -> None:
    built = _built(stage, f"ablations/deedsr/{name}.yaml")
    wanted = VARIANTS[name]
    assert (built.learner is not None, built.adapter.aware) == (wanted["aware"], wanted["aware"])
    assert (built.modulators is not None) == wanted["local"]
    assert (built.prompt, built.texts is not None) == (wanted["prompt"], wanted["prompt"] != "image")
    assert built.method == load_stack([f"ablations/deedsr/{name}.yaml"])["model"]["init_args"]["name"]


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_starts_as_it_says(name: str) -> None:
    built = _built(TEST, f"ablations/deedsr/{name}.yaml")
    assert (built.sampling.start, built.sampling.steps, built.method) == (SAMPLERS[name], 50, f"DeeDSR-{name}")


def test_the_text_variant_trains_on_words() -> None:
    alone = ["--config", "ablations/deedsr/text_prompt.yaml", "--trainer.default_root_dir", "text"]
    configs = ["--config", ADAPTER, "--config", "trials/deedsr/2_adapter.yaml"]
    sizes = ["--data.init_args.samples_per_epoch", "8", "--trainer.max_steps", "1", "--data.init_args.gt", "photos"]
    assert main(["fit", *configs, *alone, *sizes, *QUIET]) == 0
    assert read_checkpoint(f"text/{LAST}")["global_step"] == 1
